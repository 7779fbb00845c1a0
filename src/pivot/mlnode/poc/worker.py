"""The node's side of one worker process: keeps it at work, through any number of crashes.

The process is started again when it ends, when it does not answer in its time, and when it says something that was not
asked for; after growing pauses, and it is given up after several failures in a row. What it had in hand goes back to the
others. Where it has no memory for a batch, batches become smaller.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pivot.mlnode.poc.batches import batch_size
from pivot.mlnode.poc.frames import (
    LENGTH_BYTES,
    Backend,
    Job,
    Ready,
    Sprint,
    decode_ready,
    decode_too_large,
    encode,
    frame_length,
)
from pivot.mlnode.poc.interpreter import command
from pivot.mlnode.poc.work import Slice, Work
from pivot.protocol.sprint import FINGERPRINT_BYTES, SprintPreset

WORKER_MODULE = "pivot.mlnode.poc.worker_process"
BATCHES_IN_HAND = 3
"""One that is computed, one that is prepared, one that waits: so that a device never waits for the node."""
PARTIAL_BATCHES_IN_HAND = 2
"""One that is not full waits for more leaves while so many are before it."""
MAX_FAILURES_IN_A_ROW = 5
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
MODEL_TIMEOUT_S = 900.0
"""How long the model may take to stand."""
FIRST_ANSWER_TIMEOUT_S = 600.0
"""How long the first batch may take, while nobody knows how fast the device is."""
HANG_FACTOR = 20
"""A process hangs when a batch takes so many times as long as those before it."""
LEAST_ANSWER_TIMEOUT_S = 10.0
"""But not before: a machine may be busy with other things for a moment."""
EXIT_TIMEOUT_S = 5.0
"""How long a process that has closed its pipe may take to end."""
KILL_TIMEOUT_S = 0.75
"""How long a killed process is waited for: a device may take its time to let go, and a stop may not."""
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")

log = logging.getLogger(__name__)


class TooLittleMemory(Exception):
    """The device has no memory for a single leaf."""


@dataclass(frozen=True)
class _Batch:
    slices: list[Slice]
    leaves: int
    given_at: float


class Worker:
    """One supervised worker process for one sprint's model, on one group of devices."""

    def __init__(
        self,
        work: Work,
        preset: SprintPreset,
        seed: bytes,
        *,
        backend: Backend = "auto",
        devices: Sequence[str] = (),
        python: str = sys.executable,
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self.preset = preset
        self.seed = seed
        self.ready = False
        """Whether the running process has built its model."""
        self.running_on: Ready | None = None
        """What the process said when its model last stood."""
        self.restarts = 0
        self.error: str | None = None
        """Why the process last failed, or why its batches have become smaller."""
        self.failed = asyncio.Event()
        """Set when the worker was given up."""
        self._work = work
        self._sprint = Sprint(preset.name, seed.hex(), backend, tuple(devices))
        self._python = python
        self._first_pause_s = first_pause_s
        self._failures_in_a_row = 0
        self._most: int | None = None
        """Most leaves in a batch, once a larger one had no room."""
        self._in_hand: deque[_Batch] = deque()
        self._leaf_s: float | None = None
        """Seconds per leaf of the last batch of this process."""
        self._answered_at = 0.0
        self._process: asyncio.subprocess.Process | None = None
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Of the running process."""
        return self._process.pid if self._process else None

    @property
    def devices(self) -> tuple[str, ...]:
        """What it runs on; none: the CPU."""
        return self._sprint.devices

    @property
    def batch(self) -> int:
        """How many leaves it takes at a time: what the process said, before that numpy's size, less where there is no room."""
        wanted = self.running_on.batch if self.running_on else batch_size(self.preset)
        return min(wanted, self._most or wanted)

    def start(self) -> None:
        """Start the process; returns at once, `ready` tells when the model stands."""
        self._supervisor = asyncio.create_task(self._supervise())

    async def stop(self) -> None:
        """End the process at once."""
        if self._supervisor:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)

    async def _supervise(self) -> None:
        while True:
            try:
                await self._run_process()
            except (OSError, ValueError, EOFError, TooLittleMemory) as error:
                self.error = str(error)
            self._failures_in_a_row += 1
            if self._failures_in_a_row >= MAX_FAILURES_IN_A_ROW:
                break
            self.restarts += 1
            log.warning("proof-of-compute worker failed, starting it again: %s", self.error)
            await asyncio.sleep(min(LONGEST_PAUSE_S, self._first_pause_s * 2 ** (self._failures_in_a_row - 1)))
        log.error("proof-of-compute worker given up: %s", self.error)
        self.failed.set()

    async def _run_process(self) -> None:
        """One life of the process. Ends by an exception that says why; the process is gone then."""
        process = await asyncio.create_subprocess_exec(
            *command(self._python, WORKER_MODULE),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=os.environ | ONE_THREAD,
        )
        self._process = process
        try:
            if process.stdin is None or process.stdout is None:
                raise OSError("the worker process has no pipes")
            await self._await_model(process.stdin, process.stdout)
            await self._serve(process.stdin, process.stdout)
        except asyncio.IncompleteReadError as error:
            raise EOFError(f"the worker process ended {await _exit(process)}") from error
        finally:
            self.ready = False
            self._process = None
            self._give_back()
            await _end(process)

    async def _await_model(self, sink: asyncio.StreamWriter, source: asyncio.StreamReader) -> None:
        sink.write(encode(self._sprint))
        try:
            async with asyncio.timeout(MODEL_TIMEOUT_S):
                self.running_on = decode_ready(await _read_frame(source))
        except TimeoutError:
            raise OSError(f"the worker process has not built its model in {MODEL_TIMEOUT_S:g} s") from None
        self.ready, self._leaf_s = True, None

    async def _serve(self, sink: asyncio.StreamWriter, source: asyncio.StreamReader) -> None:
        """Keep the process supplied with batches, and take its answers. Raises when it breaks or hangs."""
        now = asyncio.get_running_loop().time
        reading = asyncio.ensure_future(_read_frame(source))
        try:
            while True:
                self._supply(sink, now())
                timeout = self._answer_due() - now() if self._in_hand else None
                events: set[asyncio.Future[Any]] = {reading, self._work.growth}
                await asyncio.wait(events, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                if reading.done():
                    self._take_answer(reading.result(), now())
                    reading = asyncio.ensure_future(_read_frame(source))
                elif self._in_hand and now() >= self._answer_due():
                    raise OSError(f"the worker process hangs: no answer in {self._patience():.3g} s")
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    def _supply(self, sink: asyncio.StreamWriter, now: float) -> None:
        while len(self._in_hand) < (BATCHES_IN_HAND if self._work.waiting >= self.batch else PARTIAL_BATCHES_IN_HAND):
            slices = self._work.take(self.batch)
            if not slices:
                return
            sink.write(encode(Job(tuple((each.host_address, each.nonces) for each in slices))))
            self._in_hand.append(_Batch(slices, sum(map(len, slices)), now))

    def _take_answer(self, payload: bytes, now: float) -> None:
        """The answer to the oldest batch: the process keeps their order."""
        if not self._in_hand:
            raise ValueError("the worker process answered with something that was not asked for")
        batch = self._in_hand.popleft()
        if (reason := decode_too_large(payload)) is not None:
            self._work.give_back(batch.slices)
            self._shrink(batch.leaves, reason)
        elif len(payload) == FINGERPRINT_BYTES * batch.leaves:
            self._work.done(batch.slices, payload)
            self._leaf_s = (now - max(batch.given_at, self._answered_at)) / batch.leaves
            self._failures_in_a_row = 0
        else:
            self._work.give_back(batch.slices)
            raise ValueError("the worker process answered with something that was not asked for")
        self._answered_at = now

    def _shrink(self, leaves: int, reason: str) -> None:
        """There was no room for so many. Raises TooLittleMemory when it cannot be fewer."""
        if leaves == 1:
            raise TooLittleMemory(reason)
        self._most = min(self.batch, leaves // 2)
        self.error = f"{reason}; batches are of {self._most} now"
        log.warning("proof-of-compute worker: %s", self.error)

    def _give_back(self) -> None:
        """What is in hand is for others, or for the next process.

        One that fails again and again before it has answered may have been ended for want of memory: it gets smaller batches.
        """
        if self._in_hand and self._failures_in_a_row:
            self._most = max(1, self.batch // 2)
        self._work.give_back(each for batch in self._in_hand for each in batch.slices)
        self._in_hand.clear()

    def _answer_due(self) -> float:
        return max(self._in_hand[0].given_at, self._answered_at) + self._patience()

    def _patience(self) -> float:
        """How long the oldest batch may take, in seconds."""
        if self._leaf_s is None:
            return FIRST_ANSWER_TIMEOUT_S
        return max(LEAST_ANSWER_TIMEOUT_S, HANG_FACTOR * self._leaf_s * self._in_hand[0].leaves)


async def _exit(process: asyncio.subprocess.Process) -> str:
    """How a process ended that has closed its pipe."""
    try:
        async with asyncio.timeout(EXIT_TIMEOUT_S):
            return f"with exit code {await process.wait()}"
    except TimeoutError:
        return "its answers, and lives on"


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill the process, and wait a moment for its end; it ends in any case."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    try:
        async with asyncio.timeout(KILL_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        log.warning("the killed worker process %d has not ended yet", process.pid)
    if process.stdin:
        process.stdin.close()


async def _read_frame(pipe: asyncio.StreamReader) -> bytes:
    """The next frame. Raises asyncio.IncompleteReadError when the process has ended."""
    return await pipe.readexactly(frame_length(await pipe.readexactly(LENGTH_BYTES)))
