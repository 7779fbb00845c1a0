"""Snapshots of a chain that goes on, taken by the process beside it."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from pivot.chain.store import snapshot_taker
from pivot.chain.store.database import Database
from pivot.chain.store.snapshot_taker import SnapshotTaker, snapshot_folder

PATIENCE_SECONDS = 30
LONG_ENOUGH_MS = 20_000


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database.open(tmp_path, ("bank",)) as database:
        yield database


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait for a taker that has just been started on a busy machine."""
    monkeypatch.setattr(snapshot_taker, "LONGEST_WAIT_MS", LONG_ENOUGH_MS)


def commit(database: Database, taker: SnapshotTaker, key: bytes = b"k") -> None:
    height = database.height + 1
    database.stage(height, {"bank": {key: b"%d" % height}})
    taker.before_commit()
    database.commit()
    taker.after_commit(height)


def wait_for(home: Path, heights: list[int]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while snapshot_folder(home).heights() != heights:
        assert time.monotonic() < end
        time.sleep(0.02)


def wait_until_done(taker: SnapshotTaker) -> None:
    """Hear the end of the snapshot under way."""
    while taker._asked is not None:
        assert taker._hear(LONG_ENOUGH_MS)


def test_every_interval_a_snapshot_is_taken_of_exactly_that_height(tmp_path: Path, database: Database) -> None:
    hashes = {}
    with SnapshotTaker(tmp_path, 3, 2) as taker, capture_logs() as logs:
        while database.height < 10:
            commit(database, taker)
            hashes[database.height] = database.app_hash
            if database.height % 3 == 0:
                commit(database, taker)  # at once: the rows change as soon as the taker reads
                wait_until_done(taker)
    folder = snapshot_folder(tmp_path)
    assert folder.heights() == [9, 6]
    for height in (6, 9):
        manifest = folder.manifest(height)
        assert manifest is not None
        assert manifest.app_hash == hashes[height]
    assert [(entry["event"], entry["height"]) for entry in logs] == [("a snapshot is taken", h) for h in (3, 6, 9)]


def test_a_snapshot_is_skipped_while_another_is_under_way(tmp_path: Path, database: Database) -> None:
    with SnapshotTaker(tmp_path, 2, 5) as taker, capture_logs() as logs:
        for _ in range(2):
            commit(database, taker)
        taker.before_commit()
        os.kill(taker._process.pid, signal.SIGSTOP)
        taker._asked = 2  # it may have told already that it is done
        taker._reading = True
        for _ in range(2):
            commit(database, taker)
        os.kill(taker._process.pid, signal.SIGCONT)
    assert {"event": "no snapshot is taken", "log_level": "warning", "height": 4, "under_way": 2} in logs


def test_a_taker_that_is_late_holds_nobody_up_and_takes_no_other_height(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SnapshotTaker(tmp_path, 2, 5) as taker, capture_logs() as logs:
        commit(database, taker)
        os.kill(taker._process.pid, signal.SIGSTOP)
        commit(database, taker)
        monkeypatch.setattr(snapshot_taker, "LONGEST_WAIT_MS", 5)
        commit(database, taker)
        os.kill(taker._process.pid, signal.SIGCONT)
        wait_until_done(taker)
        assert [entry["reason"] for entry in logs] == ["missed 2"]
        monkeypatch.setattr(snapshot_taker, "LONGEST_WAIT_MS", LONG_ENOUGH_MS)
        commit(database, taker)
        wait_for(tmp_path, [4])


def test_a_taker_that_was_killed_is_started_again(tmp_path: Path, database: Database) -> None:
    with SnapshotTaker(tmp_path, 1, 5) as taker, capture_logs() as logs:
        commit(database, taker)
        wait_for(tmp_path, [1])
        wait_until_done(taker)
        os.kill(taker._process.pid, signal.SIGKILL)
        taker._process.wait()
        commit(database, taker)
        wait_for(tmp_path, [2, 1])
        wait_until_done(taker)
        os.kill(taker._process.pid, signal.SIGSTOP)
        commit(database, taker)
        os.kill(taker._process.pid, signal.SIGKILL)
        commit(database, taker)
        assert "the taker of snapshots has ended" in [entry["event"] for entry in logs]
        wait_for(tmp_path, [4, 2, 1])


def test_what_cannot_be_written_is_told_and_the_chain_goes_on(tmp_path: Path, database: Database) -> None:
    snapshot_folder(tmp_path).path.write_text("a file in the way")
    with SnapshotTaker(tmp_path, 1, 5) as taker, capture_logs() as logs:
        commit(database, taker)
        wait_until_done(taker)
        commit(database, taker)
    assert logs[0]["reason"].startswith("failed 1 because ")


def test_remains_of_a_killed_taker_are_cleared_away(tmp_path: Path, database: Database) -> None:
    half = snapshot_folder(tmp_path).path / ".1-99"
    half.mkdir(parents=True)
    with SnapshotTaker(tmp_path, 1, 5) as taker:
        commit(database, taker)
        wait_for(tmp_path, [1])
    assert not half.exists()


def test_a_taker_whose_chain_is_gone_gives_up(tmp_path: Path, database: Database) -> None:
    taker = SnapshotTaker(tmp_path, 1, 5)
    process = taker._process
    os.kill(process.pid, signal.SIGSTOP)
    commit(database, taker)
    os.close(taker._stdin)
    os.close(taker._stdout)
    os.kill(process.pid, signal.SIGCONT)
    assert process.wait(PATIENCE_SECONDS) == 0
    assert snapshot_folder(tmp_path).heights() == []
