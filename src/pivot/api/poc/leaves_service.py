"""Handing committed leaves to the checkers that were drawn for this host, and to nobody else."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pivot.api.database import Database
from pivot.api.identity import Identity
from pivot.api.ledger.interface import Chain, LedgerError
from pivot.api.poc.commits import poc_duties
from pivot.api.poc.leaves import LeafFiles
from pivot.api.poc.leaves_api import (
    ADDRESS_HEADER,
    MAX_INDICES,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    LeavesAnswer,
    ServedLeaf,
)
from pivot.api.poc.records import sprint_record
from pivot.primitives.keys import InvalidSignature, decode_signature, verify
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgSubmitPocVotes
from pivot.protocol.messages import type_url
from pivot.protocol.mlnode_api import MAX_EPOCH
from pivot.protocol.signing import leaves_sign_bytes
from pivot.protocol.sprint import LeafTree

FRESHNESS_NS = 60 * 10**9
"""How far a request's time stamp may lie from this machine's clock."""
MAX_TREES = 64
"""Trees kept in memory; building one again takes as long as reading its leaves."""
VOTE_TYPE = type_url(MsgSubmitPocVotes)
"""Whoever may vote for a checker may ask for leaves in its name."""

log = logging.getLogger(__name__)


class LeavesRefused(Exception):
    """A request for leaves that is not served, with its HTTP status."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


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
        self._now_ns = now_ns
        self._trees: OrderedDict[tuple[int, int], LeafTree] = OrderedDict()
        self._building = asyncio.Lock()
        self._checkers: dict[int, frozenset[str]] = {}

    async def endpoint(self, request: Request) -> Response:
        """The route `leaves_api.LEAVES_PATH`."""
        try:
            answer = await self._answer(request)
        except LeavesRefused as refusal:
            return JSONResponse({"error": {"message": str(refusal)}}, refusal.status)
        except LedgerError as error:
            log.warning("leaves are not served, the chain is away: %s", error)
            sentence = "this host's chain does not answer"
            return JSONResponse({"error": {"message": sentence}}, HTTPStatus.SERVICE_UNAVAILABLE)
        return Response(answer.model_dump_json(), media_type="application/json")

    async def leaves(self, epoch: int, node_number: int, indices: Sequence[int]) -> list[ServedLeaf]:
        """Leaves of a node's committed tree. Raises LeavesRefused for what is not in it."""
        record = await sprint_record(self._database, epoch)
        nodes = record.commit.nodes if record and record.commit else []
        count = next((node.count for node in nodes if node.node_number == node_number), 0)
        if count == 0:
            raise LeavesRefused(HTTPStatus.NOT_FOUND, f"node {node_number} has committed nothing in epoch {epoch}")
        for index in indices:
            if not 0 <= index < count:
                raise LeavesRefused(HTTPStatus.NOT_FOUND, f"leaf {index} is not among the {count} of this node")
        tree = await self._tree(epoch, node_number, count)
        return [
            ServedLeaf.of(index, self._leaves.read(epoch, node_number, index, 1), tree.proof(index))
            for index in indices
        ]

    async def _answer(self, request: Request) -> LeavesAnswer:
        epoch = _natural("epoch", str(request.path_params["epoch"]))
        node_number = _natural("node_number", request.query_params.get("node_number", ""))
        indices = _indices(request.query_params.get("indices", ""))
        checker = request.headers.get(ADDRESS_HEADER, "")
        timestamp_ns = _natural(TIMESTAMP_HEADER, request.headers.get(TIMESTAMP_HEADER, ""))
        if abs(self._now_ns() - timestamp_ns) > FRESHNESS_NS:
            raise LeavesRefused(HTTPStatus.BAD_REQUEST, f"{TIMESTAMP_HEADER} is too far from this host's clock")
        await self._require_checker(epoch, checker)
        message = leaves_sign_bytes(self._chain.chain_id, epoch, self._address, node_number, indices, timestamp_ns)
        await self._require_signature(checker, message, request.headers.get(SIGNATURE_HEADER, ""))
        served = await self.leaves(epoch, node_number, indices)
        return LeavesAnswer(epoch=epoch, node_number=node_number, leaves=served)

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
            raise LeavesRefused(HTTPStatus.NOT_FOUND, f"the chain has no commit of this host for epoch {epoch} yet")
        if address not in self._checkers[epoch]:
            raise LeavesRefused(HTTPStatus.FORBIDDEN, f"{address!r} is not a checker of this host in epoch {epoch}")

    async def _require_signature(self, checker: str, message: bytes, text: str) -> None:
        try:
            signature = decode_signature(text)
        except InvalidSignature as error:
            raise LeavesRefused(HTTPStatus.UNAUTHORIZED, str(error)) from None
        keys = await self._chain.public_keys(checker, VOTE_TYPE)
        if not any(verify(key, message, signature) for key in keys):
            raise LeavesRefused(HTTPStatus.UNAUTHORIZED, "the signature does not cover this request")

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
        raise LeavesRefused(HTTPStatus.BAD_REQUEST, f"{name} must be a natural number")
    return int(text)


def _indices(text: str) -> list[int]:
    parts = text.split(",")
    if len(parts) > MAX_INDICES:
        raise LeavesRefused(HTTPStatus.BAD_REQUEST, f"indices names more than {MAX_INDICES} leaves")
    return [_natural("indices", part) for part in parts]
