"""Promising nodes to a task when its assigner asks, and asking other hosts for theirs: `POST /v1/training/lock-nodes`."""

from functools import partial
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from pivot.api.between_hosts.client import HostClient
from pivot.api.fleet.interface import Fleet, FleetNode, Serve
from pivot.api.http.errors import BadRequest, Conflict, NotFound, NotPermitted
from pivot.api.identity import Identity
from pivot.api.ledger.interface import Chain
from pivot.api.phases import Phases
from pivot.api.training import tasks
from pivot.api.training.promises import AlreadyPromised, Promises
from pivot.protocol.generated.inference.inference.training_pb2 import TrainingTaskStatus
from pivot.protocol.mlnode_api import MAX_EPOCH
from pivot.protocol.signing import training_sign_bytes

LOCK_PATH = "/v1/training/lock-nodes"
MAX_NODES = 64
MAX_NODE_ID_LENGTH = 200
MARGIN_BLOCKS = 20
"""A promise outlives the time in which the task may be assigned by so much: the look for it comes a little later."""
MAX_ANSWER_BYTES = 65_536


class LockNodes(BaseModel):
    """Body of the request, in the published shape."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    training_task_id: Annotated[int, Field(ge=1, le=MAX_EPOCH)]
    node_ids: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=MAX_NODE_ID_LENGTH)]],
        Field(min_length=1, max_length=MAX_NODES),
    ]


class Locking:
    """What this host promises."""

    def __init__(self, chain: Chain, fleet: Fleet, phases: Phases, promises: Promises) -> None:
        self._chain = chain
        self._fleet = fleet
        self._phases = phases
        self._promises = promises

    async def lock(self, asker: str, wanted: LockNodes) -> None:
        """Promise nodes to a task, all or none. Only the member that has claimed it may ask, and only for nodes that serve.

        Raises NotFound, NotPermitted, BadRequest, Conflict, LedgerError.
        """
        task = await tasks.find(self._chain, wanted.training_task_id)
        moment = self._phases.moment
        if task is None or moment is None:
            raise NotFound(f"there is no training task {wanted.training_task_id}")
        ends = task.claimed_by_assigner_at_block_height + moment.effective.params.training_params.assignment_blocks
        claimed = task.status == TrainingTaskStatus.TRAINING_QUEUED and moment.head.height < ends
        if not claimed or task.assigner != asker:
            raise NotPermitted(f"training task {task.id} is not {asker}'s to assign now")
        nodes = {node.id: node for node in self._fleet.nodes()}
        for node_id in wanted.node_ids:
            if node_id not in nodes:
                raise BadRequest(f"node {node_id!r} is no node of this host", param="node_ids")
            if not _is_free(nodes[node_id]):
                raise Conflict(f"node {node_id!r} does not serve now, so it cannot train either")
        try:
            self._promises.make(task.id, wanted.node_ids, ends + MARGIN_BLOCKS)
        except AlreadyPromised as error:
            raise Conflict(str(error)) from None


class Hosts:
    """Asks other hosts for promises."""

    def __init__(self, identity: Identity, chain: Chain, *, allow_private: bool) -> None:
        self._chain = chain
        self._client = HostClient(identity, chain, allow_private=allow_private)

    async def close(self) -> None:
        await self._client.close()

    async def lock(self, host: str, task_id: int, node_ids: list[str]) -> None:
        """Ask a host to promise nodes to a task that this host has claimed. Raises NotAnswered."""
        body = LockNodes(training_task_id=task_id, node_ids=node_ids).model_dump_json().encode()
        words = partial(training_sign_bytes, self._chain.chain_id, host, LOCK_PATH, body)
        await self._client.ask(host, LOCK_PATH, words, body=body, most_bytes=MAX_ANSWER_BYTES)


def _is_free(node: FleetNode) -> bool:
    """Whether a node serves now, and is not about to rest."""
    return node.enabled and node.reachable and node.fulfils and isinstance(node.duty, Serve)
