"""The node's side of the worker process: jobs in, fingerprints out, through any number of crashes.

A job is answered or fails for good; what a crash interrupted is done again by the next process. The process is
started again with growing pauses, and given up after several failures in a row.
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

from pivot.mlnode.poc.batches import batch_size
from pivot.mlnode.poc.frames import LENGTH_BYTES, Backend, Job, Ready, Sprint, decode_ready, encode, frame_length
from pivot.protocol.sprint import FINGERPRINT_BYTES, SprintPreset

WORKER_MODULE = "pivot.mlnode.poc.worker_process"
MAX_FAILURES_IN_A_ROW = 5
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")

log = logging.getLogger(__name__)


class WorkerFailed(Exception):
    """The worker process failed several times in a row and was given up."""


@dataclass(frozen=True)
class _Pending:
    frame: bytes
    size: int
    answer: asyncio.Future[bytes]


class Worker:
    """One supervised worker process for one sprint's model."""

    def __init__(
        self,
        preset: SprintPreset,
        seed: bytes,
        *,
        backend: Backend = "auto",
        devices: Sequence[str] = (),
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
        """Why the process last failed."""
        self.failed = asyncio.Event()
        """Set when the worker was given up."""
        self._sprint = Sprint(preset.name, seed.hex(), backend, tuple(devices))
        self._first_pause_s = first_pause_s
        self._failures_in_a_row = 0
        self._pending: deque[_Pending] = deque()
        self._process: asyncio.subprocess.Process | None = None
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Of the running process."""
        return self._process.pid if self._process else None

    @property
    def batch(self) -> int:
        """How many nonces a job should have: what the worker said, before that numpy's size."""
        return self.running_on.batch if self.running_on else batch_size(self.preset)

    def start(self) -> None:
        """Start the process; returns at once, `ready` tells when the model stands."""
        self._supervisor = asyncio.create_task(self._supervise())

    async def stop(self) -> None:
        """End the process at once; what is still pending is cancelled."""
        if self._supervisor:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
        for pending in self._pending:
            pending.answer.cancel()
        self._pending.clear()

    async def compute(self, host_address: str, nonces: Sequence[int]) -> bytes:
        """Fingerprints of a host's nonces, 32 bytes each, in order. Raises WorkerFailed."""
        if self.failed.is_set():
            raise WorkerFailed(self.error)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        pending = _Pending(encode(Job(((host_address, tuple(nonces)),))), FINGERPRINT_BYTES * len(nonces), answer)
        self._pending.append(pending)
        if self.ready and self._process and self._process.stdin:
            self._process.stdin.write(pending.frame)
        return await answer

    async def _supervise(self) -> None:
        while True:
            try:
                await self._run_process()
            except (OSError, ValueError, EOFError) as error:
                self.error = str(error)
            self._failures_in_a_row += 1
            if self._failures_in_a_row >= MAX_FAILURES_IN_A_ROW:
                break
            self.restarts += 1
            log.warning("proof-of-compute worker failed, starting it again: %s", self.error)
            await asyncio.sleep(min(LONGEST_PAUSE_S, self._first_pause_s * 2 ** (self._failures_in_a_row - 1)))
        log.error("proof-of-compute worker given up: %s", self.error)
        self.failed.set()
        for pending in self._pending:
            if not pending.answer.done():
                pending.answer.set_exception(WorkerFailed(self.error))
        self._pending.clear()

    async def _run_process(self) -> None:
        """One life of the process. Ends by an exception that says why; the process is gone then."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            WORKER_MODULE,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=os.environ | ONE_THREAD,
        )
        self._process = process
        try:
            if process.stdin is None or process.stdout is None:
                raise OSError("the worker process has no pipes")
            process.stdin.write(encode(self._sprint))
            self.running_on = decode_ready(await _read_frame(process.stdout))
            self.ready = True
            for pending in self._pending:
                process.stdin.write(pending.frame)
            while True:
                self._answer_first(await _read_frame(process.stdout))
        except asyncio.IncompleteReadError as error:
            raise EOFError(f"the worker process ended with exit code {await process.wait()}") from error
        finally:
            self.ready = False
            self._process = None
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            if process.stdin:
                process.stdin.close()

    def _answer_first(self, payload: bytes) -> None:
        """Give the oldest job its answer: the worker keeps their order."""
        if not self._pending or len(payload) != self._pending[0].size:
            raise ValueError("the worker process answered with something that was not asked for")
        pending = self._pending.popleft()
        if not pending.answer.done():
            pending.answer.set_result(payload)
        self._failures_in_a_row = 0


async def _read_frame(pipe: asyncio.StreamReader) -> bytes:
    """The next frame. Raises asyncio.IncompleteReadError when the process has ended."""
    return await pipe.readexactly(frame_length(await pipe.readexactly(LENGTH_BYTES)))
