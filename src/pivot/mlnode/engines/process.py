"""One process of an engine: started, read along with, and ended.

It holds the other end of a pipe as its standard input and must end when that does, so that it never outlives the ML node,
however the node ends. A program that does not do so by itself is run by `pivot.mlnode.training.tether`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from pivot.mlnode.engines.base import EngineFailed

KEPT_LINES = 20
"""Last lines of the process's output, to say why it ended."""
MAX_LINE_BYTES = 2**20
READ_BYTES = 2**16
GROUP_GONE_S = 2.0
"""How long the kernel may take to clear away killed processes, and with them the memory that they hold."""
POLL_S = 0.05

_LINE_END = re.compile(rb"[\r\n]")
"""A progress bar ends its lines with a carriage return."""


class EngineProcess:
    """A running process, and what it says."""

    def __init__(self, process: asyncio.subprocess.Process, on_line: Callable[[str], None]) -> None:
        self._process = process
        self._on_line = on_line
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def spawn(
        cls, command: Sequence[str], environment: Mapping[str, str], on_line: Callable[[str], None] = lambda _: None
    ) -> EngineProcess:
        """Start a process; when cancelled, nothing is left of it. Raises EngineFailed."""
        spawning = asyncio.create_task(_create(command, environment))
        try:
            return cls(await asyncio.shield(spawning), on_line)
        except asyncio.CancelledError:
            await cls(await spawning, on_line).stop(0)  # it may have begun, and children of its own
            raise
        except (OSError, ValueError) as error:  # no such program; an argument that holds a zero byte
            raise EngineFailed(f"the engine cannot be started: {error}") from error

    @property
    def pid(self) -> int:
        """Of the process, and of its group."""
        return self._process.pid

    async def ended(self) -> None:
        """Wait until it has ended, whatever its children do: asyncio's own `wait` waits for them, too, if they hold its output."""
        while self._process.returncode is None:
            await asyncio.sleep(POLL_S)

    async def reason(self) -> str:
        """Why a process that has ended did so, in a sentence. What it has left running is ended, too."""
        self._kill()
        await asyncio.wait({self._reading})
        last = next((line for line in reversed(self._lines) if line.strip()), "")
        return f"the engine ended with exit code {self._process.returncode}" + (f": {last}" if last else "")

    async def stop(self, timeout_s: float) -> None:
        """End it and all that it has started, by force when it does not end within `timeout_s` seconds."""
        process = self._process
        try:
            if process.returncode is None:
                process.terminate()
                await asyncio.wait_for(self.ended(), timeout_s)
        except TimeoutError:
            pass
        finally:
            self._kill()
        await process.wait()
        await self._group_gone()
        await self._reading
        if process.stdin:
            process.stdin.close()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def _group_gone(self) -> None:
        """Wait until none of the process's children is left: a GPU's memory is free only then."""
        with contextlib.suppress(ProcessLookupError, TimeoutError):
            async with asyncio.timeout(GROUP_GONE_S):
                while True:
                    os.killpg(self._process.pid, 0)
                    await asyncio.sleep(POLL_S)

    async def _read(self) -> None:
        """Pass the process's output on, line by line."""
        if self._process.stdout is None:
            raise OSError("the engine has no output")
        rest = b""
        while data := await self._process.stdout.read(READ_BYTES):
            *lines, rest = _LINE_END.split(rest + data)
            for line in lines:
                self._take(line)
            if len(rest) > MAX_LINE_BYTES:
                rest = b""
        self._take(rest)

    def _take(self, line: bytes) -> None:
        if not line:
            return
        text = line.decode(errors="replace")
        self._lines.append(text)
        sys.stderr.write(text + "\n")
        self._on_line(text)


async def _create(command: Sequence[str], environment: Mapping[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
        start_new_session=True,
    )
