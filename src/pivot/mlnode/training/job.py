"""A training as one activity of the ML node: a process, its output, and how it ended.

What runs is the host's own choice (`MLNODE_TRAIN_COMMAND`). A caller gives a configuration, which the job finds as
`train_config.toml` in its working folder, and the published variables. The node's own settings, its token among them,
never reach the job, nor does any key that others know: there are no bundled certificates.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from pivot.mlnode.training.toml import to_toml
from pivot.protocol.mlnode_api import TrainStart, TrainStatus

CONFIG_NAME = "train_config.toml"
BUNDLED_TRAINER = (sys.executable, "-m", "pivot.mlnode.training.diloco", CONFIG_NAME)
STOP_TIMEOUT_S = 5.0
"""How long a job may take to end on SIGTERM before it is killed."""
KEPT_LINES = 50
MAX_LINE_LENGTH = 1_000
MAX_LINE_BYTES = 2**20
OWN_VARIABLES = "MLNODE_"
"""The node's own settings begin with this; a job does not see them."""


class AlreadyTraining(Exception):
    """One training at a time."""

    def __init__(self) -> None:
        super().__init__("Training is already running")


class NotTraining(Exception):
    """There is nothing to stop."""

    def __init__(self) -> None:
        super().__init__("Training is not running")


class TrainingFailed(Exception):
    """The job's process could not be started; the sentence says why."""


class TrainingJob:
    """Runs one job at a time.

    command: what is run, in a folder of the task's own below `folder`; a task that is started again finds what it left there.
    """

    def __init__(self, folder: Path, command: Sequence[str] = BUNDLED_TRAINER) -> None:
        self._folder = folder
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._task_id: str | None = None

    @property
    def running(self) -> bool:
        """Whether the job's process has been started and has not ended."""
        return self._process is not None and self._process.returncode is None

    def require_idle(self) -> None:
        """Refuse a second job beside the first. Raises AlreadyTraining."""
        if self.running:
            raise AlreadyTraining

    def require_running(self) -> None:
        """Refuse to stop what does not run. Raises NotTraining."""
        if not self.running:
            raise NotTraining

    async def start(self, request: TrainStart) -> None:
        """Start the job; returns once its process runs.

        Raises AlreadyTraining, TrainingFailed; then, and also when cancelled, no other process is left than before.
        """
        self.require_idle()
        if shutil.which(self._command[0]) is None:
            raise TrainingFailed(f"MLNODE_TRAIN_COMMAND: there is no command {self._command[0]!r}")
        folder = self._folder / folder_name(request.train_env)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / CONFIG_NAME).write_text(to_toml(request.train_config), encoding="utf-8")
            spawning = asyncio.create_task(_create(self._command, folder, _environment(request.train_env)))
            try:
                process = await asyncio.shield(spawning)
            except asyncio.CancelledError:
                self._adopt(await spawning)
                await self.stop()
                raise
        except OSError as error:
            raise TrainingFailed(f"the training cannot be started: {error}") from error
        self._task_id = request.train_env.get("TASK_ID")
        self._adopt(process)

    async def stop(self) -> None:
        """End the job, by force when it does not end soon; does nothing when none runs."""
        if self._process is None or self._reading is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), STOP_TIMEOUT_S)
        await self._clear_away(self._process)

    async def broken(self) -> str:
        """Wait until the job ends by itself. Returns why it failed, or nothing when it has finished its work (exit code 0)."""
        if self._process is None:
            return "no training was started"
        code = await self._process.wait()
        await self._clear_away(self._process)
        if code == 0:
            return ""
        return f"the training ended with exit code {code}" + (f": {self._lines[-1]}" if self._lines else "")

    def status(self) -> TrainStatus:
        """What the job is doing, or how the last one ended."""
        if self._process is None:
            return TrainStatus(status=False)
        return TrainStatus(
            status=self.running,
            task_id=self._task_id,
            exit_code=self._process.returncode,
            last_line=self._lines[-1] if self._lines else None,
            lines=list(self._lines),
        )

    def _adopt(self, process: asyncio.subprocess.Process) -> None:
        self._lines.clear()
        self._process = process
        self._reading = asyncio.create_task(self._read(process))

    async def _clear_away(self, process: asyncio.subprocess.Process) -> None:
        """End what the process has left behind, and read its output to the end."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        if self._reading:
            await asyncio.wait({self._reading})
        if process.stdin:
            process.stdin.close()

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Pass the job's output on, keeping its last lines."""
        if process.stdout is None:
            raise OSError("the training has no output")
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # longer than MAX_LINE_BYTES: dropped
                continue
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            if text:
                self._lines.append(text[:MAX_LINE_LENGTH])
            sys.stderr.write(text + "\n")


def folder_name(variables: Mapping[str, str]) -> str:
    """The working folder of a task's rank on this machine. Both are whole numbers (`TrainStart`)."""
    return f"task-{int(variables.get('TASK_ID', '0'))}-rank-{int(variables.get('GLOBAL_RANK', '0'))}"


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(OWN_VARIABLES)}
    return {**own, **variables}


async def _create(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "pivot.mlnode.training.tether",
        *command,
        cwd=folder,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=MAX_LINE_BYTES,
        env=environment,
        start_new_session=True,
    )
