"""The store: state on disk, committed block by block, and the authenticated trees over it in memory.

`stage` computes the app hash of a block from the committed rows and the block's changes, and writes nothing: a block can
be staged again, and forgotten, at no cost. `commit` writes rows and the block's row in one durable LMDB transaction.
One thread stages and commits; any thread may view and prove meanwhile, without waiting.
"""

import fcntl
import gc
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

import cosmpy.protos  # noqa: F401  (puts the folder of the standard types on the path)
import lmdb
from tendermint.crypto.proof_pb2 import ProofOps

from pivot.chain.store import encoding, proofs, tree
from pivot.chain.store.encoding import check_key, check_value, leaf_hash
from pivot.chain.store.errors import CorruptStore, NoStore, StoreError, StoreInUse, UnknownStore
from pivot.chain.store.journal import State
from pivot.chain.store.layout import (
    BLOCK_KEY,
    BLOCK_TABLE,
    MOST_STORES,
    BlockRow,
    ReadTransaction,
    Table,
    View,
    all_leaves,
    leaf_reader,
    open_environment,
    open_tables,
    read_block_row,
    telling_a_full_disk,
)
from pivot.chain.store.restoration import Restoration
from pivot.chain.store.snapshots import Manifest
from pivot.chain.store.tree import Step, Tree

STORE_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
WRITER_LOCK = "writer.lock"
BLOCKS_BETWEEN_READER_CHECKS = 100  # a reader that was killed must not keep old rows for ever


class Committed(NamedTuple):
    """One committed (or staged) block and its trees."""

    height: int
    app_hash: bytes
    trees: Mapping[str, Tree]

    @classmethod
    def of(cls, height: int, trees: Mapping[str, Tree]) -> Self:
        return cls(height, encoding.app_hash(roots(trees)), trees)


class Change(NamedTuple):
    """The changes of one block to one store, sorted by key. Digest and value are None where the key is deleted."""

    keys: list[bytes]
    digests: list[bytes | None]
    values: list[bytes | None]

    @classmethod
    def of(cls, changes: Mapping[bytes, bytes | None]) -> Self:
        """Raises RefusedEntry."""
        keys = sorted(changes)
        values = [changes[key] for key in keys]
        digests: list[bytes | None] = []
        for key, value in zip(keys, values, strict=True):
            check_key(key)
            if value is None:
                digests.append(None)
            else:
                check_value(key, value)
                digests.append(leaf_hash(key, value))
        return cls(keys, digests, values)


class Staged(NamedTuple):
    """A block that only waits for its commit."""

    block: Committed
    changes: Mapping[str, Change]


def roots(trees: Mapping[str, Tree]) -> dict[str, bytes]:
    """The root of each store."""
    return {name: tree.root_hash(store_tree) for name, store_tree in trees.items()}


def check_names(stores: Sequence[str]) -> tuple[str, ...]:
    """The names of the stores, sorted. Raises StoreError for what cannot be one."""
    names = tuple(sorted(set(stores)))
    if not 0 < len(names) <= MOST_STORES:
        raise StoreError(f"A state has 1 to {MOST_STORES} stores, not {len(names)}.")
    for name in names:
        if not STORE_NAME.fullmatch(name):
            raise StoreError(f"{name!r} cannot be the name of a store: use small letters, digits and _.")
    return names


