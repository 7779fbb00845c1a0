"""Snapshots: what one node writes, another restores, and nothing else."""

import contextlib
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pivot.chain.store import snapshots
from pivot.chain.store.database import Database
from pivot.chain.store.errors import RefusedChunk, RefusedSnapshot, StoreError
from pivot.chain.store.snapshots import Manifest, SnapshotFolder, StoreRows, open_chunk
from tests.chain.store.rows import Changes, changes, random_changes

STORES = ("acc", "bank", "inference")
SMALL_CHUNK = 512
KILLED_RESTORE = """
import os, signal, sys
from pathlib import Path
from pivot.chain.store import snapshots
from pivot.chain.store.database import Database
from pivot.chain.store.snapshots import SnapshotFolder
snapshots.CHUNK_BYTES = 512
folder = SnapshotFolder(Path(sys.argv[1]))
manifest = folder.manifest(1)
database = Database.open(Path(sys.argv[2]), ("acc", "bank", "inference"))
restoration = database.restore(manifest)
for index in range(len(manifest.chunks) - 1):
    restoration.write(folder.chunk(1, index))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "CHUNK_BYTES", SMALL_CHUNK)


@pytest.fixture
def folder(tmp_path: Path) -> SnapshotFolder:
    return SnapshotFolder(tmp_path / "snapshots")


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Database]:
    """A state of height 1 whose snapshot has many chunks."""
    numbers = random.Random(1)
    with Database.open(tmp_path / "source", STORES) as database:
        commit(database, {name: random_changes(numbers, 150) for name in STORES})
        yield database


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Database]:
    with Database.open(tmp_path / "target", STORES) as database:
        yield database


def commit(database: Database, changed: dict[str, Changes]) -> None:
    database.stage(database.height + 1, changed)
    database.commit()


def take(database: Database, folder: SnapshotFolder) -> Manifest:
    with database.view() as view:
        return folder.take(view)


def chunks_of(folder: SnapshotFolder, manifest: Manifest) -> list[bytes]:
    found = [folder.chunk(manifest.height, index) for index in range(len(manifest.chunks))]
    return [chunk for chunk in found if chunk is not None]


def restore(database: Database, manifest: Manifest, chunks: list[bytes]) -> None:
    restoration = database.restore(manifest)
    try:
        for chunk in chunks:
            restoration.write(chunk)
        restoration.finish()
    except BaseException:
        restoration.abort()
        raise


def content(database: Database) -> dict[str, dict[bytes, bytes]]:
    with database.view() as view:
        return {name: dict(view.iterate(name)) for name in STORES}


def of_pieces(pieces: list[bytes], stores: tuple[StoreRows, ...]) -> tuple[Manifest, list[bytes]]:
    """A snapshot that somebody made by hand, with the right hashes."""
    hashes = tuple(snapshots.sha256(piece).digest() for piece in pieces)
    return Manifest(1, bytes(32), stores, hashes), [zstandard.compress(piece) for piece in pieces]


def row(key: bytes, value: bytes) -> bytes:
    return snapshots.ROW.pack(len(key), len(value)) + key + value


@settings(max_examples=40, deadline=None)
@given(blocks=st.lists(st.fixed_dictionaries(dict.fromkeys(STORES, changes)), min_size=1, max_size=3))
def test_a_restored_state_is_the_same_state(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[dict[str, Changes]]
) -> None:
    home = tmp_path_factory.mktemp("states")
    folder = SnapshotFolder(home / "snapshots")
    with Database.open(home / "source", STORES) as source, Database.open(home / "target", STORES) as target:
        for block in blocks:
            commit(source, block)
        manifest = take(source, folder)
        assert folder.manifest(source.height) == manifest
        restore(target, manifest, chunks_of(folder, manifest))
        assert (target.height, target.app_hash, content(target)) == (source.height, source.app_hash, content(source))
    with Database.open(home / "target", STORES) as target:  # which compares all rows with the app hash
        assert target.height == len(blocks)


def test_both_states_go_on_alike_and_prove_alike(source: Database, target: Database, folder: SnapshotFolder) -> None:
    manifest = take(source, folder)
    restore(target, manifest, chunks_of(folder, manifest))
    more = {name: random_changes(random.Random(2), 80) for name in STORES}
    for database in (source, target):
        commit(database, more)
    assert target.app_hash == source.app_hash
    for key in more["bank"]:
        assert target.prove("bank", key) == source.prove("bank", key)


def test_a_snapshot_shows_the_height_of_its_view_whatever_is_committed_meanwhile(
    source: Database, target: Database, folder: SnapshotFolder
) -> None:
    before, app_hash = content(source), source.app_hash
    with source.view() as view:
        commit(source, {"bank": {b"later": b"1"}})
        manifest = folder.take(view)
    assert (manifest.height, manifest.app_hash) == (1, app_hash)
    restore(target, manifest, chunks_of(folder, manifest))
    assert content(target) == before


def test_a_snapshot_takes_the_place_of_a_state(source: Database, target: Database, folder: SnapshotFolder) -> None:
    commit(target, {"bank": {b"old": b"1", b"\x00": b"2"}})
    commit(target, {"acc": {b"old": b"1"}})
    manifest = take(source, folder)
    restore(target, manifest, chunks_of(folder, manifest))
    assert (target.height, content(target)) == (1, content(source))


def test_the_compressor_does_not_change_the_snapshot(source: Database, folder: SnapshotFolder) -> None:
    manifest = take(source, folder)
    for index, chunk in enumerate(chunks_of(folder, manifest)):
        piece = open_chunk(manifest, index, chunk)
        assert open_chunk(manifest, index, zstandard.compress(piece, 19)) == piece


def test_values_may_be_longer_than_a_chunk(tmp_path: Path, target: Database, folder: SnapshotFolder) -> None:
    with Database.open(tmp_path / "long", STORES) as source:
        commit(source, {"bank": {b"long": os.urandom(5 * SMALL_CHUNK), b"next": b"x"}})
        manifest = take(source, folder)
        restore(target, manifest, chunks_of(folder, manifest))
        assert content(target) == content(source)


@pytest.mark.parametrize(
    "damage",
    [
        lambda chunk: chunk[:-5] + bytes([chunk[-5] ^ 1]) + chunk[-4:],
        lambda chunk: chunk[: len(chunk) // 2],
        lambda _: b"",
        lambda _: b"no compressed data",
        lambda _: zstandard.compress(bytes(10**8)),
        lambda _: bytes(snapshots.LARGEST_CHUNK + 1),
        lambda chunk: zstandard.compress(zstandard.decompress(chunk) + b"x"),
    ],
    ids=["corrupted", "truncated", "empty", "nonsense", "bomb", "large", "longer"],
)
def test_a_damaged_chunk_is_refused_and_a_whole_one_taken_in_its_place(
    source: Database, target: Database, folder: SnapshotFolder, damage: "snapshots.Callable[[bytes], bytes]"
) -> None:
    manifest = take(source, folder)
    restoration = target.restore(manifest)
    for index, chunk in enumerate(chunks_of(folder, manifest)):
        with pytest.raises(RefusedChunk) as refused:
            restoration.write(damage(chunk))
        assert refused.value.index == index
        assert restoration.next_chunk == index
        restoration.write(chunk)
    restoration.finish()
    assert target.app_hash == source.app_hash


def test_reordered_chunks_are_refused(source: Database, target: Database, folder: SnapshotFolder) -> None:
    manifest = take(source, folder)
    first, second, *_ = chunks_of(folder, manifest)
    restoration = target.restore(manifest)
    with pytest.raises(RefusedChunk):
        restoration.write(second)
    restoration.write(first)
    with pytest.raises(RefusedChunk):
        restoration.write(first)
    restoration.abort()


def test_rows_with_another_app_hash_leave_the_empty_state(
    source: Database, target: Database, folder: SnapshotFolder
) -> None:
    manifest = take(source, folder)
    empty = target.app_hash
    with pytest.raises(RefusedSnapshot, match="app hash"):
        restore(target, manifest._replace(app_hash=bytes(32)), chunks_of(folder, manifest))
    assert (target.height, target.app_hash) == (0, empty)
    assert not any(content(target).values())
    restore(target, manifest, chunks_of(folder, manifest))
    assert content(target) == content(source)


@pytest.mark.parametrize(
    ("pieces", "rows", "told"),
    [
        ([row(b"b", b"1") + row(b"a", b"1")], 2, "do not ascend"),
        ([row(b"a", b"1") * 2], 2, "do not ascend"),
        ([row(b"a", b"1")], 2, "ends 1 rows before"),
        ([row(b"a", b"1") + b"more"], 1, "4 bytes follow"),
        ([row(b"", b"1")], 1, "a key of 0"),
        ([row(b"a", b"")], 1, "a value of 0"),
        ([row(b"k" * 401, b"1")], 1, "a key of 401"),
        ([snapshots.ROW.pack(1, snapshots.LARGEST_VALUE + 1) + b"k"], 1, "a value of"),
        ([row(b"a", b"1")], 1, "app hash"),
    ],
)
def test_rows_that_are_no_state_are_refused(target: Database, pieces: list[bytes], rows: int, told: str) -> None:
    manifest, chunks = of_pieces(pieces, (StoreRows("bank", rows),))
    with pytest.raises(RefusedSnapshot, match=told):
        restore(target, manifest, chunks)
    assert not any(content(target).values())


def test_stores_that_are_not_known_are_refused(target: Database) -> None:
    manifest, _ = of_pieces([b""], (StoreRows("bank", 0), StoreRows("gov", 0)))
    with pytest.raises(RefusedSnapshot, match="gov"):
        target.restore(manifest)


def test_a_chunk_beyond_the_last_is_refused(target: Database) -> None:
    manifest, chunks = of_pieces([row(b"a", b"1")], (StoreRows("bank", 1),))
    restoration = target.restore(manifest)
    restoration.write(chunks[0])
    with pytest.raises(RefusedSnapshot, match="no chunk 1"):
        restoration.write(chunks[0])
    restoration.abort()


def manifest_with(**fields: object) -> bytes:
    fine = Manifest(7, bytes(32), (StoreRows("acc", 1), StoreRows("bank", 2)), (bytes(32),))
    return fine._replace(**fields).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        manifest_with()[:-1],
        manifest_with() + b"x",
        manifest_with(chunks=()),
        manifest_with(chunks=(bytes(32),) * (snapshots.MOST_CHUNKS + 1)),
        manifest_with(stores=()),
        manifest_with(stores=(StoreRows("bank", 1), StoreRows("acc", 1))),
        manifest_with(stores=(StoreRows("bank", 1), StoreRows("bank", 1))),
        manifest_with(stores=tuple(StoreRows(f"s{number:03}", 1) for number in range(65))),
        b"\x00\x00\x00\x02" + manifest_with()[4:],
        manifest_with().replace(b"acc", b"\xff\xff\xff"),
    ],
    ids=["empty", "short", "long", "no chunk", "chunks", "no store", "order", "twice", "stores", "format", "letters"],
)
def test_a_manifest_out_of_bounds_is_refused(data: bytes) -> None:
    with pytest.raises(RefusedSnapshot):
        Manifest.decode(data)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reading_of_a_manifest(data: bytes) -> None:
    with contextlib.suppress(RefusedSnapshot):
        assert Manifest.decode(data).encode() == data


def test_the_newest_snapshots_stay(source: Database, folder: SnapshotFolder) -> None:
    assert folder.heights() == []
    for _ in range(4):
        take(source, folder)
        folder.keep(2)
        commit(source, {"bank": {b"k": b"%d" % source.height}})
    assert folder.heights() == [4, 3]
    assert folder.manifest(1) is None
    assert folder.chunk(1, 0) is None
    assert sorted(each.name for each in folder.path.iterdir()) == ["3", "4"]


def test_taking_a_height_again_replaces_its_snapshot(source: Database, folder: SnapshotFolder) -> None:
    assert take(source, folder) == take(source, folder)
    assert folder.heights() == [1]


def test_a_snapshot_that_is_given_up_leaves_nothing(source: Database, folder: SnapshotFolder) -> None:
    asked = iter([True, True, False])
    with source.view() as view, pytest.raises(StoreError, match="given up"):
        folder.take(view, lambda: next(asked))
    assert list(folder.path.iterdir()) == []


def test_a_state_that_is_too_large_is_not_taken(
    source: Database, folder: SnapshotFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "MOST_CHUNKS", 2)
    with pytest.raises(StoreError, match="larger"):
        take(source, folder)
    monkeypatch.setattr(snapshots, "LARGEST_VALUE", 2)
    with pytest.raises(StoreError, match="The value of key"):
        take(source, folder)
    assert folder.heights() == []


def test_remains_of_a_crash_are_no_snapshot_and_go(source: Database, folder: SnapshotFolder) -> None:
    take(source, folder)
    (folder.path / ".2-99").mkdir()
    (folder.path / ".2-99" / "0").write_bytes(b"half")
    assert folder.heights() == [1]
    folder.clear_away_remains()
    assert [each.name for each in folder.path.iterdir()] == ["1"]


def test_a_restoring_process_that_is_killed_leaves_the_empty_state(
    source: Database, folder: SnapshotFolder, tmp_path: Path
) -> None:
    manifest = take(source, folder)
    assert len(manifest.chunks) > 3
    target = tmp_path / "killed"
    killed = subprocess.run([sys.executable, "-c", KILLED_RESTORE, str(folder.path), str(target)], check=False)
    assert killed.returncode == -9
    with Database.open(target, STORES) as database:
        assert database.height == 0
        assert not any(content(database).values())
        restore(database, manifest, chunks_of(folder, manifest))
        assert database.app_hash == source.app_hash


def test_a_commit_or_another_beginning_ends_a_restoration(
    source: Database, target: Database, folder: SnapshotFolder
) -> None:
    manifest = take(source, folder)
    chunks = chunks_of(folder, manifest)
    target.restore(manifest).write(chunks[0])
    restoration = target.restore(manifest)
    restoration.write(chunks[0])
    commit(target, {"bank": {b"k": b"v"}})
    assert content(target)["bank"] == {b"k": b"v"}
    assert content(target)["acc"] == {}
    target.restore(manifest).write(chunks[0])
    target.close()
