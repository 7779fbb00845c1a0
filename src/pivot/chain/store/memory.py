"""The same store in plain dictionaries, with the tree computed from its definition: for tests, and to judge `Database`."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Self

import cosmpy.protos  # noqa: F401  (puts the folder of the standard types on the path)
from tendermint.crypto.proof_pb2 import ProofOps

from pivot.chain.store import encoding, oracle, proofs
from pivot.chain.store.encoding import check_key, check_value
from pivot.chain.store.errors import StoreError, UnknownStore
from pivot.chain.store.journal import State


class MemoryView:
    """Committed rows at one height."""

    def __init__(self, height: int, stores: Mapping[str, Mapping[bytes, bytes]]) -> None:
        self.roots = {name: oracle.root_hash(rows) for name, rows in stores.items()}
        self.height = height
        self.app_hash = encoding.app_hash(self.roots)
        self.rows = stores
        self._keys = {name: sorted(rows) for name, rows in stores.items()}

    def get(self, store: str, key: bytes) -> bytes | None:
        """The value of a key, or None if there is none. Raises UnknownStore."""
        return self._store(store).get(key)

    def iterate(
        self, store: str, start: bytes = b"", end: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values from `start` (inclusive) to `end` (exclusive; None: the last), sorted by key."""
        rows = self._store(store)
        keys = self._keys[store]
        chosen = keys[bisect_left(keys, start) : None if end is None else bisect_left(keys, end)]
        return ((key, rows[key]) for key in (reversed(chosen) if reverse else chosen))

    def close(self) -> None:
        """Nothing is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _store(self, store: str) -> Mapping[bytes, bytes]:
        if store not in self.rows:
            raise UnknownStore(store)
        return self.rows[store]


class MemoryDatabase:
    """A state store that forgets everything when it goes. Costs grow with all keys, at every block."""

    def __init__(self, stores: Sequence[str]) -> None:
        self._committed = MemoryView(0, {name: {} for name in sorted(set(stores))})
        self._staged: MemoryView | None = None

    @property
    def height(self) -> int:
        """Height of the last committed block; 0 before the first."""
        return self._committed.height

    @property
    def app_hash(self) -> bytes:
        """App hash of the last committed block (32 bytes)."""
        return self._committed.app_hash

    @property
    def stores(self) -> tuple[str, ...]:
        """The names of all stores, sorted."""
        return tuple(self._committed.rows)

    def begin(self) -> State:
        """A journal over the last committed state."""
        return State(self._committed, self.stores)

    def stage(self, height: int, changes: Mapping[str, Mapping[bytes, bytes | None]]) -> bytes:
        """The app hash that committing these changes gives; the last call wins."""
        if height <= self.height:
            raise StoreError(f"Block {height} cannot follow block {self.height}.")
        stores = dict(self._committed.rows)
        for name, store_changes in changes.items():
            if name not in stores:
                raise UnknownStore(name)
            rows = dict(stores[name])
            for key, value in store_changes.items():
                check_key(key)
                if value is None:
                    rows.pop(key, None)
                else:
                    check_value(key, value)
                    rows[key] = value
            stores[name] = rows
        self._staged = MemoryView(height, stores)
        return self._staged.app_hash

    def commit(self) -> None:
        """Let the staged block be the committed one."""
        if self._staged is None:
            raise StoreError("There is no staged block to commit.")
        self._committed, self._staged = self._staged, None

    def view(self) -> MemoryView:
        """The last committed state, to read."""
        return self._committed

    def prove(self, store: str, key: bytes) -> tuple[bytes | None, ProofOps]:
        """The last committed value of a key, or None, and the proof of it against `app_hash`."""
        view = self._committed
        if store not in view.rows:
            raise UnknownStore(store)
        return proofs.prove(view, view.roots, lambda present: oracle.path(view.rows[store], present), store, key)

    def close(self) -> None:
        """Forget what is staged."""
        self._staged = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
