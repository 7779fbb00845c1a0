"""The stores under a simulated application. All of them must come to the same app hashes."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from tendermint.crypto.proof_pb2 import ProofOps

from pivot.chain.store.database import Database
from pivot.chain.store.interface import Snapshot, Store
from pivot.chain.store.journal import State
from pivot.chain.store.memory import MemoryDatabase
from pivot.chain.types import STORES

JUDGED_EVERY = 20
"""Blocks after which the plain store's app hash is compared."""


def on_disk(folder: Path) -> Callable[[], Store]:
    """LMDB and the tree, in this folder; opened again, it goes on from there."""
    return lambda: Database.open(folder, STORES)


def in_memory() -> Callable[[], Store]:
    """Plain dictionaries, which outlive a restart of the application here."""
    kept = MemoryDatabase(STORES)
    return lambda: kept


class Both:
    """LMDB with its tree, judged by plain dictionaries, whose hashing costs as much as the whole run: every so many blocks."""

    def __init__(self, disk: Store, plain: Store, changes: dict[str, dict[bytes, bytes | None]]) -> None:
        """`changes`: rows of committed blocks that the plain store has not seen yet; it is kept up here."""
        self._disk, self._plain, self._unseen = disk, plain, changes
        self._staged: Mapping[str, Mapping[bytes, bytes | None]] = {}

    @property
    def height(self) -> int:
        return self._disk.height

    @property
    def app_hash(self) -> bytes:
        return self._disk.app_hash

    def begin(self) -> State:
        return self._disk.begin()

    def stage(self, height: int, changes: Mapping[str, Mapping[bytes, bytes | None]]) -> bytes:
        self._staged = changes
        return self._disk.stage(height, changes)

    def commit(self) -> None:
        self._disk.commit()
        for name, rows in self._staged.items():
            self._unseen.setdefault(name, {}).update(rows)
        if self.height % JUDGED_EVERY == 0:
            judged = self._plain.stage(self.height, self._unseen)
            self._plain.commit()
            self._unseen.clear()
            assert judged == self._disk.app_hash, f"the stores differ at height {self.height}"

    def view(self) -> Snapshot:
        return self._disk.view()

    def prove(self, store: str, key: bytes) -> tuple[bytes | None, ProofOps]:
        return self._disk.prove(store, key)

    def close(self) -> None:
        self._disk.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def both(folder: Path) -> Callable[[], Store]:
    """Two stores, one truth."""
    plain, disk = in_memory()(), on_disk(folder)
    unseen: dict[str, dict[bytes, bytes | None]] = {}
    return lambda: Both(disk(), plain, unseen)
