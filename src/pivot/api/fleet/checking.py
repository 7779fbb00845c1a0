"""Leaves that own nodes compute again: sent to one node, to the next when it fails, answered through the call-back port."""

import asyncio
import logging
from collections.abc import Callable, Collection

from pivot.api.fleet.client import MlNodeError
from pivot.api.fleet.interface import NoNodeAvailable
from pivot.api.fleet.reconciler import NodeReconciler
from pivot.protocol.mlnode_api import ValidateRequest

RECONSIDER_S = 0.1
"""How often a check sees whether a node has become ready, or is not any more."""

log = logging.getLogger(__name__)


class Checking:
    """Checks under way on the nodes of the fleet."""

    def __init__(self, nodes: Callable[[], Collection[NodeReconciler]]) -> None:
        self._nodes = nodes
        self._answers: dict[str, tuple[int, asyncio.Future[list[int]]]] = {}
        self._load: dict[str, int] = {}
        """Leaves that each node, by its id, has been sent and not answered."""

    async def distances(self, request: ValidateRequest, *, timeout_s: float) -> list[int]:
        """As `Fleet.distances`. A node that is silent for its share of the time is passed over for the next."""
        now = asyncio.get_running_loop().time
        deadline = now() + timeout_s
        answer: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        self._answers[request.batch_id] = len(request.nonces), answer
        tried: set[str] = set()
        try:
            while (left := deadline - now()) > 0:
                node, candidates = self._next(tried)
                if node is None:
                    tried.clear()
                    await asyncio.wait({answer}, timeout=min(left, RECONSIDER_S))
                else:
                    tried.add(node.node.declaration.id)
                    await self._ask(node, request, answer, left / candidates)
                if answer.done():
                    return answer.result()
        finally:
            del self._answers[request.batch_id]
        raise NoNodeAvailable(f"no ML node of this host has checked batch {request.batch_id} in {timeout_s:.1f} s")

    def accept(self, batch_id: str, distances: list[int]) -> None:
        """A node's answer has arrived. One that fits no waiting batch is ignored."""
        count, answer = self._answers.get(batch_id, (0, None))
        if answer is None or answer.done():
            return
        if len(distances) != count:
            log.warning("an ML node answered batch %s with %d distances, not %d", batch_id, len(distances), count)
            return
        answer.set_result(distances)

    def _next(self, tried: set[str]) -> tuple[NodeReconciler | None, int]:
        """The least loaded node that is ready and not tried yet, and how many such nodes there are."""
        ready = [node for node in self._nodes() if node.validates() and node.node.declaration.id not in tried]
        if not ready:
            return None, 0
        least = min(ready, key=lambda node: (self._load.get(node.node.declaration.id, 0), node.node.node_number))
        return least, len(ready)

    async def _ask(
        self, node: NodeReconciler, request: ValidateRequest, answer: asyncio.Future[list[int]], patience_s: float
    ) -> None:
        """Send the leaves to one node and wait for its answer, or another node's late one.

        A node that is seen not to check any more has forgotten them.
        """
        node_id = node.node.declaration.id
        self._load[node_id] = self._load.get(node_id, 0) + len(request.nonces)
        try:
            async with asyncio.timeout(patience_s):
                await node.client.validate(request)
                while node.validates() and not answer.done():
                    await asyncio.wait({answer}, timeout=RECONSIDER_S)
        except MlNodeError as error:
            log.warning("ML node %s does not check leaves: %s", node_id, error)
            node.wake()
        except TimeoutError:
            log.warning("ML node %s has not checked batch %s in %.1f s", node_id, request.batch_id, patience_s)
        finally:
            self._load[node_id] -= len(request.nonces)
