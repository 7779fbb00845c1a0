"""What lies on disk: one LMDB environment with a table per store and one row about the block.

Rows of a store are `key -> leaf hash (32 bytes) || value`. The block's row holds height, app hash and the names of the
stores. One LMDB transaction writes all of them, so every committed state is whole, and every reader sees one block.
"""

import shutil
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Self, TypeAlias

import lmdb

from pivot.chain.store.encoding import HASH_SIZE
from pivot.chain.store.errors import CorruptStore, DiskFull, NoStore, UnknownStore
from pivot.chain.store.tree import Leaf, ReadLeaves

MAP_SIZE = 1 << 40  # bytes of address space; the file is sparse and grows with what is in it
LEAST_FREE_BYTES = 1 << 20
"""For LMDB's lock file, which it maps into memory: where a page of that finds no room, the system kills the process."""
MOST_STORES = 64
MOST_READERS = 512  # snapshots open at one time, in all processes

FORMAT = 1
BLOCK_TABLE = b"/block"  # a slash cannot be in a store's name
BLOCK_KEY = b"last"
BLOCK_ROW = struct.Struct(f">BQ{HASH_SIZE}s")  # format, height, app hash; the names follow, each ended by a newline

Table: TypeAlias = "lmdb._Database"  # noqa: SLF001  (the type has no public name)
ReadTransaction: TypeAlias = "lmdb.Transaction[bytes]"


class BlockRow(NamedTuple):
    """What is known of the last committed block."""

    height: int
    app_hash: bytes
    stores: tuple[str, ...]

    def encode(self) -> bytes:
        return (
            BLOCK_ROW.pack(FORMAT, self.height, self.app_hash) + "".join(f"{name}\n" for name in self.stores).encode()
        )

    @classmethod
    def decode(cls, row: bytes) -> Self:
        """Raises CorruptStore."""
        try:
            row_format, height, app_hash = BLOCK_ROW.unpack_from(row)
            names = row[BLOCK_ROW.size :].decode().splitlines()
        except (struct.error, UnicodeDecodeError) as error:
            raise CorruptStore(f"The row about the last block cannot be read: {row.hex()}.") from error
        if row_format != FORMAT:
            raise CorruptStore(f"The state is in format {row_format}; this version of Pivot reads format {FORMAT}.")
        return cls(height, app_hash, tuple(names))


def open_environment(path: Path, *, readonly: bool) -> lmdb.Environment:
    """Open the LMDB files in this folder. Raises CorruptStore, DiskFull, NoStore."""
    if not readonly and not _has_room(path):
        raise DiskFull(path)
    try:
        return lmdb.open(
            str(path),
            map_size=MAP_SIZE,
            max_dbs=MOST_STORES + 1,
            max_readers=MOST_READERS,
            readonly=readonly,
            create=not readonly,
        )
    except (lmdb.InvalidError, lmdb.CorruptedError, lmdb.VersionMismatchError) as error:
        raise CorruptStore(f"The files in {path} are not a state that LMDB can read: {error}.") from error
    except lmdb.Error as error:
        if readonly and not (path / "data.mdb").exists():
            raise NoStore(f"There is no state in {path} yet.") from error
        raise


@contextmanager
def telling_a_full_disk(environment: lmdb.Environment) -> Iterator[None]:
    """What is written in the block may find no room. Raises DiskFull."""
    try:
        yield
    except lmdb.Error as error:  # where half a page still found room, LMDB tells of an input/output error
        path = Path(environment.path())
        if isinstance(error, lmdb.DiskError) or not _has_room(path):
            raise DiskFull(path) from error
        raise


def open_tables(environment: lmdb.Environment, names: Sequence[str]) -> dict[str, Table]:
    """The tables of stores that exist. Raises CorruptStore."""
    try:
        return {name: environment.open_db(name.encode(), create=False) for name in names}
    except lmdb.NotFoundError as error:
        raise CorruptStore(f"A table is missing from the state: {error}.") from error


def read_block_row(transaction: ReadTransaction, table: Table) -> BlockRow:
    """The row about the last block. Raises CorruptStore."""
    row = transaction.get(BLOCK_KEY, db=table)
    if row is None:
        raise CorruptStore("The row about the last block is missing.")
    return BlockRow.decode(row)


class View:
    """Committed rows at one height, read in an LMDB snapshot: no commit changes or waits for them.

    A view may move between threads but serves one at a time. Close it: while it is open, LMDB cannot use the space of
    rows that were replaced since.
    """

    def __init__(self, transaction: ReadTransaction, tables: dict[str, Table], block: BlockRow) -> None:
        self.height = block.height
        self.app_hash = block.app_hash
        self.stores = block.stores
        self._transaction = transaction
        self._tables = tables

    def get(self, store: str, key: bytes) -> bytes | None:
        """The value of a key, or None if there is none. Raises UnknownStore."""
        table = self._table(store)
        row = self._transaction.get(key, db=table) if key else None
        return None if row is None else row[HASH_SIZE:]

    def iterate(
        self, store: str, start: bytes = b"", end: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values from `start` (inclusive) to `end` (exclusive; None: the last), sorted by key."""
        cursor = self._transaction.cursor(db=self._table(store))
        if end is not None and end <= start:
            return iter(())
        return _descending(cursor, start, end) if reverse else _ascending(cursor, start, end)

    def close(self) -> None:
        """Let go of the snapshot. May be called twice."""
        self._transaction.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _table(self, store: str) -> Table:
        table = self._tables.get(store)
        if table is None:
            raise UnknownStore(store)
        return table


def _ascending(cursor: "lmdb.Cursor[bytes]", start: bytes, end: bytes | None) -> Iterator[tuple[bytes, bytes]]:
    if not _seek(cursor, start):
        return
    for key, row in cursor.iternext():
        if end is not None and key >= end:
            return
        yield key, row[HASH_SIZE:]


def _descending(cursor: "lmdb.Cursor[bytes]", start: bytes, end: bytes | None) -> Iterator[tuple[bytes, bytes]]:
    beyond = end is not None and cursor.set_range(end)
    if not (cursor.prev() if beyond else cursor.last()):
        return
    for key, row in cursor.iterprev():
        if key < start:
            return
        yield key, row[HASH_SIZE:]


def all_leaves(transaction: ReadTransaction, table: Table) -> Iterator[Leaf]:
    """Keys and leaf hashes of all rows of a table, in key order."""
    for key, row in transaction.cursor(db=table):
        yield key, row[:HASH_SIZE]


def leaf_reader(transaction: ReadTransaction, table: Table) -> ReadLeaves:
    """What the tree needs to look into its buckets. Raises CorruptStore when rows are missing."""
    cursor = transaction.cursor(db=table)

    def read(start: bytes, count: int) -> list[Leaf]:
        _seek(cursor, start)
        leaves = [(key, row[:HASH_SIZE]) for key, row in islice(cursor.iternext(), count)]
        if len(leaves) != count:
            raise CorruptStore(f"The rows from key {start.hex()} on are fewer than the tree says.")
        return leaves

    return read


def _seek(cursor: "lmdb.Cursor[bytes]", start: bytes) -> bool:
    return cursor.set_range(start) if start else cursor.first()


def _has_room(path: Path) -> bool:
    return shutil.disk_usage(path).free >= LEAST_FREE_BYTES
