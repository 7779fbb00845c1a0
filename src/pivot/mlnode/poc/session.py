"""The proof of compute as one activity of the ML node: which sprint is loaded, and what is done with it."""

from __future__ import annotations

from collections.abc import Callable

import aiohttp

from pivot.mlnode.poc.callback import Callbacks
from pivot.mlnode.poc.generation import Generation
from pivot.mlnode.poc.sender import Sender
from pivot.mlnode.poc.verification import Verification
from pivot.mlnode.poc.worker import Worker
from pivot.protocol.mlnode_api import PowInit, PowState, PowStatus, ValidateRequest
from pivot.protocol.sprint import SPRINT_PRESETS, SprintPreset

FLUSH_S = 1.0
"""How long stopping may wait for computed leaves to be taken."""

WorkerMaker = Callable[[SprintPreset, bytes], Worker]


class NotValidating(Exception):
    """Leaves can only be checked after `/pow/init/validate`."""


class PowSession:
    """One worker, and what it works on. The model is kept while preset and seed stay the same."""

    def __init__(self, session: aiohttp.ClientSession, *, make_worker: WorkerMaker = Worker) -> None:
        self._session = session
        self._make_worker = make_worker
        self._worker: Worker | None = None
        self._init: PowInit | None = None
        self._generation: Generation | None = None
        self._verification: Verification | None = None

    async def generate(self, init: PowInit) -> None:
        """Go to GENERATING. The same request again changes nothing; any other begins at its `first_index`."""
        if self._generation and self._generation.init == init and not self._verification:
            return
        worker = await self._load(init)
        await self._end_work()
        self._init = init
        self._generation = Generation(worker, init, Sender(init, self._callbacks(init)))

    async def validate(self, init: PowInit) -> None:
        """Go to VALIDATING. Leaves that were generated are still sent in the background."""
        if self._verification and self._init == init:
            return
        worker = await self._load(init)
        if self._generation:
            self._generation.stop_producing()
        if self._verification:
            await self._verification.stop()
        self._init = init
        self._verification = Verification(worker, self._callbacks(init))

    def submit(self, request: ValidateRequest) -> None:
        """Check leaves. Raises NotValidating, TooMuchWaiting."""
        if not self._verification:
            raise NotValidating("the node is not validating; call /api/v1/pow/init/validate first")
        self._verification.submit(request)

    async def stop(self) -> None:
        """End everything, giving computed leaves a moment to be sent."""
        await self._end_work()
        if self._worker:
            await self._worker.stop()
        self._worker = self._init = None

    async def broken(self) -> str:
        """Wait until the worker was given up. Returns why."""
        if self._worker is None:
            return "no worker was started"
        await self._worker.failed.wait()
        return self._worker.error or "the worker process failed"

    def status(self) -> PowStatus:
        """What `/pow/status` answers."""
        if not self._worker or not self._init:
            return PowStatus(status=PowState.NOT_LOADED)
        working = PowState.VALIDATING if self._verification else PowState.GENERATING
        sender = self._generation.sender if self._generation else None
        errors = (self._worker.error, sender and sender.error, self._verification and self._verification.error)
        return PowStatus(
            status=working if self._worker.ready else PowState.LOADING,
            is_model_initialized=self._worker.ready,
            epoch=self._init.epoch,
            preset=self._init.preset,
            next_index=sender.acknowledged if sender else None,
            restarts=self._worker.restarts,
            error="; ".join(error for error in errors if error) or None,
        )

    async def _load(self, init: PowInit) -> Worker:
        """The worker of this sprint, started when it is not the one that runs."""
        preset = SPRINT_PRESETS[init.preset]
        worker = self._worker
        if worker and (worker.preset, worker.seed) == (preset, init.seed) and not worker.failed.is_set():
            return worker
        await self.stop()
        self._worker = self._make_worker(preset, init.seed)
        self._worker.start()
        return self._worker

    async def _end_work(self) -> None:
        if self._generation:
            await self._generation.flush(FLUSH_S)
        if self._verification:
            await self._verification.stop()
        self._generation = self._verification = None

    def _callbacks(self, init: PowInit) -> Callbacks:
        return Callbacks(self._session, init.url, init.token)
