"""What can go wrong in the state store.

    StoreError
    ├── CorruptStore    what lies on disk is not a state that was committed
    ├── StoreInUse      another process already writes this state
    ├── DiskFull        there is no room for what is to be written
    ├── NoStore         there is no state at this place (yet)
    ├── UnknownStore    a store name that was never declared
    ├── RefusedEntry    a key or value that the store does not take
    └── RefusedSnapshot what somebody sent as a snapshot of the state is none
        └── RefusedChunk    one chunk of it is damaged; somebody else may have it whole

None of them is an expected failure of a transaction: each is a bug, a broken disk, a wrong configuration or a peer that lies.
"""

from pathlib import Path


class StoreError(Exception):
    """Any failure of the state store; the message is a sentence for the operator."""


class CorruptStore(StoreError):
    """The state on disk is damaged, or does not have the app hash that was committed with it."""


class StoreInUse(StoreError):
    """The state is already open for writing."""


class DiskFull(StoreError):
    """No room on the disk. What was committed stays, and is gone on from when there is room again."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(f"The disk of {path} is full: make room and start again; nothing that was committed is lost.")


class NoStore(StoreError):
    """Nothing has been committed at this path."""


class UnknownStore(StoreError):
    """A store name that is not among the declared ones."""

    def __init__(self, store: str) -> None:
        super().__init__(f"There is no store named {store!r}.")
        self.store = store


class RefusedEntry(StoreError):
    """A key or a value outside the limits (see `pivot.chain.store.encoding`)."""


class RefusedSnapshot(StoreError):
    """A snapshot that is not what it claims to be (see `pivot.chain.store.snapshots`)."""


class RefusedChunk(RefusedSnapshot):
    """A chunk that is not the one that the manifest names."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(f"Chunk {index} of the snapshot {reason}.")
        self.index = index
