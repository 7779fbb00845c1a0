"""One task per ML node that compares what the node should do with what it does, and acts on the difference.

A node that does not answer is set aside at once and looked at again soon; a command that fails is repeated after growing
pauses; a new duty ends whatever wait or command belongs to the old one. No node waits for another, and a node that hangs
holds one connection for the looks and one for a command, however long it does.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections import deque
from collections.abc import Callable

from pivot.api.fleet.client import MlNodeClient, MlNodeError, MlNodeUnreachable
from pivot.api.fleet.interface import Duty, FleetNode, Serve, Stop, Validate
from pivot.api.fleet.load import Load
from pivot.api.fleet.observation import Observation, command, fulfils, observe, same, under_way
from pivot.api.fleet.registry import RegisteredNode
from pivot.protocol.mlnode_api import InferenceStatus, Mode

POLL_S = 2.0
"""Between two looks at a node that does its duty."""
LOOK_S = 2.5
"""For all questions of one look. With POLL_S: a node that hangs is lent to nobody after 4.5 s at the latest."""
JITTER = 0.2
"""Every pause is shorter by up to this share, so that many nodes do not keep the same step."""
SLEPT_S = 0.25
"""When this process comes so much too late to see a look's time run out, the look says nothing about the node."""
TRANSITION_POLL_S = 0.25
"""Between two looks at a node that is getting there, at first; each further pause is longer, up to POLL_S."""
TRANSITION_GROWTH = 1.25
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
MAX_DOUBLINGS = 10
LAST_ANSWERS_S = 2.0
"""How long a node may finish its answers when a sprint or a training calls it: every second costs its host weight."""
LONGEST_ANSWERS_S = 600.0
"""The same when nothing presses (it is to rest, or to serve with other arguments): the longest generation."""
LEASE_POLL_S = 0.05
SILENCE_S = 30.0
"""A command is given up when the node is silent for so long, or was seen at it and has been idle for so long since."""
PATIENCE_S = 1_800.0
"""How long a node may be getting there (loading a model), whoever has told it, before it is told again."""
RECOVERY_S = 60.0
"""The same for an engine that has served: a health check that fails now and then ends no streams."""
LOGGED_WARNINGS = 20
"""Of one node in WARNINGS_S: a node that says something else at every look does not fill the disk."""
WARNINGS_S = 60.0

log = logging.getLogger(__name__)


