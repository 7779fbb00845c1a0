"""A command on a tether ends with whoever started it, and leaves nothing behind."""

import asyncio
import os
import signal
import sys

import pytest

from pivot.mlnode.training import tether
from tests.mlnode.fakes import until
from tests.mlnode.training.test_job import alive

IN_A_SESSION_OF_ITS_OWN = (
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
    "print(child.pid, flush=True)\n"
)


async def tethered(*command: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "pivot.mlnode.training.tether", *command),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def first_number(process: asyncio.subprocess.Process) -> int:
    assert process.stdout
    return int(await process.stdout.readline())


async def test_the_exit_code_is_the_commands_own() -> None:
    process = await tethered(sys.executable, "-c", "import sys; sys.exit(5)")
    await process.communicate()
    assert process.returncode == 5


@pytest.mark.parametrize("command", [[], ["/no/such/command"]])
async def test_no_command_is_127(command: list[str]) -> None:
    process = await tethered(*command)
    said, _ = await process.communicate()
    assert (process.returncode, bool(said)) == (tether.EXIT_NOT_FOUND, True)


async def test_when_the_starter_is_gone_so_is_the_command_with_all_it_started() -> None:
    process = await tethered(sys.executable, "-c", IN_A_SESSION_OF_ITS_OWN + "time.sleep(600)")
    child = await first_number(process)
    assert process.stdin
    process.stdin.close()
    assert await process.wait() == 128 + signal.SIGTERM
    await until(lambda: not alive(child))


async def test_sigterm_is_passed_on() -> None:
    heeding = "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(9))\nprint(0, flush=True)\n"
    process = await tethered(sys.executable, "-c", heeding + "signal.pause()")
    await first_number(process)
    process.terminate()
    assert await process.wait() == 9


async def test_what_a_command_leaves_behind_is_killed() -> None:
    process = await tethered(sys.executable, "-c", IN_A_SESSION_OF_ITS_OWN)
    child = await first_number(process)
    assert await process.wait() == 0
    await until(lambda: not alive(child))


async def test_a_command_that_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    ignoring = "import signal, os\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint(os.getpid(), flush=True)\n"
    process = await tethered(sys.executable, "-c", ignoring + "while True: signal.pause()")
    command = await first_number(process)
    process.terminate()
    assert await process.wait() == 128 + signal.SIGKILL
    assert not alive(command)
    with pytest.raises(ProcessLookupError):
        os.kill(command, 0)
