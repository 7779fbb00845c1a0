"""Promising nodes to a task when its assigner asks, and asking other hosts for theirs: `POST /v1/training/lock-nodes`."""

import time
from http import HTTPStatus
from typing import Annotated

import aiohttp
from pydantic import BaseModel, ConfigDict, Field

from pivot.api.fleet.interface import Fleet, FleetNode, Serve
from pivot.api.http.errors import BadRequest, Conflict, NotFound, NotPermitted
from pivot.api.identity import Identity
from pivot.api.ledger.interface import Chain, LedgerError
from pivot.api.phases import Phases
from pivot.api.training import tasks
from pivot.api.training.promises import AlreadyPromised, Promises
from pivot.api.training.signed import signed_headers
from pivot.api.urls import UnsafeUrl, session_to_hosts, url_of
from pivot.protocol.generated.inference.inference.training_pb2 import TrainingTaskStatus
from pivot.protocol.mlnode_api import MAX_EPOCH

LOCK_PATH = "/v1/training/lock-nodes"
MAX_NODES = 64
MAX_NODE_ID_LENGTH = 200
MARGIN_BLOCKS = 20
"""A promise outlives the time in which the task may be assigned by so much: the look for it comes a little later."""
TIMEOUT = aiohttp.ClientTimeout(total=10, sock_connect=3)
MAX_ANSWER_BYTES = 65_536
SHOWN_ANSWER_LENGTH = 300


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


class HostRefused(Exception):
    """Another host does not promise its nodes; the sentence says why."""


class Hosts:
    """Signed requests to other hosts. URLs come from the chain, so they are checked before they are called."""

    def __init__(self, identity: Identity, chain: Chain, *, allow_private: bool) -> None:
        self._identity = identity
        self._chain = chain
        self._allow_private = allow_private
        self._http = session_to_hosts(allow_private=allow_private)

    async def close(self) -> None:
        await self._http.close()

    async def lock(self, host: str, task_id: int, node_ids: list[str]) -> None:
        """Ask a host to promise nodes to a task that this host has claimed. Raises HostRefused."""
        body = LockNodes(training_task_id=task_id, node_ids=node_ids).model_dump_json().encode()
        key = self._identity.account
        headers = signed_headers(key, self._chain.chain_id, host, LOCK_PATH, body, time.time_ns())
        headers["Content-Type"] = "application/json"
        try:
            participant = await self._chain.participant(host)
            if participant is None:
                raise HostRefused(f"the chain knows no host {host}")
            url = url_of(participant.inference_url, LOCK_PATH, allow_private=self._allow_private)
            async with self._http.post(
                url, data=body, headers=headers, timeout=TIMEOUT, allow_redirects=False
            ) as answer:
                said = await answer.content.read(MAX_ANSWER_BYTES)
        except (aiohttp.ClientError, TimeoutError, OSError, LedgerError, UnsafeUrl) as error:
            raise HostRefused(f"host {host}: {type(error).__name__} {error}".rstrip()) from error
        if answer.status != HTTPStatus.OK:
            shown = said[:SHOWN_ANSWER_LENGTH].decode(errors="replace")
            raise HostRefused(f"{url} answered {answer.status}: {shown}")


def _is_free(node: FleetNode) -> bool:
    """Whether a node serves now, and is not about to rest."""
    return node.enabled and node.reachable and node.fulfils and isinstance(node.duty, Serve)
