"""Duties that follow the blocks: a step that is taken at every moment, in a task of its own."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from pivot.api.ledger.interface import LedgerError
from pivot.api.phases import Moment, Phases

log = logging.getLogger(__name__)


class EachMoment:
    """Takes a step at the newest moment. A slow step delays no other duty; moments that pass meanwhile are skipped.

    A step that fails is taken again at the next moment, so it must look at what is done, not at what was tried. While the
    chain node catches up nothing is done.
    """

    def __init__(self, name: str, phases: Phases, step: Callable[[Moment], Awaitable[None]]) -> None:
        self._name = name
        self._phases = phases
        self._step = step
        self._come = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._phases.listen(self._note)
        self._come.set()
        self._task = asyncio.create_task(self._run(), name=self._name)

    def wake(self) -> None:
        """There is something to do before the next block: take the step once more at this moment."""
        self._come.set()

    async def close(self) -> None:
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _note(self, _: Moment) -> None:
        self._come.set()

    async def _run(self) -> None:
        while True:
            await self._come.wait()
            self._come.clear()
            moment = self._phases.moment
            if moment is None or not moment.synced:
                continue
            try:
                await self._step(moment)
            except LedgerError as error:
                log.warning("%s: block %d: %s", self._name, moment.head.height, error)
            except Exception:  # one duty's fault must not end the duty for good
                log.exception("%s failed at block %d", self._name, moment.head.height)
