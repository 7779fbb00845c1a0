"""The store on disk, held equal to the one in memory."""

import random
import subprocess
import sys
from pathlib import Path

import lmdb
import pytest

from pivot.chain.store.database import Database, ReadOnlyDatabase
from pivot.chain.store.errors import (
    CorruptStore,
    NoStore,
    RefusedEntry,
    StoreError,
    StoreInUse,
    UnknownStore,
)
from pivot.chain.store.interface import Store
from pivot.chain.store.memory import MemoryDatabase
from tests.chain.store.rows import random_changes

STORES = ("acc", "bank", "inference")
ADD_A_STORE = """
import pathlib, sys
from pivot.chain.store.database import Database
with Database.open(pathlib.Path(sys.argv[1]), ("acc", "bank", "gov", "inference")) as database:
    database.stage(2, {"gov": {b"k": b"v"}})
    database.commit()
"""


@pytest.fixture(params=["LMDB", "memory"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Database.open(tmp_path, STORES) if request.param == "LMDB" else MemoryDatabase(STORES)


def commit(store: Store, **changes: dict[bytes, bytes | None]) -> bytes:
    staged = store.stage(store.height + 1, changes)
    store.commit()
    assert store.app_hash == staged
    return staged


def rows_of(store: Store, name: str) -> dict[bytes, bytes]:
    with store.view() as view:
        return dict(view.iterate(name))


@pytest.mark.parametrize("seed", range(3))
def test_both_stores_agree_on_every_block_and_after_reopening(tmp_path: Path, seed: int) -> None:
    source = random.Random(seed)
    memory = MemoryDatabase(STORES)
    disk = Database.open(tmp_path, STORES)
    assert disk.app_hash == memory.app_hash
    for height in range(1, 25):
        changes = {name: random_changes(source, source.choice([0, 3, 60])) for name in STORES}
        assert commit(disk, **changes) == commit(memory, **changes)
        for name in STORES:
            assert rows_of(disk, name) == rows_of(memory, name)
        if height % 6 == 0:
            disk.close()
            disk = Database.open(tmp_path, STORES)
            assert (disk.height, disk.app_hash) == (memory.height, memory.app_hash)
    disk.close()


def test_a_block_begins_as_a_journal_over_what_is_committed(database: Store) -> None:
    commit(database, bank={b"a": b"1", b"b": b"2"})
    state = database.begin()
    state.set("bank", b"a", b"changed")
    state.delete("bank", b"b")
    assert rows_of(database, "bank") == {b"a": b"1", b"b": b"2"}
    commit(database, **state.changes())
    assert rows_of(database, "bank") == {b"a": b"changed"}
    database.close()


def test_staging_writes_nothing_and_may_be_done_again(database: Store) -> None:
    before = database.app_hash
    first = database.stage(1, {"bank": {b"a": b"1"}})
    second = database.stage(1, {"bank": {b"a": b"2"}})
    assert first != second
    assert database.stage(1, {"bank": {b"a": b"1"}}) == first
    assert (database.height, database.app_hash) == (0, before)
    assert rows_of(database, "bank") == {}
    database.commit()
    assert (database.height, database.app_hash) == (1, first)
    database.close()


def test_only_a_staged_block_of_a_later_height_can_be_committed(database: Store) -> None:
    with pytest.raises(StoreError, match="no staged block"):
        database.commit()
    commit(database, bank={b"a": b"1"})
    with pytest.raises(StoreError, match="no staged block"):
        database.commit()
    with pytest.raises(StoreError, match="cannot follow"):
        database.stage(1, {})
    assert database.stage(9, {}) == database.app_hash
    database.close()


@pytest.mark.parametrize("entry", [(b"", b"1"), (b"k" * 401, b"1"), (b"k", b"")])
def test_an_entry_that_the_store_does_not_take_stages_nothing(database: Store, entry: tuple[bytes, bytes]) -> None:
    with pytest.raises(RefusedEntry):
        database.stage(1, {"bank": dict([entry])})
    with pytest.raises(UnknownStore):
        database.stage(1, {"nowhere": {b"k": b"v"}})
    with pytest.raises(StoreError, match="no staged block"):
        database.commit()
    database.close()


def test_a_view_stays_as_it_is_while_blocks_are_committed(database: Store) -> None:
    commit(database, bank={b"a": b"1", b"b": b"1"})
    with database.view() as old:
        before = old.app_hash
        for number in range(5):
            commit(database, bank={b"a": bytes([number + 2]), b"b": None})
        assert (old.height, old.app_hash) == (1, before)
        assert dict(old.iterate("bank")) == {b"a": b"1", b"b": b"1"}
        assert old.get("bank", b"a") == b"1"
    assert rows_of(database, "bank") == {b"a": b"\x06"}
    database.close()


def test_views_read_ranges_in_both_directions(database: Store) -> None:
    keys = [b"a", b"a\x00", b"a\xff", b"b", b"b\xff\xff", b"c"]
    commit(database, bank=dict.fromkeys(keys, b"1"))
    with database.view() as view:
        for start, end in (
            (b"", None),
            (b"a\x00", b"b\xff"),
            (b"b", b"b"),
            (b"c", b"a"),
            (b"zz", None),
            (b"", b"\x00"),
        ):
            found = [key for key in keys if key >= start and (end is None or key < end)]
            assert [key for key, _ in view.iterate("bank", start, end)] == found
            assert [key for key, _ in view.iterate("bank", start, end, reverse=True)] == found[::-1]
        assert view.get("bank", b"") is None
        assert view.get("bank", b"a" * 1000) is None
        for use in (lambda: view.get("nowhere", b"a"), lambda: list(view.iterate("nowhere"))):
            with pytest.raises(UnknownStore):
                use()
    database.close()


def test_a_store_may_be_added_and_counts_from_the_next_block_on(tmp_path: Path) -> None:
    with Database.open(tmp_path, STORES) as database:
        before = commit(database, bank={b"a": b"1"})
    with Database.open(tmp_path, (*STORES, "gov")) as database:
        assert database.app_hash == before
        assert database.stores == ("acc", "bank", "gov", "inference")
        with pytest.raises(UnknownStore):
            database.prove("gov", b"k")
        assert commit(database, gov={b"k": b"v"}) != before
        assert database.prove("gov", b"k")[0] == b"v"
    with pytest.raises(StoreError, match="not asked for: gov"):
        Database.open(tmp_path, STORES)


@pytest.mark.parametrize("names", [(), ("Bank",), ("a b",), ("x" * 65,), tuple(f"s{number}" for number in range(65))])
def test_names_that_no_store_can_have_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(StoreError):
        Database.open(tmp_path, names)


def test_only_one_process_writes(tmp_path: Path) -> None:
    with Database.open(tmp_path, STORES), pytest.raises(StoreInUse, match="already open"):
        Database.open(tmp_path, STORES)
    Database.open(tmp_path, STORES).close()


def test_a_changed_row_on_disk_is_noticed_when_the_store_opens(tmp_path: Path) -> None:
    with Database.open(tmp_path, STORES) as database:
        commit(database, bank={bytes([number]): b"1" for number in range(50)})
    damage(tmp_path, b"bank", bytes([7]), bytes(32) + b"1")
    with pytest.raises(CorruptStore, match="was committed"):
        Database.open(tmp_path, STORES)


@pytest.mark.parametrize(
    ("row", "complaint"), [(b"\x01short", "cannot be read"), (b"\x07" + bytes(40), "format 7"), (None, "missing")]
)
def test_a_damaged_row_about_the_last_block_is_noticed(tmp_path: Path, row: bytes | None, complaint: str) -> None:
    with Database.open(tmp_path, STORES) as database:
        commit(database, bank={b"a": b"1"})
    damage(tmp_path, b"/block", b"last", row)
    with ReadOnlyDatabase.open(tmp_path) as reader, pytest.raises(CorruptStore, match=complaint):
        reader.view()
    if row is not None:
        with pytest.raises(CorruptStore, match=complaint):
            Database.open(tmp_path, STORES)


def test_rows_that_vanish_under_the_tree_are_noticed_by_the_next_block(tmp_path: Path) -> None:
    with Database.open(tmp_path, STORES) as database:
        commit(database, bank={bytes([number]): b"1" for number in range(6)})
        with database._environment.begin(write=True) as transaction:
            transaction.delete(b"\x05", db=database._tables["bank"])
        with pytest.raises(CorruptStore, match="fewer than the tree says"):
            database.stage(2, {"bank": {b"\x01": b"2"}})


def test_files_that_are_no_state_are_refused(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"no database" * 1000)
    with pytest.raises(CorruptStore, match="not a state"):
        Database.open(tmp_path, STORES)


def test_a_reader_finds_no_state_before_the_writer_has_made_one(tmp_path: Path) -> None:
    with pytest.raises(NoStore):
        ReadOnlyDatabase.open(tmp_path / "nothing")
    lmdb.open(str(tmp_path), max_dbs=4).close()
    with pytest.raises(NoStore):
        ReadOnlyDatabase.open(tmp_path)


def test_a_reader_sees_stores_that_are_added_later(tmp_path: Path) -> None:
    with Database.open(tmp_path, STORES) as database:
        commit(database, bank={b"a": b"1"})
    reader = ReadOnlyDatabase.open(tmp_path)
    with reader.view() as view:
        assert view.stores == STORES
    subprocess.run([sys.executable, "-c", ADD_A_STORE, str(tmp_path)], check=True)
    with reader.view() as view:
        assert view.get("gov", b"k") == b"v"
    reader.close()


def test_space_of_replaced_rows_is_used_again(tmp_path: Path) -> None:
    with Database.open(tmp_path, STORES) as database:
        for number in range(230):
            commit(database, bank={b"k": bytes([number % 250 + 1]) * 4000})
    assert (tmp_path / "data.mdb").stat().st_blocks * 512 < 2_000_000


def damage(folder: Path, table: bytes, key: bytes, row: bytes | None) -> None:
    """Change a row behind the store's back."""
    environment = lmdb.open(str(folder), max_dbs=65, map_size=1 << 30)
    database = environment.open_db(table)
    with environment.begin(write=True) as transaction:
        if row is None:
            transaction.delete(key, db=database)
        else:
            transaction.put(key, row, db=database)
    environment.close()