class Database:
    """The state of the chain, owned by one process. Open it with `Database.open`."""

    def __init__(
        self,
        environment: lmdb.Environment,
        tables: dict[str, Table],
        block_table: Table,
        committed: Committed,
        lock: int,
    ) -> None:
        self._environment = environment
        self._tables = tables
        self._block_table = block_table
        self._committed = committed
        self._by_height = {committed.height: committed}
        self._lock = lock
        self._staged: Staged | None = None
        self._restoration: Restoration | None = None

    @classmethod
    def open(cls, path: Path, stores: Sequence[str]) -> Self:
        """Open the state in this folder, or make an empty one at height 0.

        Reads all leaf hashes once, in one pass, and compares the app hash that follows from them with the committed one.
        A name in `stores` that is new to the state starts empty and counts from the next block on; one that is missing is refused.

        Raises CorruptStore, DiskFull, StoreInUse, StoreError (names).
        """
        names = check_names(stores)
        path.mkdir(parents=True, exist_ok=True)
        lock = _lock(path)
        try:
            environment = open_environment(path, readonly=False)
            try:
                return cls._opened(environment, names, lock)
            except BaseException:
                environment.close()
                raise
        except BaseException:
            os.close(lock)
            raise

    @classmethod
    def _opened(cls, environment: lmdb.Environment, names: tuple[str, ...], lock: int) -> Self:
        environment.reader_check()
        block_table, tables = _prepare(environment, names)
        with environment.begin() as transaction:
            block = read_block_row(transaction, block_table)
            missing = sorted(set(block.stores) - set(names))
            if missing:
                raise StoreError(f"The state holds stores that were not asked for: {', '.join(missing)}.")
            with _no_garbage_collection():
                trees = {name: tree.fold(all_leaves(transaction, tables[name])) for name in block.stores}
        committed = Committed.of(block.height, trees)
        if committed.app_hash != block.app_hash:
            raise CorruptStore(
                f"The state of height {block.height} has the app hash {committed.app_hash.hex()}, "
                f"but {block.app_hash.hex()} was committed. Restore it from a snapshot."
            )
        return cls(environment, tables, block_table, committed, lock)

    @property
    def height(self) -> int:
        """Height of the last committed block; 0 before the first."""
        return self._committed.height

    @property
    def app_hash(self) -> bytes:
        """App hash of the last committed block (32 bytes); before the first, that of empty stores."""
        return self._committed.app_hash

    @property
    def stores(self) -> tuple[str, ...]:
        """The names of all stores, sorted."""
        return tuple(sorted(self._tables))

    def begin(self) -> State:
        """A journal over the last committed state; drop it when a later block is committed."""
        return State(self.view(), self.stores)

    def stage(self, height: int, changes: Mapping[str, Mapping[bytes, bytes | None]]) -> bytes:
        """The app hash (32 bytes) that committing these changes gives.

        `changes`: by store, the new value of each key, None to delete it. Nothing is durable yet; staging again replaces
        what was staged. Raises UnknownStore, RefusedEntry, StoreError (height).
        """
        if height <= self.height:
            raise StoreError(f"Block {height} cannot follow block {self.height}.")
        trees: dict[str, Tree] = {name: self._committed.trees.get(name) for name in self.stores}
        sorted_changes: dict[str, Change] = {}
        with self._environment.begin() as transaction:
            for name in sorted(changes):
                if name not in self._tables:
                    raise UnknownStore(name)
                change = sorted_changes[name] = Change.of(changes[name])
                read = leaf_reader(transaction, self._tables[name])
                trees[name] = tree.change(trees[name], change.keys, change.digests, read)
        block = Committed.of(height, trees)
        self._staged = Staged(block, sorted_changes)
        return block.app_hash

    def commit(self) -> None:
        """Make the staged block durable, as a whole or not at all. Raises DiskFull, StoreError if none is staged."""
        if self._staged is None:
            raise StoreError("There is no staged block to commit.")
        self._abandon_restoration()
        block, changes = self._staged
        before = self._committed
        # Readers that see the new rows before this method ends must find the new trees, too.
        self._by_height = {before.height: before, block.height: block}
        with telling_a_full_disk(self._environment), self._environment.begin(write=True) as transaction:
            for name, change in changes.items():
                cursor = transaction.cursor(db=self._tables[name])
                for key, digest, value in zip(*change, strict=True):
                    if digest is not None and value is not None:
                        cursor.put(key, digest + value)
                    elif cursor.set_key(key):
                        cursor.delete()
            row = BlockRow(block.height, block.app_hash, tuple(sorted(block.trees)))
            transaction.put(BLOCK_KEY, row.encode(), db=self._block_table)
        self._committed = block
        self._by_height = {block.height: block}
        self._staged = None
        if block.height % BLOCKS_BETWEEN_READER_CHECKS == 0:
            self._environment.reader_check()

    def restore(self, manifest: Manifest) -> Restoration:
        """Begin to replace the whole state by that of a snapshot. A second beginning, or a commit, ends the first.

        Raises RefusedSnapshot for stores that this state does not have.
        """
        self._abandon_restoration()
        self._restoration = Restoration(self._environment, self._tables, self._block_table, manifest, self._adopt)
        return self._restoration

    def _adopt(self, height: int, trees: Mapping[str, Tree]) -> None:
        before, self._committed = self._committed, Committed.of(height, trees)
        self._by_height = {before.height: before, height: self._committed}
        self._staged = None

    def _abandon_restoration(self) -> None:
        if self._restoration is not None:
            self._restoration.abort()
            self._restoration = None

    def view(self) -> View:
        """The last committed state, to read; close it (it is a context manager)."""
        transaction, block = self._read()
        return View(transaction, self._tables, block)

    def prove(self, store: str, key: bytes) -> tuple[bytes | None, ProofOps]:
        """The last committed value of a key, or None, and the proof of it against `app_hash` (see `proofs`).

        Raises UnknownStore, also for a store that no block has been committed with.
        """
        transaction, block = self._read()
        with View(transaction, self._tables, block) as view:
            committed = self._by_height.get(view.height)
            if committed is None:  # two commits have passed since the snapshot was taken
                return self.prove(store, key)
            if store not in committed.trees:
                raise UnknownStore(store)
            store_tree = committed.trees[store]
            read = leaf_reader(transaction, self._tables[store])

            def path(present: bytes) -> list[Step]:
                return [] if store_tree is None else tree.path(store_tree, present, read)

            return proofs.prove(view, roots(committed.trees), path, store, key)

    def _read(self) -> tuple[ReadTransaction, BlockRow]:
        transaction = self._environment.begin()
        return transaction, read_block_row(transaction, self._block_table)

    def close(self) -> None:
        """Close the files; a staged block is forgotten. Views of this database end, too."""
        self._staged = None
        self._abandon_restoration()
        self._environment.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ReadOnlyDatabase:
    """The committed state as another process than the writer sees it."""

    def __init__(self, environment: lmdb.Environment) -> None:
        self._environment = environment
        self._block_table = open_tables(environment, [BLOCK_TABLE.decode()])[BLOCK_TABLE.decode()]
        self._tables: dict[str, Table] = {}

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the state that another process writes. Raises NoStore while there is none, CorruptStore."""
        environment = open_environment(path, readonly=True)
        try:
            return cls(environment)
        except CorruptStore as error:
            environment.close()
            raise NoStore(f"There is no state in {path} yet.") from error

    def view(self) -> View:
        """The last committed state, to read; close it (it is a context manager)."""
        transaction = self._environment.begin()
        block = read_block_row(transaction, self._block_table)
        new = [name for name in block.stores if name not in self._tables]
        if new:
            transaction.abort()
            self._tables = self._tables | open_tables(self._environment, new)
            return self.view()
        return View(transaction, self._tables, block)

    def close(self) -> None:
        """Close the files. Views end, too."""
        self._environment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _prepare(environment: lmdb.Environment, names: tuple[str, ...]) -> tuple[Table, dict[str, Table]]:
    """Make the tables that are not there yet, and the row of height 0, in one transaction."""
    with telling_a_full_disk(environment), environment.begin(write=True) as transaction:
        block_table = environment.open_db(BLOCK_TABLE, txn=transaction)
        tables = {name: environment.open_db(name.encode(), txn=transaction) for name in names}
        if transaction.get(BLOCK_KEY, db=block_table) is None:
            fresh = Committed.of(0, dict.fromkeys(names))
            transaction.put(BLOCK_KEY, BlockRow(0, fresh.app_hash, names).encode(), db=block_table)
    return block_table, tables


def _lock(path: Path) -> int:
    """Take the writer's lock on this folder; it goes with the process. Raises StoreInUse."""
    lock = os.open(path / WRITER_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise StoreInUse(f"The state in {path} is already open for writing in another process.") from error
    return lock


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Load many long-lived objects without tracing them again and again, then leave them out of later rounds."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
