"""Snapshots of a committed state, as nodes hand them to each other (docs/protocol/state.md, section 5).

A snapshot is the sorted rows of all stores at one height as one stream of bytes, cut into pieces of CHUNK_BYTES, each
compressed by itself. Its manifest names the stores, how many rows each has, and the SHA-256 of every piece before
compression: whatever compressor a node has, all nodes' snapshots of one height are the same snapshot.

A snapshot lies in a folder named after its height, which appears when it is complete.
"""

import os
import shutil
import struct
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Self

import zstandard

from pivot.chain.store.encoding import HASH_SIZE, LONGEST_KEY
from pivot.chain.store.errors import RefusedChunk, RefusedSnapshot, StoreError
from pivot.chain.store.layout import MOST_STORES, View

FORMAT = 1
CHUNK_BYTES = 4 * 2**20  # before compression; the last one is shorter
LARGEST_CHUNK = CHUNK_BYTES + 2**16  # bytes as sent; the engine sends at most 16 MB, zstd adds less than this
LARGEST_WINDOW = 8 * 2**20  # bytes that the decompressor remembers
MOST_CHUNKS = 65_536  # 256 GiB of rows, a manifest of 2 MiB; the engine sends one of at most 4 MB
LARGEST_VALUE = 32 * 2**20  # bytes
COMPRESSION_LEVEL = 3
ROWS_AT_ONCE = 1_000  # rows of a store that are handed on together

HEADER = struct.Struct(f">IQ{HASH_SIZE}sBI")  # format, height, app hash, number of stores, number of chunks
STORE = struct.Struct(">BQ")  # length of the name, which follows; number of rows
ROW = struct.Struct(">HI")  # lengths of key and value, which follow

MANIFEST = "manifest"
HIDDEN = "."  # names of folders that are not a whole snapshot begin so

Row = tuple[bytes, bytes]
"""A key and its value."""


class StoreRows(NamedTuple):
    """How many rows a store has in a snapshot."""

    name: str
    rows: int


