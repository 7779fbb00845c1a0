"""One exclusive mode at a time: the ML node's state machine.

STOPPED, POW, INFERENCE, TRAIN. From STOPPED any activity may begin; to get from one to another, stop first. Changes
happen one after the other; only a stop does not wait its turn: it interrupts a start that is under way. When an
activity breaks, the node falls back to STOPPED and keeps the reason.

Training is not offered yet: its mode is here, its activity is not.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Protocol

from pivot.mlnode.engines.base import Engine
from pivot.mlnode.poc.session import PowSession
from pivot.protocol.mlnode_api import InferenceUp, Mode, NodeState, PowInit, PowStatus, ValidateRequest

log = logging.getLogger(__name__)


class Activity(Protocol):
    """What a mode stands for."""

    async def stop(self) -> None:
        """End it; does nothing when it does not run."""
        ...

    async def broken(self) -> str:
        """Wait until it ends by itself. Returns why, in a sentence."""
        ...


class ModeConflict(Exception):
    """Another mode runs."""

    def __init__(self, wanted: Mode, current: Mode) -> None:
        super().__init__(
            f"Cannot run {wanted} because MLNode is currently in {current} mode. Please stop {current} first."
        )


class StartInterrupted(Exception):
    """The node was told to stop while it was starting something."""

    def __init__(self, mode: Mode) -> None:
        super().__init__(f"Starting {mode} was interrupted by a stop.")


class Service:
    """The ML node's modes, and the only way from one to another."""

    def __init__(self, sprint: PowSession, engine: Engine) -> None:
        self._sprint = sprint
        self._engine = engine
        self._activities: dict[Mode, Activity] = {Mode.POW: sprint, Mode.INFERENCE: engine}
        self._mode = Mode.STOPPED
        self._error: str | None = None
        self._changing = asyncio.Lock()
        self._starting: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._stops = 0

    @property
    def state(self) -> NodeState:
        """What the node is doing; a mode counts from the moment in which its start begins."""
        return NodeState(state=self._mode, error=self._error)

    @property
    def pow_status(self) -> PowStatus:
        """What the proof of compute is doing."""
        return self._sprint.status()

    def require(self, mode: Mode) -> None:
        """Refuse what belongs to another mode than the one that runs. Raises ModeConflict."""
        if self._mode not in {Mode.STOPPED, mode}:
            raise ModeConflict(mode, self._mode)

    async def serve(self, request: InferenceUp) -> None:
        """Go to INFERENCE; returns once the engine answers. Raises EngineFailed, ModeConflict, StartInterrupted."""
        await self._start(Mode.INFERENCE, lambda: self._engine.start(request))

    async def generate(self, init: PowInit) -> None:
        """Go to POW and generate fingerprints. Raises ModeConflict, StartInterrupted."""
        await self._start(Mode.POW, lambda: self._sprint.generate(init))

    async def validate(self, init: PowInit) -> None:
        """Go to POW and be ready to check leaves. Raises ModeConflict, StartInterrupted."""
        await self._start(Mode.POW, lambda: self._sprint.validate(init))

    def submit(self, request: ValidateRequest) -> None:
        """Check leaves; the answer goes out as a call-back. Raises ModeConflict, NotValidating, TooMuchWaiting."""
        self.require(Mode.POW)
        self._sprint.submit(request)

    async def stop(self, mode: Mode | None = None) -> None:
        """Go to STOPPED from `mode`, or from any when None. Raises ModeConflict when another mode runs."""
        if mode:
            self.require(mode)
        self._stops += 1
        if self._starting and not self._starting.cancelling():
            self._starting.cancel()
        async with self._changing:
            if mode:
                self.require(mode)
            await self._end(error=None)

    async def _start(self, mode: Mode, begin: Callable[[], Coroutine[None, None, None]]) -> None:
        self.require(mode)
        stops = self._stops
        async with self._changing:
            if stops != self._stops:
                raise StartInterrupted(mode)
            self.require(mode)
            self._unwatch()
            self._mode, self._error = mode, None
            self._starting = asyncio.create_task(begin())
            try:
                await self._starting
            except asyncio.CancelledError:
                await self._end(error=None)
                if stops != self._stops:
                    raise StartInterrupted(mode) from None
                raise
            except Exception as error:
                await self._end(error=str(error))
                raise
            finally:
                self._starting = None
            self._watching = asyncio.create_task(self._fall_back(mode))
            log.info("in mode %s", mode)

    async def _end(self, *, error: str | None) -> None:
        """Stop the activity of the present mode. Only while holding the lock."""
        self._unwatch()
        if activity := self._activities.get(self._mode):
            await activity.stop()
            log.info("in mode %s, after %s", Mode.STOPPED, error or "a stop")
        self._mode, self._error = Mode.STOPPED, error

    def _unwatch(self) -> None:
        watching, self._watching = self._watching, None
        if watching and watching is not asyncio.current_task():
            watching.cancel()

    async def _fall_back(self, mode: Mode) -> None:
        """Wait for the activity to break, then end the mode."""
        reason = await self._activities[mode].broken()
        async with self._changing:
            log.error("%s broke: %s", mode, reason)
            await self._end(error=reason)
