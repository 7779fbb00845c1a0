"""What the application needs of a state store; `Database` and `MemoryDatabase` both are one."""

from collections.abc import Mapping
from typing import Protocol, Self

import cosmpy.protos  # noqa: F401  (puts the folder of the standard types on the path)
from tendermint.crypto.proof_pb2 import ProofOps

from pivot.chain.store.journal import Reader, State


class Snapshot(Reader, Protocol):
    """Committed rows at one height. They stay as they are until `close`, whatever is committed meanwhile."""

    height: int
    app_hash: bytes

    def close(self) -> None:
        """Let go of the rows. An open snapshot keeps the space of all rows replaced since from being used again."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Store(Protocol):
    """State that is committed block by block."""

    @property
    def height(self) -> int:
        """Height of the last committed block; 0 before the first."""

    @property
    def app_hash(self) -> bytes:
        """The app hash of the last committed block (32 bytes)."""

    def begin(self) -> State:
        """A journal over the last committed state."""

    def stage(self, height: int, changes: Mapping[str, Mapping[bytes, bytes | None]]) -> bytes:
        """The app hash that committing these changes gives. Nothing is durable yet; the last call wins."""

    def commit(self) -> None:
        """Make the staged block durable, as a whole or not at all."""

    def view(self) -> Snapshot:
        """The last committed state, to read."""

    def prove(self, store: str, key: bytes) -> tuple[bytes | None, ProofOps]:
        """The committed value of a key, or None, and the proof of that against `app_hash`."""

    def close(self) -> None:
        """Give everything back; a staged block is forgotten."""
