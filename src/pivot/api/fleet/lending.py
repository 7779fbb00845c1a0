"""Which node answers a request: the least busy one that is seen serving the model, or a place in a bounded queue.

A lease lasts until the answer has ended (not only its headers), so `max_concurrent` holds for streams as well.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager

import aiohttp

from pivot.api.fleet.interface import Lease, NoNodeAvailable
from pivot.api.fleet.reconciler import NodeReconciler

MAX_WAITING = 1_000
"""Requests that may wait for a node at a time."""
UNREACHABLE_WAIT_S = 4.0
"""How long a request waits while no node of its model answers: two looks, so that one failed look costs no request."""
RECONSIDER_S = 0.5
"""How often a waiting request sees whether there is still hope."""


class Lending:
    """Leases on the nodes of the fleet."""

    def __init__(self, nodes: Callable[[], Collection[NodeReconciler]]) -> None:
        self._nodes = nodes
        self._waiting: dict[asyncio.Future[NodeReconciler], str] = {}

    @property
    def waiting(self) -> int:
        """Requests that wait for a free node."""
        return len(self._waiting)

    @asynccontextmanager
    async def lend(self, model: str, *, wait_s: float, spare: bool = False) -> AsyncIterator[Lease]:
        """As `Fleet.lend`. spare: only a node that is at most half busy, and at once, so that customers wait for nobody."""
        node = self._take(model, spare=spare)
        if node is None and spare:
            raise NoNodeAvailable(f"no ML node of this host that serves the model {model!r} is idle enough")
        node = node or await self._wait(model, wait_s)
        try:
            yield Lease(node.node.declaration.id, node.client.inference_url)
        except (ConnectionError, aiohttp.ClientConnectionError) as error:
            node.set_aside(f"a request failed: {type(error).__name__} {error}".rstrip())
            raise
        finally:
            self._give_back(node)

    def changed(self) -> None:
        """Something about the nodes changed: hand what is free to those who waited longest."""
        for waiter, model in self._waiting.items():
            if not waiter.done() and (node := self._take(model)):
                waiter.set_result(node)

    def _take(self, model: str, *, spare: bool = False) -> NodeReconciler | None:
        """The least busy node that serves the model and has room, with one more lease on it."""
        free = [node for node in self._nodes() if node.serves(model) and node.leases < _room(node, spare=spare)]
        if not free:
            return None
        chosen = min(free, key=lambda node: (node.leases, node.node.node_number))
        chosen.leases += 1
        return chosen

    def _give_back(self, node: NodeReconciler) -> None:
        node.leases -= 1
        self.changed()

    async def _wait(self, model: str, wait_s: float) -> NodeReconciler:
        """A node as soon as one is free, first come first served. Raises NoNodeAvailable."""
        if not any(model in each.node.declaration.models for each in self._nodes()):
            raise NoNodeAvailable(f"no ML node of this host is declared for the model {model!r}")
        if len(self._waiting) >= MAX_WAITING:
            raise NoNodeAvailable(f"{MAX_WAITING} requests wait for an ML node already")
        now = asyncio.get_running_loop().time
        deadline, hope_ends = now() + wait_s, now() + UNREACHABLE_WAIT_S
        waiter: asyncio.Future[NodeReconciler] = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = model
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
            del self._waiting[waiter]
            if waiter.done() and not received:
                self._give_back(waiter.result())

    def _hopeful(self, model: str) -> bool:
        """Whether a node that is declared for the model answers, so that it may serve in a while."""
        return any(each.reachable and model in each.node.declaration.models for each in self._nodes())


def _room(node: NodeReconciler, *, spare: bool) -> int:
    """Leases that a node may have, or up to which it counts as idle enough for what can wait."""
    most = node.node.declaration.max_concurrent
    return -(-most // 2) if spare else most
