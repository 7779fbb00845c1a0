"""Which node answers a request: the least busy one that is seen serving the model, or a place in a bounded queue.

A lease lasts until the answer has ended (not only its headers), so `max_concurrent` holds for streams as well. How leases end
tells whether a node answers at all (`load.py`): one that fails what it is asked is lent to nobody while others serve the model.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pivot.api.fleet.interface import Lease, NodeFault, NoNodeAvailable
from pivot.api.fleet.reconciler import NodeReconciler

MAX_WAITING = 1_000
"""Requests that may wait for a node at a time."""
UNREACHABLE_WAIT_S = 4.0
"""How long a request waits while no node of its model answers: two looks, so that one failed look costs no request."""
RECONSIDER_S = 0.5
"""How often a waiting request sees whether there is still hope."""
AVOIDED_S = 5.0
"""A node that has failed a request is asked after the others for so long: the same request is tried elsewhere."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Place:
    """A node, with one more lease on it."""

    node: NodeReconciler
    is_trial: bool
    """Whether its request finds out if the node answers again."""


_Waiter = asyncio.Future[_Place]


class Lending:
    """Leases on the nodes of the fleet. Time is that of a clock that never goes back, in seconds."""

    def __init__(
        self, nodes: Callable[[], Collection[NodeReconciler]], monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._nodes = nodes
        self._monotonic_s = monotonic_s
        self._lines: dict[str, dict[_Waiter, None]] = {}
        """Those who wait, by model, in the order in which they came."""

    @property
    def waiting(self) -> int:
        """Requests that wait for a free node."""
        return sum(map(len, self._lines.values()))

    @asynccontextmanager
    async def lend(self, model: str, *, wait_s: float, spare: bool = False) -> AsyncIterator[Lease]:
        """As `Fleet.lend`.

        spare: only a node that is at most half busy, and at once, so that customers wait for nobody. It asks what no customer
        asks, so its failures say nothing against the node.
        """
        place = self._take(model, spare=spare)
        if place is None and spare:
            raise NoNodeAvailable(f"no ML node of this host that serves the model {model!r} is idle enough")
        place = place or await self._wait(model, wait_s)
        node = place.node
        try:
            yield Lease(node.node.declaration.id, node.client.inference_url)
        except NodeFault as fault:
            if not spare:
                self._note_failure(node, fault)
            if isinstance(fault, ConnectionError):
                node.set_aside(f"a request failed: {fault}")
            raise
        else:
            node.load.breaker.succeeded(self._monotonic_s())
        finally:
            self._give_back(place)

    def changed(self) -> None:
        """Something about the nodes changed: hand what is free to those who waited longest."""
        for model, line in self._lines.items():
            while line and (place := self._take(model)):
                waiter = next(iter(line))
                del line[waiter]
                waiter.set_result(place)

    def _take(self, model: str, *, spare: bool = False) -> _Place | None:
        """The least busy node that serves the model and has room. One that fails is taken only where all do."""
        now_s = self._monotonic_s()
        serving = [node for node in self._nodes() if node.serves(model)]
        trusted = [node for node in serving if not node.load.breaker.is_open(now_s)]
        free = [node for node in trusted or serving if node.load.leases < _room(node, spare=spare)]
        if spare:
            free = [node for node in free if not node.load.failing]
        if not free:
            return None
        chosen = min(free, key=lambda node: _rank(node, now_s))
        chosen.load.leases += 1
        return _Place(chosen, chosen.load.breaker.begin())

    def _give_back(self, place: _Place) -> None:
        place.node.load.leases -= 1
        place.node.load.breaker.end(is_trial=place.is_trial)
        self.changed()

    def _note_failure(self, node: NodeReconciler, fault: NodeFault) -> None:
        load, now_s = node.load, self._monotonic_s()
        load.last_failure = str(fault)
        node.doubt()
        if load.breaker.failed(now_s, in_doubt=True):
            rest_s = load.breaker.open_until_s - now_s
            failures, node_id = load.breaker.failures, node.node.declaration.id
            log.warning(
                "ML node %s fails, %d times in a row; it rests for %.0f s: %s", node_id, failures, rest_s, fault
            )

    async def _wait(self, model: str, wait_s: float) -> _Place:
        """A place as soon as one is free, first come first served. Raises NoNodeAvailable."""
        if not any(model in each.node.declaration.models for each in self._nodes()):
            raise NoNodeAvailable(f"no ML node of this host is declared for the model {model!r}")
        if self.waiting >= MAX_WAITING:
            raise NoNodeAvailable(f"{MAX_WAITING} requests wait for an ML node already")
        now = asyncio.get_running_loop().time
        deadline, hope_ends = now() + wait_s, now() + UNREACHABLE_WAIT_S
        waiter: _Waiter = asyncio.get_running_loop().create_future()
        line = self._lines.setdefault(model, {})
        line[waiter] = None
        received = False
        try:
            while not waiter.done():
                if self._hopeful(model):
                    hope_ends = now() + UNREACHABLE_WAIT_S
                left = min(deadline, hope_ends) - now()
                if left <= 0:
                    raise NoNodeAvailable(f"no ML node of this host serves the model {model!r} now")
                await asyncio.wait({waiter}, timeout=min(left, RECONSIDER_S))
            received = True
            return waiter.result()
        finally:
            line.pop(waiter, None)
            if not line and self._lines.get(model) is line:
                del self._lines[model]
            if waiter.done() and not received:
                self._give_back(waiter.result())

    def _hopeful(self, model: str) -> bool:
        """Whether a node that is declared for the model answers, so that it may serve in a while."""
        return any(each.reachable and model in each.node.declaration.models for each in self._nodes())


def _rank(node: NodeReconciler, now_s: float) -> tuple[bool, float, int, int]:
    """The least is asked first: the largest share of places free, then the most of them."""
    load, places = node.load, node.node.declaration.max_concurrent
    avoided = now_s < load.breaker.failed_s + AVOIDED_S
    return avoided, load.leases / places, load.leases - places, node.node.node_number


def _room(node: NodeReconciler, *, spare: bool) -> int:
    """Leases that a node may have, or up to which it counts as idle enough for what can wait."""
    most = node.node.declaration.max_concurrent
    return -(-most // 2) if spare else most
