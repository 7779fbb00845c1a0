"""Telling the chain which ML nodes the host has: their numbers and models, which weight needs. Not what they do at the moment.

The chain takes or refuses what it is told as a whole. So a model that the network does not know (a file of nodes may name any)
is left out, until the network knows it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Container, Iterable, Sequence
from hashlib import sha256

from pivot.api.fleet.declaration import NodeDeclaration
from pivot.api.fleet.models import registered_models
from pivot.api.fleet.registry import RegisteredNode, Registry
from pivot.api.ledger.interface import Chain, ChainRefused, LedgerError, Outbox
from pivot.protocol.generated.inference.inference.query_pb2 import QueryHardwareNodesRequest, QueryHardwareNodesResponse
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgSubmitHardwareDiff
from pivot.protocol.generated.inference.inference.types_pb2 import Hardware, HardwareNode, HardwareNodeStatus

HARDWARE_PATH = "/inference.inference.Query/HardwareNodes"
OUTCOME_WAIT_S = 10.0
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 5.0
UNKNOWN_MODEL_PAUSE_S = 30.0
"""At most, between two looks whether the network has come to know a model that was left out. The first come soon: before its first
block a chain knows none, and the first sprint begins a few blocks later."""

log = logging.getLogger(__name__)


class HardwareReport:
    """Keeps the chain's list of this host's nodes in step with the registry."""

    def __init__(self, registry: Registry, address: str, chain: Chain, outbox: Outbox) -> None:
        self._registry = registry
        self._address = address
        self._chain = chain
        self._outbox = outbox
        self._changed = asyncio.Event()
        self._left_out: frozenset[str] = frozenset()
        """Models that the network does not know."""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._changed.set()
        self._task = asyncio.create_task(self._run(), name="hardware-report")

    async def close(self) -> None:
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def changed(self) -> None:
        """The registry has changed."""
        self._changed.set()

    async def _run(self) -> None:
        pause = again = FIRST_PAUSE_S
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(again if self._left_out else None):
                    await self._changed.wait()
            self._changed.clear()
            try:
                in_step = await self._report()
            except LedgerError as error:
                log.warning("the chain does not know this host's ML nodes yet: %s", error)
                in_step = False
            again = min(2 * again, UNKNOWN_MODEL_PAUSE_S) if self._left_out else FIRST_PAUSE_S
            if in_step:
                pause = FIRST_PAUSE_S
            else:
                self._changed.set()
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)

    async def _report(self) -> bool:
        """Send what differs. Whether the chain's list is in step. Raises LedgerError."""
        known = await known_nodes(self._chain, self._address)
        models = await registered_models(self._chain)
        nodes = await self._registry.nodes()
        self._leave_out(frozenset(model for node in nodes for model in node.declaration.models if model not in models))
        difference = hardware_diff(self._address, nodes, known, models)
        if difference is None:
            return True
        key = await self._fresh_key(difference)
        await self._outbox.put(key, difference)
        outcome = await self._outbox.wait(key, OUTCOME_WAIT_S)
        if outcome is None or not outcome.done:
            return False
        if outcome.code:
            log.warning("the chain refused this host's ML nodes: %s", outcome.log)
        return outcome.code == 0

    def _leave_out(self, models: frozenset[str]) -> None:
        for model in sorted(models - self._left_out):
            log.warning("the network does not know the model %r: no ML node is told to serve it", model)
        self._left_out = models

    async def _fresh_key(self, difference: MsgSubmitHardwareDiff) -> str:
        """A key for this message: the same while it is under way, another when the same change comes again later."""
        content, repetition = difference.SerializeToString(deterministic=True), 0
        while True:
            key = f"hardware:{sha256(content + repetition.to_bytes(8, 'big')).hexdigest()}"
            outcome = await self._outbox.outcome(key)
            if outcome is None or not outcome.done:
                return key
            repetition += 1


async def known_nodes(chain: Chain, address: str) -> Sequence[HardwareNode]:
    """The nodes of a host as the chain has them. Raises LedgerError."""
    request = QueryHardwareNodesRequest(participant=address)
    try:
        answer = await chain.query(HARDWARE_PATH, request, QueryHardwareNodesResponse)
    except ChainRefused as error:
        if error.not_found:
            return []
        raise
    return answer.nodes.hardware_nodes


def hardware_diff(
    address: str, nodes: Iterable[RegisteredNode], known: Iterable[HardwareNode], models: Container[str]
) -> MsgSubmitHardwareDiff | None:
    """What the chain must be told, or None. models: those that the network knows."""
    wanted = {node.declaration.id: _hardware_node(node, models) for node in nodes}
    present = {node.local_id: node for node in known}
    changed = [node for node_id, node in sorted(wanted.items()) if present.get(node_id) != node]
    removed = [node for node_id, node in sorted(present.items()) if node_id not in wanted]
    if not changed and not removed:
        return None
    return MsgSubmitHardwareDiff(creator=address, newOrModified=changed, removed=removed)


def _hardware_node(node: RegisteredNode, models: Container[str]) -> HardwareNode:
    declaration = node.declaration
    return HardwareNode(
        local_id=declaration.id,
        status=HardwareNodeStatus.INFERENCE if node.enabled else HardwareNodeStatus.STOPPED,
        models=sorted(model for model in declaration.models if model in models),
        hardware=_hardware(declaration),
        host=declaration.host,
        port=str(declaration.poc_port),
        node_number=node.node_number,
    )


def _hardware(declaration: NodeDeclaration) -> list[Hardware]:
    return [
        Hardware(type=entry.type, count=entry.count)
        for entry in sorted(declaration.hardware, key=lambda entry: (entry.type, entry.count))
    ]
