"""An engine that is one process: started, watched and ended from here.

The process holds the other end of a pipe as its standard input and must end when that does, so that it never
outlives the ML node, however the node ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType

import aiohttp

from pivot.mlnode.engines.base import EngineFailed
from pivot.mlnode.listening import CannotListen, listen
from pivot.protocol.mlnode_api import InferenceInstance, InferenceState, InferenceStatus, InferenceUp

START_TIMEOUT_S = 1_200.0
STOP_TIMEOUT_S = 2.0
"""How long a process may take to end on SIGTERM before it is killed."""
POLL_S = 0.05
HEALTH_TIMEOUT_S = 2.0
KEPT_LINES = 20
"""Last lines of the process's output, to say why it ended."""
MAX_LINE_BYTES = 2**20
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  where to reach what listens everywhere

CommandFor = Callable[[InferenceUp], Sequence[str]]
"""The command that serves a request. Raises EngineFailed when it cannot be served."""


class ProcessEngine:
    """Runs the process that `command_for` names, which listens on host and port.

    environment: variables for the process, where this one's own environment does not have them.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        command_for: CommandFor,
        host: str,
        port: int,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._session = session
        self._command_for = command_for
        self._environment = environment
        self._host, self._port = host, port
        self._request: InferenceUp | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._ready = False

    @property
    def url(self) -> str:
        """Where the model is served while `alive`."""
        host = ANY_ADDRESS.get(self._host, self._host)
        return f"http://[{host}]:{self._port}" if ":" in host else f"http://{host}:{self._port}"

    @property
    def alive(self) -> bool:
        """Whether the process has come up and has not ended."""
        return self._ready and self._process is not None and self._process.returncode is None

    @property
    def status(self) -> InferenceStatus:
        """What serves; see `Engine.status`."""
        if self._process is None:
            return InferenceStatus(state=InferenceState.STOPPED)
        instance = InferenceInstance(port=self._port, healthy=self.alive, busy=0, restarts=0)
        state = InferenceState.READY if self.alive else InferenceState.STARTING
        return InferenceStatus(state=state, model=self._request.model if self._request else None, instances=[instance])

    async def start(self, request: InferenceUp) -> None:
        """Serve this model; see `Engine.start`."""
        if self.alive and request == self._request:
            return
        await self.stop()
        command = self._command_for(request)
        try:
            listen(self._host, self._port).close()  # else something other would answer in the engine's place
            process = await self._spawn(command)
        except (CannotListen, OSError) as error:
            raise EngineFailed(f"the engine cannot be started: {error}") from error
        try:
            await self._until_healthy(process)
        except BaseException:
            await self.stop()
            raise
        self._request, self._ready = request, True

    async def stop(self) -> None:
        """End the process, by force when it does not end soon."""
        process, self._process, self._request, self._ready = self._process, None, None, False
        if process is None:
            return
        try:
            if process.returncode is None:
                process.terminate()
                await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            pass
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # children of the engine too
        await process.wait()
        if self._reading:
            await self._reading
        if process.stdin:
            process.stdin.close()

    async def broken(self) -> str:
        """Wait until the process ends by itself. Returns why."""
        if self._process is None:
            return "no engine was started"
        await self._process.wait()
        return await self._reason(self._process)

    async def _spawn(self, command: Sequence[str]) -> asyncio.subprocess.Process:
        """The process, adopted; when cancelled, nothing is left of it."""
        spawning = asyncio.create_task(_create(command, {**self._environment, **os.environ}))
        try:
            process = await asyncio.shield(spawning)
        except asyncio.CancelledError:
            self._adopt(await spawning)  # it may have begun, and children of its own
            await self.stop()
            raise
        self._adopt(process)
        return process

    def _adopt(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._reading = asyncio.create_task(self._read(process))

    async def _until_healthy(self, process: asyncio.subprocess.Process) -> None:
        ended = asyncio.create_task(process.wait())
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while not await self._is_healthy():
                    done, _ = await asyncio.wait({ended}, timeout=POLL_S)
                    if done:
                        raise EngineFailed(await self._reason(process))
        except TimeoutError as error:
            raise EngineFailed(f"the engine did not come up within {START_TIMEOUT_S:.0f} s") from error
        finally:
            ended.cancel()

    async def _is_healthy(self) -> bool:
        timeout = aiohttp.ClientTimeout(total=HEALTH_TIMEOUT_S)
        try:
            async with self._session.get(f"{self.url}/health", timeout=timeout) as response:
                return response.status == HTTPStatus.OK
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def _reason(self, process: asyncio.subprocess.Process) -> str:
        if self._reading:
            await asyncio.wait({self._reading})
        last = next((line for line in reversed(self._lines) if line.strip()), "")
        return f"the engine ended with exit code {process.returncode}" + (f": {last}" if last else "")

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Pass the process's output on, keeping its last lines."""
        if process.stdout is None:
            raise OSError("the engine has no output")
        self._lines.clear()
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # longer than MAX_LINE_BYTES: dropped
                continue
            if not line:
                return
            text = line.decode(errors="replace").rstrip("\n")
            self._lines.append(text)
            sys.stderr.write(text + "\n")


async def _create(command: Sequence[str], environment: Mapping[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=MAX_LINE_BYTES,
        env=environment,
        start_new_session=True,
    )