class Manifest(NamedTuple):
    """What a snapshot is; who has it, checks each chunk by itself."""

    height: int
    app_hash: bytes
    stores: tuple[StoreRows, ...]
    """Sorted by name."""
    chunks: tuple[bytes, ...]
    """SHA-256 of each piece of the stream."""

    @property
    def hash(self) -> bytes:
        """The name of the snapshot among nodes (32 bytes)."""
        return sha256(self.encode()).digest()

    def encode(self) -> bytes:
        """The manifest as it is sent and stored."""
        stores = b"".join(STORE.pack(len(name), rows) + name.encode() for name, rows in self.stores)
        header = HEADER.pack(FORMAT, self.height, self.app_hash, len(self.stores), len(self.chunks))
        return header + stores + b"".join(self.chunks)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises RefusedSnapshot."""
        try:
            snapshot_format, height, app_hash, stores_count, chunks_count = HEADER.unpack_from(data)
            position = HEADER.size
            stores = []
            for _ in range(stores_count):
                length, rows = STORE.unpack_from(data, position)
                position += STORE.size + length
                stores.append(StoreRows(data[position - length : position].decode("ascii"), rows))
        except (struct.error, UnicodeDecodeError) as error:
            raise RefusedSnapshot(f"A manifest of {len(data)} bytes cannot be read.") from error
        if snapshot_format != FORMAT:
            raise RefusedSnapshot(f"The snapshot is in format {snapshot_format}; format {FORMAT} is read here.")
        hashes = data[position:]
        if not 0 < chunks_count <= MOST_CHUNKS or len(hashes) != chunks_count * HASH_SIZE:
            raise RefusedSnapshot(f"The manifest names {chunks_count} chunks in {len(hashes)} bytes.")
        names = [store.name for store in stores]
        if not 0 < len(names) <= MOST_STORES or names != sorted(set(names)):
            raise RefusedSnapshot(f"The manifest's {len(names)} names of stores are not those of a state.")
        chunks = tuple(hashes[start : start + HASH_SIZE] for start in range(0, len(hashes), HASH_SIZE))
        return cls(height, app_hash, tuple(stores), chunks)


def open_chunk(manifest: Manifest, index: int, chunk: bytes) -> bytes:
    """The piece of the stream that is in a chunk; never more than CHUNK_BYTES are decompressed. Raises RefusedChunk."""
    if len(chunk) > LARGEST_CHUNK:
        raise RefusedChunk(index, f"has {len(chunk)} bytes, {LARGEST_CHUNK} at most")
    try:
        with zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW).stream_reader(chunk) as reader:
            piece = reader.read(CHUNK_BYTES + 1)
    except zstandard.ZstdError as error:
        raise RefusedChunk(index, f"cannot be decompressed: {error}") from error
    if len(piece) > CHUNK_BYTES:
        raise RefusedChunk(index, f"holds more than {CHUNK_BYTES} bytes")
    if sha256(piece).digest() != manifest.chunks[index]:
        raise RefusedChunk(index, "does not have the hash that its manifest names")
    return piece


class RowReader:
    """Takes the pieces of the stream in order and gives the rows in them."""

    def __init__(self, stores: Sequence[StoreRows]) -> None:
        self._left = [store for store in stores if store.rows]
        self._rest = b""

    def feed(self, piece: bytes) -> Iterator[tuple[str, list[Row]]]:
        """Rows of one store at a time that are complete now. Raises RefusedSnapshot. The order of keys is not checked."""
        data = self._rest + piece
        position = 0
        while self._left:
            name, left = self._left[0]
            rows, position = _rows(data, position, min(left, ROWS_AT_ONCE))
            if not rows:
                break
            self._left[:1] = [StoreRows(name, left - len(rows))] if left > len(rows) else []
            yield name, rows
        self._rest = data[position:]
        if self._rest and not self._left:
            raise RefusedSnapshot(f"{len(self._rest)} bytes follow the last row of the snapshot.")

    def require_end(self) -> None:
        """Refuse a stream that ends before its last row. Raises RefusedSnapshot."""
        if self._left:
            name, left = self._left[0]
            raise RefusedSnapshot(f"The snapshot ends {left} rows before the end of {name!r}.")


def _rows(data: bytes, position: int, most: int) -> tuple[list[Row], int]:
    """Up to `most` whole rows from a position on, and where they end. Raises RefusedSnapshot."""
    rows: list[Row] = []
    size = len(data)
    while len(rows) < most and position + ROW.size <= size:
        key_length, value_length = ROW.unpack_from(data, position)
        if not 0 < key_length <= LONGEST_KEY or not 0 < value_length <= LARGEST_VALUE:
            raise RefusedSnapshot(f"The snapshot has a key of {key_length} and a value of {value_length} bytes.")
        start = position + ROW.size
        middle, end = start + key_length, start + key_length + value_length
        if end > size:
            break
        rows.append((data[start:middle], data[middle:end]))
        position = end
    return rows, position


class SnapshotFolder:
    """The snapshots that a node has."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def heights(self) -> list[int]:
        """Of all snapshots, newest first."""
        if not self.path.is_dir():
            return []
        return sorted((int(each.name) for each in self.path.iterdir() if each.name.isdecimal()), reverse=True)

    def manifest(self, height: int) -> Manifest | None:
        """What the snapshot of this height is; None if there is none (any more). Raises RefusedSnapshot."""
        try:
            return Manifest.decode((self.path / str(height) / MANIFEST).read_bytes())
        except OSError:
            return None

    def chunk(self, height: int, index: int) -> bytes | None:
        """A chunk as it is sent; None if there is none (any more)."""
        try:
            return (self.path / str(height) / str(index)).read_bytes()
        except OSError:
            return None

    def free_bytes(self) -> int:
        """How much more the disk holds."""
        return shutil.disk_usage(self.path if self.path.exists() else self.path.parent).free

    def take(self, view: View, go_on: Callable[[], bool] = lambda: True) -> Manifest:
        """Write the snapshot of these rows. `go_on` is asked at every chunk; False gives it up.

        Raises StoreError when it was given up or the state cannot be held in a snapshot; then nothing is left of it.
        """
        partial = self.path / f"{HIDDEN}{view.height}-{os.getpid()}"
        partial.mkdir(parents=True)
        try:
            manifest = _write(view, partial, go_on)
            self._remove(view.height)
            partial.rename(self.path / str(view.height))
            _synchronise(self.path)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        return manifest

    def keep(self, most: int) -> None:
        """Delete all but the newest."""
        for height in self.heights()[most:]:
            self._remove(height)

    def clear_away_remains(self) -> None:
        """Delete what a crash has left of snapshots under way."""
        if self.path.is_dir():
            for remains in self.path.glob(f"{HIDDEN}*"):
                shutil.rmtree(remains, ignore_errors=True)

    def _remove(self, height: int) -> None:
        """Delete a snapshot; one that is half deleted is none."""
        whole, going = self.path / str(height), self.path / f"{HIDDEN}{height}-going"
        if whole.exists():
            whole.rename(going)
            shutil.rmtree(going, ignore_errors=True)


def _write(view: View, folder: Path, go_on: Callable[[], bool]) -> Manifest:
    """Write all files of a snapshot, durably."""
    counts = dict.fromkeys(view.stores, 0)
    hashes = []
    for index, piece in enumerate(_pieces(view, counts)):
        if not go_on():
            raise StoreError(f"The snapshot of height {view.height} was given up.")
        if index == MOST_CHUNKS:
            raise StoreError(f"The state of height {view.height} is larger than a snapshot may be.")
        hashes.append(sha256(piece).digest())
        _write_durably(folder / str(index), zstandard.compress(piece, COMPRESSION_LEVEL))
    stores = tuple(StoreRows(name, counts[name]) for name in sorted(counts))
    manifest = Manifest(view.height, view.app_hash, stores, tuple(hashes))
    _write_durably(folder / MANIFEST, manifest.encode())
    _synchronise(folder)
    return manifest


def _pieces(view: View, counts: dict[str, int]) -> Iterator[bytes]:
    """The stream of a state's rows, CHUNK_BYTES at a time; at least one piece. `counts` follows the rows."""
    buffer = bytearray()
    for name in sorted(view.stores):
        for key, value in view.iterate(name):
            if len(value) > LARGEST_VALUE:
                raise StoreError(
                    f"The value of key {key.hex()} has {len(value)} bytes; snapshots hold {LARGEST_VALUE}."
                )
            counts[name] += 1
            buffer += ROW.pack(len(key), len(value)) + key + value
            while len(buffer) > CHUNK_BYTES:
                yield bytes(buffer[:CHUNK_BYTES])
                del buffer[:CHUNK_BYTES]
    yield bytes(buffer)


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _synchronise(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
