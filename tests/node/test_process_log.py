"""What supervised processes say is found where it is looked for, and never fills the disk."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pivot.node import process_log as module
from pivot.node.process_log import LogFile, OwnOutput, process_log


def say(log: LogFile | OwnOutput, text: str) -> None:
    """A process that is given the log says something."""
    with log.writer() as place:
        subprocess.run([sys.executable, "-c", f"print({text!r})"], stdout=place, check=True)


def test_a_file_is_appended_to_by_process_after_process(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "logs" / "engine.log")
    say(log, "one")
    log.note("two")
    say(log, "three")
    assert (tmp_path / "logs" / "engine.log").read_text() == "one\ntwo\nthree\n"


def test_a_file_that_has_become_too_large_is_put_aside_and_the_oldest_part_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST_LOG_BYTES", 10)
    path = tmp_path / "engine.log"
    log = LogFile(path)
    log.bound()
    with log.writer() as kept_open:
        for round_ in range(4):
            os.write(kept_open, b"%d%d%d\n" % (round_, round_, round_))
            log.bound()
            assert path.stat().st_size == 4
            os.write(kept_open, b"more than ten\n")
            log.bound()
            assert path.stat().st_size == 0
    parts = {each.name: each.read_text() for each in tmp_path.iterdir()}
    assert parts == {
        "engine.log": "",
        "engine.log.1": "333\nmore than ten\n",
        "engine.log.2": "222\nmore than ten\n",
    }


def test_a_file_is_bounded_also_where_there_is_no_room_to_put_it_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST_LOG_BYTES", 10)
    path = tmp_path / "engine.log"
    path.write_text("more than ten bytes")

    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", no_room)
    LogFile(path).bound()
    assert path.stat().st_size == 0


def test_without_a_file_lines_come_on_our_own_output_after_the_process_name(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_LINE_BYTES", 12)
    with os.fdopen(os.dup(1), "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        log = process_log("engine", None)
        assert isinstance(log, OwnOutput)
        say(log, "block 1")
        log.note("block 2")
        log.bound()
        say(log, "a line without an end")
        log.close()
    assert capfdbinary.readouterr().out.splitlines() == [
        b"engine | block 1",
        b"engine | block 2",
        b"engine | a line witho",
        b"engine | ut an end",
    ]


def test_a_process_goes_on_when_nobody_reads_our_output(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb", buffering=0) as broken:
        monkeypatch.setattr(sys, "stdout", type("Broken", (), {"buffer": broken}))
        log = process_log("engine", None)
        for _ in range(3):
            say(log, "x" * 100_000)
        log.close()
