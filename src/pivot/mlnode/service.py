"""One exclusive mode at a time: the ML node's state machine.

`changes.py` has every way from mode to mode; whatever is not in it is refused. Changes happen one after the other; only a stop
does not wait its turn: it interrupts a start that is under way, and those that wait behind it. Each is bounded in time, and
nothing that hangs keeps its caller: what does not end is ended by force. When an activity breaks, the node falls back to
STOPPED and keeps the reason.

A plain stop, which may be followed by a sprint and then by the same model again, parks the engine where it can: its weights stay
in the machine's memory, and the devices are free. A parked engine is no mode; it is ended when another model or a training is
asked for, or after PARKED_S.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Protocol

from pivot.mlnode.changes import (
    BREAK,
    CHECK,
    END,
    END_NODE,
    END_SERVING,
    END_TRAINING,
    FORCED_STOP_S,
    GENERATE,
    LEARN,
    SERVE,
    STOP_S,
    STOPPED,
    Change,
)
from pivot.mlnode.descendants import kill_descendants
from pivot.mlnode.engines.base import Engine
from pivot.mlnode.poc.session import PowSession
from pivot.mlnode.training.job import AlreadyTraining, NotTraining
from pivot.mlnode.watches import instances_down, late_sprint
from pivot.protocol.mlnode_api import (
    MAX_ERROR_LENGTH,
    MAX_WARNINGS,
    InferenceState,
    InferenceStatus,
    InferenceUp,
    Mode,
    NodeState,
    PowInit,
    PowStatus,
    TrainStart,
    TrainStatus,
    ValidateRequest,
)

PARKED_S = 1_800.0
"""How long an engine stays parked: longer than a sprint and its checks, not for ever where the node is not to serve again."""

log = logging.getLogger(__name__)


class Activity(Protocol):
    """What a mode stands for."""

    async def stop(self) -> None:
        """End it; does nothing when it does not run."""
        ...

    async def broken(self) -> str:
        """Wait until it ends by itself. Returns why, in a sentence; an empty one when it has finished its work."""
        ...


class Training(Activity, Protocol):
    """The activity of the mode TRAIN."""

    async def start(self, request: TrainStart) -> None: ...

    def status(self) -> TrainStatus: ...


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


class StartTooSlow(Exception):
    """A start took longer than it may."""

    def __init__(self, change: Change) -> None:
        super().__init__(f"{change.leads_to} did not start within {change.limit_s:.0f} s.")


class StopFailed(Exception):
    """An activity does not end, or says that it could not. The node stays in its mode; the next stop tries again."""


class OtherSprint(Exception):
    """Leaves of another sprint than the one that is loaded."""

    def __init__(self, of: str, checked: str) -> None:
        super().__init__(f"the leaves are of {of}, and the node checks those of {checked}")


class Service:
    """The ML node's modes, and the only way from one to another.

    notices: asked for what else the node has to say of itself in its state.
    """

    def __init__(
        self,
        sprint: PowSession,
        engine: Engine,
        training: Training,
        notices: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._sprint = sprint
        self._engine = engine
        self._training = training
        self._notices = notices
        self._activities: dict[Mode, Activity] = {Mode.POW: sprint, Mode.INFERENCE: engine, Mode.TRAIN: training}
        self._mode = Mode.STOPPED
        self._error: str | None = None
        self._init: PowInit | None = None
        self._changing = asyncio.Lock()
        self._interrupted: asyncio.Future[None] | None = None
        """While a start is under way: done when a stop comes."""
        self._watching: asyncio.Task[None] | None = None
        self._forgetting: asyncio.Task[None] | None = None
        """Ends an engine that stays parked."""
        self._stops = 0

    @property
    def state(self) -> NodeState:
        """What the node is doing; a mode counts from the moment in which its start begins."""
        warnings = [sentence[:MAX_ERROR_LENGTH] for sentence in (*self._of_mode(), *self._notices())]
        return NodeState(state=self._mode, error=self._error, warnings=warnings[:MAX_WARNINGS])

    @property
    def sprint_init(self) -> PowInit | None:
        """What the node was told about the sprint in which it is."""
        return self._init if self._mode == Mode.POW else None

    @property
    def pow_status(self) -> PowStatus:
        """What the proof of compute is doing."""
        return self._sprint.status()

    @property
    def inference_status(self) -> InferenceStatus:
        """What serves, or how far its start has come."""
        return self._engine.status

    @property
    def train_status(self) -> TrainStatus:
        """Whether a training runs, and how the last one ended."""
        return self._training.status()

    def require(self, mode: Mode) -> None:
        """Refuse what belongs to another mode than the one that runs. Raises ModeConflict."""
        if self._mode not in {Mode.STOPPED, mode}:
            raise ModeConflict(mode, self._mode)

    async def serve(self, request: InferenceUp) -> None:
        """Go to INFERENCE; returns once the engine answers. Raises EngineFailed.

        Every start raises ModeConflict, StartInterrupted, StartTooSlow, and StopFailed when it has to be taken back and cannot.
        """
        await self._begin(SERVE, lambda: self._engine.start(request))

    async def generate(self, init: PowInit) -> None:
        """Go to POW and generate fingerprints."""
        await self._begin(GENERATE, lambda: self._sprint.generate(init))
        self._init = init

    async def validate(self, init: PowInit) -> None:
        """Go to POW and be ready to check leaves."""
        await self._begin(CHECK, lambda: self._sprint.validate(init))
        self._init = init.model_copy(update={"blocks_late": 0})  # what is late here is no sprint

    async def train(self, request: TrainStart) -> None:
        """Go to TRAIN; returns once the job runs. Raises AlreadyTraining, TrainingFailed."""
        await self._begin(LEARN, lambda: self._learn(request))

    def submit(self, request: ValidateRequest) -> None:
        """Check leaves; the answer goes out as a call-back. Raises ModeConflict, NotValidating, OtherSprint, TooMuchWaiting."""
        self.require(Mode.POW)
        if self._init:
            _require_of(self._init, request)
        self._sprint.submit(request)

    async def stop(self, change: Change = END) -> None:
        """Go to STOPPED. Raises ModeConflict when the change does not begin in the mode that runs, StopFailed."""
        self._require(change)
        self._stops += 1
        if self._interrupted and not self._interrupted.done():
            self._interrupted.set_result(None)
        async with self._changing:
            self._require(change)
            await self._end(error=None, change=change)

    async def _learn(self, request: TrainStart) -> None:
        if self._parked:
            await self._engine.stop()
        await self._training.start(request)

    def _of_mode(self) -> list[str]:
        """What there is to say of that which runs."""
        if self._mode == Mode.POW:
            return late_sprint(self._init)
        if self._mode == Mode.INFERENCE:
            return instances_down(self._engine.status)
        return []

    def _require(self, change: Change) -> None:
        if self._mode in change.begins_in:
            return
        if change is LEARN and self._mode == Mode.TRAIN:
            raise AlreadyTraining
        if change is END_TRAINING and self._mode == Mode.STOPPED:
            raise NotTraining
        [wanted] = (change.begins_in - STOPPED) or {change.leads_to}
        raise ModeConflict(wanted, self._mode)

    async def _begin(self, change: Change, begin: Callable[[], Coroutine[None, None, None]]) -> None:
        self._require(change)
        stops = self._stops
        async with self._changing:
            if stops != self._stops:
                raise StartInterrupted(change.leads_to)
            self._require(change)
            self._unwatch()
            self._mode, self._error, self._init = change.leads_to, None, None
            try:
                await self._start(change, begin)
            except (asyncio.CancelledError, StartInterrupted):
                await self._end(error=None)
                raise
            except Exception as error:
                await self._end(error=str(error))
                raise
            self._watching = asyncio.create_task(self._fall_back(change.leads_to))
            log.info("in mode %s", change.leads_to)

    async def _start(self, change: Change, begin: Callable[[], Coroutine[None, None, None]]) -> None:
        """Run a start until it is done, takes too long, or is interrupted; nothing of it is left under way."""
        starting = asyncio.create_task(begin())
        self._interrupted = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait(
                {starting, self._interrupted}, timeout=change.limit_s, return_when=asyncio.FIRST_COMPLETED
            )
            if starting.done():
                return starting.result()
            raise StartInterrupted(change.leads_to) if self._interrupted.done() else StartTooSlow(change)
        finally:
            self._interrupted = None
            starting.cancel()
            if await _ended(starting) and not starting.cancelled():
                starting.exception()  # seen: the caller gets it, or one that says more

    async def _end(self, *, error: str | None, change: Change = BREAK) -> None:
        """Go to STOPPED. Only while holding the lock. A caller that goes away does not keep it from being done. Raises StopFailed."""
        self._unwatch()
        ending = asyncio.create_task(self._stop_activity(change))
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            await asyncio.wait({ending})
            raise
        finally:
            if ending.done() and not ending.exception():
                if self._mode != Mode.STOPPED:
                    log.info("in mode %s, after %s", Mode.STOPPED, error or "a stop")
                self._mode, self._error, self._init = Mode.STOPPED, error, None

    async def _stop_activity(self, change: Change) -> None:
        """Stop what runs, by force if need be. Raises StopFailed."""
        stopping = asyncio.create_task(self._stop_by(change))
        if not await _ended(stopping):
            stopping.cancel()
            self._error = f"{self._mode} does not end, not even by force. Start this node again."
            raise StopFailed(self._error)
        failure = None if stopping.cancelled() else stopping.exception()
        if failure:
            self._error = f"{self._mode} could not be ended: {failure}"
            raise StopFailed(self._error) from failure

    async def _stop_by(self, change: Change) -> None:
        """Park or end what runs, and end a parked engine where the change says so."""
        if change is END and self._mode == Mode.INFERENCE:
            await self._engine.park()
            self._forget_in_time()
            return
        if activity := self._activities.get(self._mode):
            await activity.stop()
        if change in {END_NODE, END_SERVING} and self._parked:
            await self._engine.stop()

    @property
    def _parked(self) -> bool:
        return self._engine.status.state == InferenceState.PARKED

    def _forget_in_time(self) -> None:
        if self._forgetting:
            self._forgetting.cancel()
        self._forgetting = asyncio.create_task(self._forget()) if self._parked else None

    async def _forget(self) -> None:
        """End a parked engine after a while, unless it has been woken by then."""
        await asyncio.sleep(PARKED_S)
        async with self._changing:
            if not self._parked:
                return
            log.info("the parked engine is ended: it was not asked for within %.0f s", PARKED_S)
            try:
                await asyncio.wait_for(self._engine.stop(), STOP_S)
            except (OSError, TimeoutError) as error:
                log.error("the parked engine could not be ended: %r", error)  # noqa: TRY400  its sentence says it all

    def _unwatch(self) -> None:
        watching, self._watching = self._watching, None
        if watching and watching is not asyncio.current_task():
            watching.cancel()

    async def _fall_back(self, mode: Mode) -> None:
        """Wait for the activity to end by itself, then end the mode."""
        reason = await self._activities[mode].broken()
        async with self._changing:
            if reason:
                log.error("%s broke: %s", mode, reason)
            try:
                await self._end(error=reason or None)
            except StopFailed as failure:
                log.error("%s", failure)  # noqa: TRY400  its sentence says it all


def _require_of(init: PowInit, request: ValidateRequest) -> None:
    """Refuse leaves of another sprint, where a request tells of which they are. Raises OtherSprint."""
    if request.epoch not in {None, init.epoch}:
        raise OtherSprint(f"epoch {request.epoch}", f"epoch {init.epoch}")
    if request.sprint_seed is not None and request.sprint_seed.lower() != init.sprint_seed:
        raise OtherSprint(f"another seed of epoch {init.epoch}", f"seed {init.sprint_seed}")


async def _ended(task: asyncio.Task[None]) -> bool:
    """Wait until something has ended, at last by killing all processes that this node has started. False if it has not."""
    await asyncio.wait({task}, timeout=STOP_S)
    if not task.done():
        log.error("%d processes that do not end are killed", kill_descendants())
        await asyncio.wait({task}, timeout=FORCED_STOP_S)
    return task.done()
