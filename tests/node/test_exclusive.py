"""A command that must never run twice at a time."""

import subprocess
import sys
from pathlib import Path

from pivot.node.exclusive import command_under_lock

SAY_AND_WAIT = [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"]


def start(lock: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command_under_lock(lock, SAY_AND_WAIT),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_second_start_is_refused_until_the_first_has_ended_however_it_ends(tmp_path: Path) -> None:
    lock = tmp_path / "home" / "lock"
    with start(lock) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "up\n"
        with start(lock) as second:
            told = second.communicate()[1]
        assert second.returncode == 1
        assert told == f"process {first.pid} runs with {lock.parent} already; a second one is refused\n"
        first.kill()
    with start(lock) as third:
        assert third.communicate("")[0] == "up\n"
    assert third.returncode == 0


def test_a_command_that_is_not_there_is_told(tmp_path: Path) -> None:
    command = command_under_lock(tmp_path / "lock", [str(tmp_path / "nonesuch")])
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert "nonesuch" in answer.stderr
    answer = subprocess.run(command[:-1], capture_output=True, text=True, check=False)
    assert answer.returncode == 2
