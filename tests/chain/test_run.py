"""The application's process, run in this one."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from pivot.chain import __main__ as command
from pivot.chain.application import Application
from pivot.chain.run import run
from pivot.chain.server.frames import encode_frame
from pivot.chain.store.database import Database
from pivot.chain.store.errors import DiskFull
from pivot.chain.types import STORES

FLUSH = encode_frame(b"\x12\x00")
EMPTY_COMMIT = encode_frame(b"\x5a\x00")
EMPTY_FINALIZE_BLOCK = encode_frame(b"\xa2\x01\x00")


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """The process sets up the log of all that runs in it."""
    yield
    structlog.reset_defaults()


def after_start(path: Path, send: bytes, *, terminate: bool) -> threading.Thread:
    """In a thread: wait for the socket, send these bytes and hear an answer, then end the process, perhaps."""

    def act() -> None:
        with socket.socket(socket.AF_UNIX) as engine:
            while engine.connect_ex(str(path)):  # the file is there a moment before anybody listens
                time.sleep(0.01)
            engine.sendall(send)
            assert engine.recv(1_000)
        if terminate:
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=act)
    thread.start()
    return thread


def logged(text: str) -> list[str]:
    return [json.loads(line)["event"] for line in text.splitlines()]


def test_it_serves_until_it_is_told_to_end(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.sock"
    thread = after_start(path, FLUSH, terminate=True)
    assert run(tmp_path / "chain", path) == 0
    thread.join()
    assert logged(capfd.readouterr().err) == ["serving", "stopped"]


def test_a_failure_ends_it_with_status_1(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.sock"
    thread = after_start(path, EMPTY_FINALIZE_BLOCK, terminate=False)
    assert run(tmp_path / "chain", path) == 1
    thread.join()
    log = capfd.readouterr().err
    assert logged(log) == ["serving", "the application stops", "stopped"]
    assert "Traceback" in log


def test_a_full_disk_ends_it_with_a_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def commit(*_: object) -> None:
        raise DiskFull(tmp_path)

    monkeypatch.setattr(Application, "commit", commit)
    path = tmp_path / "a.sock"
    thread = after_start(path, EMPTY_COMMIT, terminate=False)
    assert run(tmp_path / "chain", path) == 1
    thread.join()
    log = capfd.readouterr().err
    assert logged(log) == ["serving", "the disk is full"]
    assert f"The disk of {tmp_path} is full: make room and start again" in log
    assert "Traceback" not in log


def test_a_state_in_use_is_refused_with_a_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["pivot.chain", "--home", str(tmp_path), "--socket", str(tmp_path / "a.sock")])
    with Database.open(tmp_path, STORES):
        assert command.main() == 1
    assert logged(capfd.readouterr().err) == ["the state cannot be opened"]


def test_it_takes_snapshots_if_it_is_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr(command, "run", lambda *arguments: told.extend(arguments) or 0)
    monkeypatch.setenv("SNAPSHOT_INTERVAL", "7")
    monkeypatch.setenv("SNAPSHOT_KEEP_RECENT", "")
    options = ["pivot.chain", "--home", "h", "--socket", "s"]
    monkeypatch.setattr("sys.argv", options)
    command.main()
    monkeypatch.setattr("sys.argv", [*options, "--snapshot-interval", "0", "--snapshot-keep-recent", "2"])
    command.main()
    assert told == [Path("h"), Path("s"), 7, 5, Path("h"), Path("s"), 0, 2]


@pytest.mark.parametrize(
    ("variable", "value"),
    [("SNAPSHOT_INTERVAL", "often"), ("SNAPSHOT_INTERVAL", "-1"), ("SNAPSHOT_KEEP_RECENT", "0")],
)
def test_settings_of_snapshots_that_are_no_counts_are_refused(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["pivot.chain", "--home", "h", "--socket", "s"])
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 2
    assert variable.lower().replace("_", "-") in capsys.readouterr().err


def test_the_taker_of_snapshots_begins_and_ends_with_it(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    thread = after_start(path, FLUSH, terminate=True)
    assert run(tmp_path / "chain", path, 10, 2) == 0
    thread.join()
