"""A disk without room: the block is not committed, and committed when there is room again."""

from pathlib import Path

import pytest

from pivot.chain.store import layout
from pivot.chain.store.database import Database
from pivot.chain.store.errors import DiskFull
from pivot.chain.store.memory import MemoryDatabase
from tests.chain.store.committer import STORES, block
from tests.small_disk import small_disk, why_none

pytestmark = pytest.mark.skipif(bool(why_none()), reason=why_none())
SIZE_BYTES = 4 * 2**20


def commit_for_ever(database: Database) -> None:
    while True:
        database.stage(database.height + 1, block(database.height + 1))
        database.commit()


def test_a_block_that_finds_no_room_is_not_committed_and_is_when_there_is_room_again(tmp_path: Path) -> None:
    expected = MemoryDatabase(STORES)
    with small_disk(tmp_path, SIZE_BYTES) as disk:
        filler = disk / "filler"
        filler.write_bytes(bytes(SIZE_BYTES // 2))
        with Database.open(disk / "chain", STORES) as database:
            with pytest.raises(DiskFull, match=rf"^The disk of {disk}/chain is full"):
                commit_for_ever(database)
            height = database.height
        assert height > 0
        with pytest.raises(DiskFull):
            Database.open(disk / "chain", STORES)
        filler.unlink()
        with Database.open(disk / "chain", STORES) as database:
            assert database.height == height
            for following in range(1, height + 2):
                expected.stage(following, block(following))
                expected.commit()
            database.stage(height + 1, block(height + 1))
            database.commit()
            assert database.app_hash == expected.app_hash


def test_a_state_is_not_begun_without_room(tmp_path: Path) -> None:
    with small_disk(tmp_path, layout.LEAST_FREE_BYTES // 2) as disk, pytest.raises(DiskFull, match=str(disk)):
        Database.open(disk, STORES)
