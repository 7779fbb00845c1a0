"""What can go wrong in the state store.

    StoreError
    ├── CorruptStore    what lies on disk is not a state that was committed
    ├── StoreInUse      another process already writes this state
    ├── NoStore         there is no state at this place (yet)
    ├── UnknownStore    a store name that was never declared
    └── RefusedEntry    a key or value that the store does not take

None of them is an expected failure of a transaction: each is a bug, a broken disk or a wrong configuration.
"""


class StoreError(Exception):
    """Any failure of the state store; the message is a sentence for the operator."""


class CorruptStore(StoreError):
    """The state on disk is damaged, or does not have the app hash that was committed with it."""


class StoreInUse(StoreError):
    """The state is already open for writing."""


class NoStore(StoreError):
    """Nothing has been committed at this path."""


class UnknownStore(StoreError):
    """A store name that is not among the declared ones."""

    def __init__(self, store: str) -> None:
        super().__init__(f"There is no store named {store!r}.")
        self.store = store


class RefusedEntry(StoreError):
    """A key or a value outside the limits (see `pivot.chain.store.encoding`)."""
