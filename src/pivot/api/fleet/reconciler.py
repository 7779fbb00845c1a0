"""One task per ML node that compares what the node should do with what it does, and acts on the difference.

A node that does not answer is set aside at once and looked at again soon; a command that fails is repeated after growing
pauses; a new duty ends whatever wait or command belongs to the old one. No node waits for another.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from pivot.api.fleet.client import MlNodeClient, MlNodeError, MlNodeUnreachable
from pivot.api.fleet.interface import Duty, FleetNode, Serve, Validate
from pivot.api.fleet.observation import Observation, command, fulfils, observe, same, under_way
from pivot.api.fleet.registry import RegisteredNode
from pivot.protocol.mlnode_api import InferenceStatus, Mode

POLL_S = 2.0
"""Between two looks at a node that does its duty."""
TRANSITION_POLL_S = 0.25
"""Between two looks at a node that is getting there."""
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
MAX_DOUBLINGS = 10
LAST_ANSWERS_S = 2.0
"""How long a node may finish its answers when a sprint calls it: every second costs its host weight."""
LEASE_POLL_S = 0.05
PATIENCE_S = 1_800.0
"""How long a node may be getting there (loading a model) before it is told again."""

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
        must_be_told: bool = False,
    ) -> None:
        """`changed` is called after every look. `must_be_told`: what the node serves now may be out of date."""
        self.node = node
        self.client = client
        self.leases = 0
        """Requests that it answers now."""
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
        self._must_be_told = must_be_told
        self._duty: Duty | None = None
        self._fulfils = False
        self._taken_at: float | None = None
        """When the node took the command for its present duty (monotonic seconds)."""
        self._failures = 0
        self._not_before = 0.0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"ml-node-{self.node.declaration.id}")

    async def close(self) -> None:
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
            self.seen = await observe(self.client, self.seen if self.reachable else None, self._duty)
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
            self._fulfils = self._duty is not None and not self._must_be_told and fulfils(self._duty, self.seen)
            if self._fulfils:
                self._failures, self.failure_reason = 0, ""
            elif self.seen.error:
                self.failure_reason = self.seen.error
        self._changed()

    def _note_unreachable(self, error: MlNodeError) -> None:
        if self.reachable or not self.failure_reason:
            log.warning("ML node %s is set aside: %s", self.node.declaration.id, error)
        self.reachable, self.failure_reason = False, str(error)

    def _note_warnings(self, seen: Observation) -> None:
        """Log what the node has not said before."""
        for sentence in seen.warnings:
            if sentence not in self.warnings:
                log.warning("ML node %s: %s", self.node.declaration.id, sentence)
        self.warnings = seen.warnings

    def _adopt_duty(self) -> None:
        duty = self._duty_of(self.view())
        if not same(duty, self._duty):
            self._fulfils, self._taken_at, self._failures, self._not_before = False, None, 0, 0.0
        self._duty = duty

    def _should_act(self) -> bool:
        if self._duty is None or self._fulfils or not self.reachable or self.seen is None:
            return False
        now = time.monotonic()
        if self._taken_at is not None and now < self._taken_at + PATIENCE_S and under_way(self._duty, self.seen):
            return False
        return now >= self._not_before

    async def _act(self) -> None:
        """Give the command; a new duty that comes meanwhile ends it."""
        duty, seen = self._duty, self.seen
        if duty is None or seen is None:
            return
        giving = asyncio.create_task(self._give(duty, seen))
        following = asyncio.create_task(self._follow_start(duty))
        try:
            while not giving.done() and same(self._duty_of(self.view()), duty):
                self._wake.clear()
                waking = asyncio.create_task(self._wake.wait())
                await asyncio.wait({giving, waking}, return_when=asyncio.FIRST_COMPLETED)
                waking.cancel()
        finally:
            giving.cancel()
            following.cancel()
            outcome, _ = await asyncio.gather(giving, following, return_exceptions=True)
            self.seen = self.starting = None  # whatever it was seen doing may be over
        if isinstance(outcome, Exception) and not isinstance(outcome, MlNodeError):
            raise outcome
        if not same(self._duty, duty):
            return
        if isinstance(outcome, MlNodeError):
            self._note_failure(outcome)
        elif outcome is None:
            self._must_be_told, self._taken_at, self.failure_reason = False, time.monotonic(), ""
            self._back_off()  # a node that took the command and does not follow is told again, ever more rarely

    async def _give(self, duty: Duty, seen: Observation) -> None:
        """Give the command, after the answers that the node is in the midst of, if they do not take long."""
        deadline = time.monotonic() + LAST_ANSWERS_S
        while seen.healthy and self.leases and time.monotonic() < deadline:
            await asyncio.sleep(LEASE_POLL_S)
        now = self._duty_of(self.view())  # the sprint goes on meanwhile
        await command(self.client, now if now is not None and same(now, duty) else duty, seen)

    async def _follow_start(self, duty: Duty) -> None:
        """See how a start of serving goes on, which may take minutes, while the command for it waits."""
        while isinstance(duty, Serve):
            await asyncio.sleep(POLL_S)
            self.starting = await self.client.inference_status()

    def _note_failure(self, error: MlNodeError) -> None:
        pause = self._back_off()
        self.failure_reason = str(error)
        if isinstance(error, MlNodeUnreachable):
            self.reachable = False
        log.warning("ML node %s did not take its duty, again in %.1f s: %s", self.node.declaration.id, pause, error)

    def _back_off(self) -> float:
        """Seconds until the next attempt."""
        pause = min(FIRST_PAUSE_S * (1 << min(self._failures, MAX_DOUBLINGS)), LONGEST_PAUSE_S)
        self._failures += 1
        self._not_before = time.monotonic() + pause
        return pause

    def _pause(self) -> float:
        if self._duty is None or self._fulfils or not self.reachable:
            return POLL_S
        return TRANSITION_POLL_S
