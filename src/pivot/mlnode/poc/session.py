"""The proof of compute as one activity of the ML node: which sprint is loaded, and what is done with it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp

from pivot.mlnode.poc.callback import Callbacks
from pivot.mlnode.poc.crew import Crew, WorkersMaker, one_worker
from pivot.mlnode.poc.generation import Generation
from pivot.mlnode.poc.journal import Journal, journal_name
from pivot.mlnode.poc.verification import Verification
from pivot.mlnode.poc.work import Work
from pivot.protocol.mlnode_api import PowInit, PowState, PowStatus, ValidateRequest
from pivot.protocol.sprint import SPRINT_PRESETS

FLUSH_S = 1.0
"""How long stopping may wait for computed leaves to be taken."""


class NotValidating(Exception):
    """Leaves can only be checked after `/pow/init/validate`."""


class PowSession:
    """One crew of workers, and what it works on. Models are kept while preset and seed stay the same.

    `journals`: folder of this node's own where leaves survive its restart; None to keep them in memory alone.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        journals: Path | None = None,
        make_workers: WorkersMaker = one_worker,
    ) -> None:
        self._session = session
        self._journals = journals
        self._make_workers = make_workers
        self._crew: Crew | None = None
        self._init: PowInit | None = None
        self._journal: Journal | None = None
        self._generation: Generation | None = None
        self._verification: Verification | None = None

    async def generate(self, init: PowInit) -> None:
        """Go to GENERATING. The same request again changes nothing while it is followed.

        Any other goes on at its `first_index`: with what the journal holds from there on, then with what is computed.
        """
        generation = self._generation
        if generation and generation.alive and _same(generation.init, init) and not self._verification:
            return
        crew = await self._load(init)
        await self._end_work()
        self._init = init
        self._generation = Generation(crew, init, self._callbacks(init), self._journal_of(init))

    async def validate(self, init: PowInit) -> None:
        """Go to VALIDATING. Leaves that were generated are still sent in the background."""
        if self._verification and self._init and _same(self._init, init):
            return
        crew = await self._load(init)
        if self._generation:
            self._generation.stop_producing()
        if self._verification:
            await self._verification.stop()
        self._init = init
        self._verification = Verification(crew, self._callbacks(init))

    def submit(self, request: ValidateRequest) -> None:
        """Check leaves. Raises NotValidating, TooMuchWaiting."""
        if not self._verification:
            raise NotValidating("the node is not validating; call /api/v1/pow/init/validate first")
        self._verification.submit(request)

    async def stop(self) -> None:
        """End everything, giving computed leaves a moment to be sent."""
        await asyncio.gather(self._end_work(), *([self._crew.stop()] if self._crew else []))
        if self._journal:
            self._journal.close()
        self._crew = self._init = self._journal = None

    async def broken(self) -> str:
        """Wait until the last worker was given up. Returns why."""
        if self._crew is None:
            return "no worker was started"
        await self._crew.failed.wait()
        return "; ".join(self._crew.errors) or "the worker process failed"

    def status(self) -> PowStatus:
        """What `/pow/status` answers."""
        crew, init = self._crew, self._init
        if not crew or not init:
            return PowStatus(status=PowState.NOT_LOADED)
        sender = self._generation.sender if self._generation else None
        checks = self._verification
        journal = self._journal if sender else None
        errors = [*crew.errors, sender and sender.error, checks and checks.error, journal and journal.error]
        return PowStatus(
            status=self._state(crew),
            is_model_initialized=crew.ready,
            epoch=init.epoch,
            preset=init.preset,
            next_index=sender.acknowledged if sender else None,
            restarts=crew.restarts,
            error="; ".join(error for error in errors if error) or None,
            rate=round(crew.rate, 3),
            computed=journal.end if journal else None,
            acknowledged=sender.taken if sender else None,
            waiting=(sender.waiting if sender else 0) + (checks.waiting if checks else 0),
            workers=crew.report(),
        )

    def _state(self, crew: Crew) -> PowState:
        if not crew.ready:
            return PowState.LOADING
        if self._verification:
            return PowState.VALIDATING
        return PowState.GENERATING if self._generation and self._generation.alive else PowState.IDLE

    async def _load(self, init: PowInit) -> Crew:
        """The workers of this sprint, started when they are not those that run."""
        preset = SPRINT_PRESETS[init.preset]
        crew = self._crew
        if crew and (crew.preset, crew.seed) == (preset, init.seed) and not crew.failed.is_set():
            return crew
        await self.stop()
        work = Work()
        self._crew = Crew(preset, init.seed, work, await self._make_workers(work, preset, init.seed))
        self._crew.start()
        return self._crew

    async def _end_work(self) -> None:
        if self._generation:
            await self._generation.flush(FLUSH_S)
        if self._verification:
            await self._verification.stop()
        self._generation = self._verification = None

    def _journal_of(self, init: PowInit) -> Journal:
        """The leaves of this node in this sprint, ready to go on at `first_index`."""
        journal = self._journal
        if journal is None or journal.name != journal_name(init):
            if journal:
                journal.close()
            journal = self._journal = Journal(self._journals, init)
        journal.go_on_at(init.first_index)
        return journal

    def _callbacks(self, init: PowInit) -> Callbacks:
        return Callbacks(self._session, init.url, init.token)


def _same(init: PowInit, other: PowInit) -> bool:
    """Whether two requests are the same but for the time at which they were sent."""
    return init.model_copy(update={"blocks_late": 0}) == other.model_copy(update={"blocks_late": 0})
