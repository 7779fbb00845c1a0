"""Handing committed leaves to the checkers that were drawn for this host, and to nobody else."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from pivot.api.between_hosts.signatures import Signatures
from pivot.api.database import Database
from pivot.api.http.errors import BadRequest, NotFound, NotPermitted
from pivot.api.identity import Identity
from pivot.api.ledger.interface import Chain
from pivot.api.poc.commits import poc_duties
from pivot.api.poc.leaves import LeafFiles
from pivot.api.poc.leaves_api import MAX_INDICES, LeavesAnswer, ServedLeaf
from pivot.api.poc.records import sprint_record
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgSubmitPocVotes
from pivot.protocol.messages import type_url
from pivot.protocol.mlnode_api import MAX_EPOCH
from pivot.protocol.signing import leaves_sign_bytes
from pivot.protocol.sprint import LeafTree

MAX_TREES = 64
"""Trees kept in memory; building one again takes as long as reading its leaves."""
VOTE_TYPE = type_url(MsgSubmitPocVotes)
"""Whoever may vote for a checker may ask for leaves in its name."""


class LeavesService:
    """The host's committed leaves, with their proofs."""

    def __init__(
        self,
        database: Database,
        identity: Identity,
        chain: Chain,
        leaves: LeafFiles,
        *,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._database = database
        self._address = identity.address
        self._chain = chain
        self._leaves = leaves
        self._signatures = Signatures(chain, now_ns=now_ns)
        self._trees: OrderedDict[tuple[int, int], LeafTree] = OrderedDict()
        self._building = asyncio.Lock()
        self._checkers: dict[int, frozenset[str]] = {}

    async def endpoint(self, request: Request) -> Response:
        """The route `leaves_api.LEAVES_PATH`. Raises ApiError, LedgerError."""
        epoch = _natural("epoch", str(request.path_params["epoch"]))
        node_number = _natural("node_number", request.query_params.get("node_number", ""))
        indices = _indices(request.query_params.get("indices", ""))
        words = partial(leaves_sign_bytes, self._chain.chain_id, epoch, self._address, node_number, indices)
        asker = await self._signatures.require(request.headers, words, VOTE_TYPE)
        await self._require_checker(epoch, asker)
        served = await self.leaves(epoch, node_number, indices)
        answer = LeavesAnswer(epoch=epoch, node_number=node_number, leaves=served)
        return Response(answer.model_dump_json(), media_type="application/json")

    async def leaves(self, epoch: int, node_number: int, indices: Sequence[int]) -> list[ServedLeaf]:
        """Leaves of a node's committed tree. Raises NotFound for what is not in it."""
        record = await sprint_record(self._database, epoch)
        nodes = record.commit.nodes if record and record.commit else []
        count = next((node.count for node in nodes if node.node_number == node_number), 0)
        if count == 0:
            raise NotFound(f"node {node_number} has committed nothing in epoch {epoch}")
        for index in indices:
            if not 0 <= index < count:
                raise NotFound(f"leaf {index} is not among the {count} of this node")
        tree = await self._tree(epoch, node_number, count)
        return [
            ServedLeaf.of(index, self._leaves.read(epoch, node_number, index, 1), tree.proof(index))
            for index in indices
        ]

    async def _require_checker(self, epoch: int, address: str) -> None:
        """Only who was drawn for this host may see its leaves; the draw does not change once the commit stands.

        Strangers name any epoch: the chain is asked about none but those in which this host has closed its books.
        """
        if epoch not in self._checkers and await sprint_record(self._database, epoch) is not None:
            for duty in await poc_duties(self._chain, epoch):
                if duty.commit.participant == self._address:
                    self._checkers[epoch] = frozenset(duty.checkers)
            while len(self._checkers) > MAX_TREES:
                del self._checkers[min(self._checkers)]
        if epoch not in self._checkers:
            raise NotFound(f"the chain has no commit of this host for epoch {epoch} yet")
        if address not in self._checkers[epoch]:
            raise NotPermitted(f"{address!r} is not a checker of this host in epoch {epoch}")

    async def _tree(self, epoch: int, node_number: int, count: int) -> LeafTree:
        key = epoch, node_number
        async with self._building:
            tree = self._trees.get(key)
            if tree is None:
                tree = await asyncio.to_thread(self._leaves.tree, epoch, node_number, count)
            self._trees[key] = tree
            self._trees.move_to_end(key)
            if len(self._trees) > MAX_TREES:
                self._trees.popitem(last=False)
        return tree


def _natural(name: str, text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > len(str(MAX_EPOCH)):
        raise BadRequest(f"{name} must be a natural number", param=name)
    return int(text)


def _indices(text: str) -> list[int]:
    parts = text.split(",")
    if len(parts) > MAX_INDICES:
        raise BadRequest(f"indices names more than {MAX_INDICES} leaves", param="indices")
    return [_natural("indices", part) for part in parts]
