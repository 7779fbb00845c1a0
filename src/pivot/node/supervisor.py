"""Start processes, keep them running, stop them in order.

Processes of one group live and die together: CometBFT ends when its application does, and an application without an
engine serves nobody, so when one of them ends the other is stopped too and both are started again.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pivot.node.process_log import ProcessLog, process_log

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
STEADY_AFTER_SECONDS = 30.0
STOP_TIMEOUT_SECONDS = 10.0
LAST_WORDS_SECONDS = 2.0
"""For the others of a group to end by themselves: what ends first is not always what knew why, as its exit code tells."""
LOG_CHECK_SECONDS = 10.0


@dataclass(frozen=True)
class ProcessSpec:
    """One process: what to run, and where its output goes."""

    name: str
    command: Sequence[str]
    log_file: Path | None
    """None: our own standard output, each line after the name."""
    host: int = 0
    """Index of the host that it belongs to."""
    environment: dict[str, str] = field(default_factory=dict)
    waits_for: Callable[[], bool] | None = None
    """Not started before this is true (the application's socket exists, say)."""


@dataclass
class ProcessState:
    """What became of one process."""

    spec: ProcessSpec
    log: ProcessLog
    pid: int | None = None
    state: str = "stopped"
    """stopped, starting, running, waiting (for its next start) or ended (for good)."""
    restarts: int = 0
    last_exit: int | None = None


class Supervisor:
    """Runs groups of processes until it is told to stop."""

    def __init__(
        self,
        groups: Sequence[Sequence[ProcessSpec]],
        *,
        on_change: Callable[[], None] = lambda: None,
        final_exit: int | None = None,
    ) -> None:
        """A group of which a process ends with the code `final_exit` is not started again."""
        self._groups = [
            [ProcessState(spec, process_log(spec.name, spec.log_file)) for spec in group] for group in groups
        ]
        self._on_change = on_change
        self._final_exit = final_exit
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._bounding: asyncio.Task[None] | None = None

    @property
    def processes(self) -> list[ProcessState]:
        return [state for group in self._groups for state in group]

    def start(self) -> None:
        """Begin; returns at once."""
        self._tasks = [asyncio.create_task(self._keep_running(group)) for group in self._groups]
        self._bounding = asyncio.create_task(self._bound_logs())

    async def stop(self) -> None:
        """Stop every process, last group first, and wait until all have ended."""
        self._stopping.set()
        for task in reversed(self._tasks):
            await task
        if self._bounding is not None:
            await self._bounding
        for state in self.processes:
            state.log.close()

    async def _bound_logs(self) -> None:
        while not self._stopping.is_set():
            for state in self.processes:
                state.log.bound()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), LOG_CHECK_SECONDS)

    async def _keep_running(self, group: list[ProcessState]) -> None:
        pause = FIRST_PAUSE_SECONDS
        clock = asyncio.get_running_loop().time
        while not self._stopping.is_set():
            began = clock()
            await self._run_once(group)
            if self._stopping.is_set():
                return
            if self._final_exit is not None and any(state.last_exit == self._final_exit for state in group):
                for state in group:
                    self._set(state, "ended")
                return
            pause = FIRST_PAUSE_SECONDS if clock() - began > STEADY_AFTER_SECONDS else pause
            for state in group:
                state.restarts += 1
                state.log.note(f"ended with exit code {state.last_exit}, starts again in {pause:g} s")
                self._set(state, "waiting")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _run_once(self, group: list[ProcessState]) -> None:
        """Start the group's processes in order; when one ends, or the supervisor stops, end the others in reverse."""
        running: list[tuple[ProcessState, asyncio.subprocess.Process]] = []
        stopping: asyncio.Task[object] = asyncio.create_task(self._stopping.wait())
        waits = {stopping}
        try:
            for state in group:
                if not await self._may_start(state, waits):
                    break
                process = await self._spawn(state)
                running.append((state, process))
                waits.add(asyncio.create_task(process.wait()))
            else:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                if not stopping.done():
                    await asyncio.wait(waits - {stopping}, timeout=LAST_WORDS_SECONDS)
        finally:
            for state, process in reversed(running):
                await self._end(state, process)
            for wait in waits:
                wait.cancel()

    async def _may_start(self, state: ProcessState, waits: set[asyncio.Task[object]]) -> bool:
        """Wait for what the process needs; False when meanwhile the supervisor stops or a sibling has ended."""
        self._set(state, "starting")
        while state.spec.waits_for is not None and not state.spec.waits_for():
            done, _ = await asyncio.wait(waits, timeout=0.05, return_when=asyncio.FIRST_COMPLETED)
            if done:
                return False
        return not self._stopping.is_set()

    async def _spawn(self, state: ProcessState) -> asyncio.subprocess.Process:
        spec = state.spec
        with state.log.writer() as log:
            process = await asyncio.create_subprocess_exec(
                *spec.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **spec.environment},
                start_new_session=True,
            )
        state.pid = process.pid
        self._set(state, "running")
        return process

    async def _end(self, state: ProcessState, process: asyncio.subprocess.Process) -> None:
        """Ask the process to end, then insist; its children go with it."""
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), STOP_TIMEOUT_SECONDS)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        state.last_exit = await process.wait()
        state.pid = None
        self._set(state, "stopped")

    def _set(self, state: ProcessState, name: str) -> None:
        state.state = name
        self._on_change()
