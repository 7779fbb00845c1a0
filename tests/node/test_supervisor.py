"""Groups of processes live and die together."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from pivot.node.supervisor import ProcessSpec, Supervisor

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"]


def spec(tmp_path: Path, name: str, command: list[str] | None = None) -> ProcessSpec:
    return ProcessSpec(name, command or SLEEPER, tmp_path / f"{name}.log")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


def alive(pid: int | None) -> bool:
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_when_one_of_a_pair_dies_both_are_started_again(tmp_path: Path) -> None:
    supervisor = Supervisor([[spec(tmp_path, "application"), spec(tmp_path, "engine")], [spec(tmp_path, "api")]])
    supervisor.start()
    application, engine, api = supervisor.processes
    await until(lambda: all(state.state == "running" for state in supervisor.processes))
    first = (application.pid, engine.pid, api.pid)
    assert application.pid is not None
    os.kill(application.pid, signal.SIGKILL)
    await until(lambda: engine.restarts == 1 and engine.state == "running" and application.state == "running")
    assert engine.pid != first[1]
    assert api.pid == first[2]
    await supervisor.stop()
    assert not any(alive(pid) for pid in [*first, application.pid, engine.pid])
    assert (tmp_path / "application.log").read_text() == "ended with exit code -9, starts again in 0.5 s\n"


async def test_a_group_that_ends_for_good_is_not_started_again(tmp_path: Path) -> None:
    """Its engine ends first; the exit code of its application is the one that says why."""
    engine = spec(tmp_path, "engine", [sys.executable, "-c", "pass"])
    application = spec(
        tmp_path, "application", [sys.executable, "-c", "import time; time.sleep(0.3); raise SystemExit(3)"]
    )
    supervisor = Supervisor([[application, engine], [spec(tmp_path, "gateway")]], final_exit=3)
    supervisor.start()
    ended, also, gateway = supervisor.processes
    await until(lambda: ended.state == also.state == "ended")
    assert (ended.last_exit, ended.restarts, gateway.state) == (3, 0, "running")
    await supervisor.stop()
    assert ended.state == "ended"
    assert (tmp_path / "application.log").read_text() == ""


async def test_a_process_that_ignores_the_request_to_end_is_ended(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("pivot.node.supervisor.STOP_TIMEOUT_SECONDS", 0.3)
    supervisor = Supervisor([[spec(tmp_path, "stubborn", STUBBORN)]])
    supervisor.start()
    await until(lambda: supervisor.processes[0].state == "running")
    await asyncio.sleep(0.3)
    pid = supervisor.processes[0].pid
    await supervisor.stop()
    assert not alive(pid)


async def test_a_log_is_bounded_while_its_process_runs(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("pivot.node.supervisor.LOG_CHECK_SECONDS", 0.01)
    monkeypatch.setattr("pivot.node.process_log.LARGEST_LOG_BYTES", 1_000)
    talker = [sys.executable, "-c", "import time\nwhile True: print('x' * 99, flush=True), time.sleep(0.001)"]
    supervisor = Supervisor([[spec(tmp_path, "talker", talker)]])
    supervisor.start()
    await until((tmp_path / "talker.log.2").exists)
    await supervisor.stop()
    assert not (tmp_path / "talker.log.3").exists()


async def test_a_process_waits_for_what_it_needs(tmp_path: Path) -> None:
    needed = tmp_path / "socket"
    waiting = ProcessSpec("engine", SLEEPER, tmp_path / "log", waits_for=needed.exists)
    supervisor = Supervisor([[waiting]])
    supervisor.start()
    await until(lambda: supervisor.processes[0].state == "starting")
    needed.touch()
    await until(lambda: supervisor.processes[0].state == "running")
    await supervisor.stop()