class NodeReconciler:
    """One ML node of the fleet: what is known of it, and the task that keeps it at its duty."""

    def __init__(
        self,
        node: RegisteredNode,
        client: MlNodeClient,
        *,
        duty_of: Callable[[FleetNode], Duty | None],
        changed: Callable[[], None],
        load: Load | None = None,
        must_be_told: bool = False,
    ) -> None:
        """`changed` is called after every look. `must_be_told`: what the node serves now may be out of date."""
        self.node = node
        self.client = client
        self.load = load or Load()
        self.seen: Observation | None = None
        self.seen_at_ns = 0
        """Wall-clock time of the last look that was answered."""
        self.reachable = False
        self.failure_reason = ""
        self.warnings: tuple[str, ...] = ()
        """What the node had to say of itself at the last look that was answered."""
        self.starting: InferenceStatus | None = None
        """How far its start of serving has come; None when none is under way, or it does not tell."""
        self._duty_of = duty_of
        self._changed = changed
        self.must_be_told = must_be_told
        self._duty: Duty | None = None
        self._fulfils = False
        self._doubted = False
        """Whether a request has failed, so that what the node serves is to be asked again."""
        self._has_fulfilled = False
        """Whether it was seen at its present duty."""
        self._under_way_since: float | None = None
        """Since when it is getting there (monotonic seconds); None while it is not."""
        self._failures = 0
        self._not_before = 0.0
        self._transition_s = TRANSITION_POLL_S
        self._logged: deque[float] = deque(maxlen=LOGGED_WARNINGS)
        """When its last warnings were logged (monotonic seconds)."""
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"ml-node-{self.node.declaration.id}")

    async def close(self) -> None:
        """Care for it no more: whoever has asked it for leaves asks another."""
        self._fulfils = False
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def wake(self) -> None:
        """Look again now: the duty may have changed. With another duty the node is lent to nobody from here on."""
        self._adopt_duty()
        self._wake.set()

    def set_aside(self, reason: str) -> None:
        """The node failed a request: lend it to nobody until it is seen healthy again."""
        self.reachable, self._fulfils, self.failure_reason = False, False, reason
        self._changed()
        self.wake()

    def doubt(self) -> None:
        """The node failed a request: at the next look it is asked again what it serves."""
        self._doubted = True

    def serves(self, model: str) -> bool:
        """Whether it was last seen serving this model, as it should."""
        return self._fulfils and isinstance(self._duty, Serve) and self._duty.model == model

    def validates(self) -> bool:
        """Whether it was last seen ready to check leaves."""
        return self._fulfils and isinstance(self._duty, Validate)

    def view(self) -> FleetNode:
        declaration = self.node.declaration
        return FleetNode(
            id=declaration.id,
            node_number=self.node.node_number,
            models={model: tuple(arguments.args) for model, arguments in declaration.models.items()},
            max_concurrent=declaration.max_concurrent,
            management_url=declaration.management_url,
            inference_url=declaration.inference_url,
            enabled=self.node.enabled,
            reachable=self.reachable,
            duty=self._duty,
            fulfils=self._fulfils,
            changed_in_epoch=self.node.changed_in_epoch,
            failing=self._fulfils and isinstance(self._duty, Serve) and self.load.failing,
            training=self.seen.training if self.seen else None,
        )

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._look()
                if self._should_act():
                    await self._act()
                    continue
            except Exception:  # a fault in one node's duty must not end the care for it
                log.exception("ML node %s could not be looked after", self.node.declaration.id)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._wake.wait()

    async def _look(self) -> None:
        """Observe the node, then ask what its duty is: leaves that it sent before it was seen are counted by then."""
        try:
            self.seen = await self._observed()
        except MlNodeError as error:
            self._note_unreachable(error)
            self._adopt_duty()
            self._fulfils = False
        else:
            self.reachable, self.seen_at_ns = True, time.time_ns()
            self._note_warnings(self.seen)
            loading = self.seen.mode == Mode.INFERENCE and not self.seen.healthy
            self.starting = await self.client.inference_status() if loading else None
            self._adopt_duty()
            self._fulfils = self._duty is not None and not self.must_be_told and fulfils(self._duty, self.seen)
            if self._fulfils:
                self._failures, self.failure_reason = 0, ""
                self._has_fulfilled, self._under_way_since = True, None
            elif self.seen.error:
                self.failure_reason = self.seen.error
        self._changed()

    async def _observed(self) -> Observation:
        """What the node is seen doing. Raises MlNodeError."""
        before = self.seen if self.reachable and not self._doubted else None
        self._doubted = False
        loop = asyncio.get_running_loop()
        for is_last in (False, True):
            deadline = loop.time() + LOOK_S
            try:
                async with asyncio.timeout_at(deadline):
                    return await observe(self.client, before, self._duty)
            except MlNodeUnreachable:
                if is_last or loop.time() < deadline + SLEPT_S:
                    raise
            except TimeoutError:
                if is_last or loop.time() < deadline + SLEPT_S:
                    raise MlNodeUnreachable(
                        f"{self.client.management_url} has not answered all questions of a look in {LOOK_S:g} s"
                    ) from None
        raise AssertionError("the last look has an end")

    def _note_unreachable(self, error: MlNodeError) -> None:
        if self.reachable or not self.failure_reason:
            log.warning("ML node %s is set aside: %s", self.node.declaration.id, error)
        self.reachable, self.failure_reason = False, str(error)

    def _note_warnings(self, seen: Observation) -> None:
        """Log what the node has not said before."""
        now = time.monotonic()
        for sentence in seen.warnings:
            is_full = len(self._logged) == LOGGED_WARNINGS and now < self._logged[0] + WARNINGS_S
            if sentence not in self.warnings and not is_full:
                log.warning("ML node %s: %s", self.node.declaration.id, sentence)
                self._logged.append(now)
        self.warnings = seen.warnings

    def _adopt_duty(self) -> None:
        duty = self._duty_of(self.view())
        if not same(duty, self._duty):
            self._fulfils, self._has_fulfilled, self._under_way_since = False, False, None
            self._failures, self._not_before, self._transition_s = 0, 0.0, TRANSITION_POLL_S
        self._duty = duty

    def _should_act(self) -> bool:
        if self._duty is None or self._fulfils or not self.reachable or self.seen is None:
            return False
        now = time.monotonic()
        if self.must_be_told or not under_way(self._duty, self.seen):
            self._under_way_since = None
        else:
            self._under_way_since = self._under_way_since or now
            patience = RECOVERY_S if self._has_fulfilled and isinstance(self._duty, Serve) else PATIENCE_S
            if now < self._under_way_since + patience:
                return False
        return now >= self._not_before

    async def _act(self) -> None:
        """Give the command; a new duty that comes meanwhile ends it."""
        duty, seen = self._duty, self.seen
        if duty is None or seen is None:
            return
        giving = asyncio.create_task(self._give(duty, seen))
        watching = asyncio.create_task(self._watch(duty))
        try:
            while not giving.done() and not watching.done() and same(self._duty_of(self.view()), duty):
                self._wake.clear()
                waking = asyncio.create_task(self._wake.wait())
                await asyncio.wait({giving, watching, waking}, return_when=asyncio.FIRST_COMPLETED)
                waking.cancel()
        finally:
            lost = watching.exception() if watching.done() and not giving.done() else None
            giving.cancel()
            watching.cancel()
            outcome, _ = await asyncio.gather(giving, watching, return_exceptions=True)
            outcome = lost or outcome
            self.seen = self.starting = None  # whatever it was seen doing may be over
            self._transition_s = TRANSITION_POLL_S
        if isinstance(outcome, Exception) and not isinstance(outcome, MlNodeError):
            raise outcome
        if not same(self._duty, duty):
            return
        if isinstance(outcome, MlNodeError):
            self._note_failure(outcome)
        elif outcome is None:
            self.must_be_told, self.failure_reason = False, ""
            self._has_fulfilled, self._under_way_since = False, None
            self._back_off()  # a node that took the command and does not follow is told again, ever more rarely

    async def _give(self, duty: Duty, seen: Observation) -> None:
        """Give the command, after the answers that the node is in the midst of, if they do not take long."""
        deadline = time.monotonic() + (LONGEST_ANSWERS_S if isinstance(duty, Serve | Stop) else LAST_ANSWERS_S)
        while seen.healthy and self.load.leases and time.monotonic() < deadline:
            await asyncio.sleep(LEASE_POLL_S)
        now = self._duty_of(self.view())  # the sprint goes on meanwhile
        await command(self.client, now if now is not None and same(now, duty) else duty, seen)

    async def _watch(self, duty: Duty) -> None:
        """See how a start of serving goes on, which may take minutes, while the command for it waits.

        Raises MlNodeUnreachable when the command's answer is not to be expected any more: the node hangs, or has begun anew.
        """
        has_begun, last_sign_s = False, time.monotonic()
        while time.monotonic() < last_sign_s + SILENCE_S:
            await asyncio.sleep(POLL_S)
            try:
                mode = (await self.client.state()).state
                self.starting = await self.client.inference_status() if isinstance(duty, Serve) else None
            except MlNodeUnreachable:
                continue
            except MlNodeError:
                mode = None
            if mode != Mode.STOPPED or not has_begun:
                last_sign_s = time.monotonic()
            has_begun = has_begun or mode != Mode.STOPPED
        raise MlNodeUnreachable(f"{self.client.management_url} is silent, or has begun anew: its command is lost")

    def _note_failure(self, error: MlNodeError) -> None:
        pause = self._back_off()
        self.failure_reason = str(error)
        if isinstance(error, MlNodeUnreachable):
            self.reachable = False
        log.warning("ML node %s did not take its duty, again in %.1f s: %s", self.node.declaration.id, pause, error)

    def _back_off(self) -> float:
        """Seconds until the next attempt."""
        pause = _shortened(min(FIRST_PAUSE_S * (1 << min(self._failures, MAX_DOUBLINGS)), LONGEST_PAUSE_S))
        self._failures += 1
        self._not_before = time.monotonic() + pause
        return pause

    def _pause(self) -> float:
        """Seconds until the next look."""
        if self._duty is None or self._fulfils or not self.reachable:
            return _shortened(POLL_S)
        pause, self._transition_s = self._transition_s, min(self._transition_s * TRANSITION_GROWTH, POLL_S)
        return _shortened(pause)


def _shortened(pause_s: float) -> float:
    return pause_s * random.uniform(1 - JITTER, 1)
