"""The store of trainings: gRPC `NetworkNodeService` (port 9300), what the jobs on this host's ML nodes ask of the network.

A job shows its token, and speaks for that one node of that one task. Writes become messages of this host and answer when a
block holds them; reads are queries. What the chain keeps is public.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import grpc
import grpc.aio
from google.protobuf.message import Message

from pivot.api.ledger.interface import EXPIRED, Chain, ChainRefused, ChainUnavailable, Outbox, Outcome
from pivot.api.listening import CannotListen
from pivot.api.phases import Moment, Phases
from pivot.api.settings import TrainingSettings
from pivot.api.training import tasks
from pivot.api.training.tokens import InvalidToken, Place, read_token
from pivot.protocol.generated.inference.inference import network_node_pb2 as node
from pivot.protocol.generated.inference.inference import query_pb2 as queries
from pivot.protocol.generated.inference.inference.training_pb2 import (
    HeartbeatRequest,
    JoinTrainingRequest,
    MLNodeTrainStatus,
    SetBarrierRequest,
    TrainingNodeStatus,
)
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    MsgJoinTraining,
    MsgJoinTrainingStatus,
    MsgSetBarrier,
    MsgSubmitTrainingKvRecord,
    MsgTrainingHeartbeat,
)

SERVICE = node.DESCRIPTOR.services_by_name["NetworkNodeService"]
MAX_REQUEST_BYTES = 64 * 2**10
MAX_KEYS = 1_000
"""Listed; a run has fewer."""
MAX_WRITES = 16
"""Under way at a time; more are refused."""
WRITE_SECONDS = 40.0
"""How long a write is awaited; less than a job's own patience."""
WRITE_BLOCKS = 100
"""A write that is in no block after so many is given up."""
SIGNS_PER_SILENCE = 5
"""Signs of life that this node sends in the time after which the chain takes one for dead."""
MAX_PLACES = 1_024
"""Nodes whose last sign of life is remembered."""
GRACE_SECONDS = 1.0
ALREADY_DONE = 1203
TOO_EARLY = 1226
BEARER = "Bearer "

Handler = Callable[[Place, Any], Awaitable[Message]]


class _Refused(Exception):
    def __init__(self, status: grpc.StatusCode, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class TrainingStore:
    """The service, from `start` to `close`."""

    def __init__(
        self, settings: TrainingSettings, secret: str, address: str, chain: Chain, outbox: Outbox, phases: Phases
    ) -> None:
        self._settings = settings
        self._secret = secret
        self._address = address
        self._chain = chain
        self._outbox = outbox
        self._phases = phases
        self._writes = asyncio.Semaphore(MAX_WRITES)
        self._signs: dict[Place, int] = {}
        """Height of each node's last sign of life."""
        self._server: grpc.aio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen. Raises CannotListen."""
        handlers: dict[str, tuple[Handler, type[Message]]] = {
            "JoinTraining": (self._join, JoinTrainingRequest),
            "GetJoinTrainingStatus": (self._join_status, JoinTrainingRequest),
            "SendHeartbeat": (self._heartbeat, HeartbeatRequest),
            "GetAliveNodes": (self._alive_nodes, node.GetAliveNodesRequest),
            "SetBarrier": (self._set_barrier, SetBarrierRequest),
            "GetBarrierStatus": (self._barrier_status, node.GetBarrierStatusRequest),
            "SetStoreRecord": (self._set_record, node.SetStoreRecordRequest),
            "GetStoreRecord": (self._get_record, node.GetStoreRecordRequest),
            "ListStoreKeys": (self._keys, node.StoreListKeysRequest),
        }
        methods = {
            name: grpc.unary_unary_rpc_method_handler(
                self._answering(handler),
                request_deserializer=kind.FromString,
                response_serializer=lambda message: message.SerializeToString(),
            )
            for name, (handler, kind) in handlers.items()
        }
        options = (("grpc.max_receive_message_length", MAX_REQUEST_BYTES), ("grpc.so_reuseport", 0))
        self._server = grpc.aio.server(options=options)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE.full_name, methods),))
        where = f"{self._settings.server_host}:{self._settings.server_port}"
        try:
            self.port = self._server.add_insecure_port(where)
        except RuntimeError as error:
            raise CannotListen(f"DAPI_TRAINING__SERVER_PORT: cannot listen on {where}") from error
        await self._server.start()

    async def close(self) -> None:
        if self._server:
            await self._server.stop(GRACE_SECONDS)

    def _answering(self, handler: Handler) -> Callable[[Any, Any], Awaitable[Message]]:
        async def answer(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Message:
            try:
                return await handler(self._authorized(request, context), request)
            except _Refused as refusal:
                await context.abort(refusal.status, str(refusal))
            except ChainUnavailable as error:
                await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
            except ChainRefused as error:
                absent = grpc.StatusCode.NOT_FOUND if error.not_found else grpc.StatusCode.FAILED_PRECONDITION
                await context.abort(absent, error.log)

        return answer

    def _authorized(self, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Place:
        """The place for which the caller speaks: that of its token, and no other."""
        metadata = dict(context.invocation_metadata() or ())
        given = str(metadata.get("authorization", ""))
        try:
            place = read_token(self._secret, given.removeprefix(BEARER))
        except InvalidToken as error:
            raise _Refused(grpc.StatusCode.UNAUTHENTICATED, str(error)) from None
        if request.run_id != place.task_id or getattr(request, "node_id", place.node_id) != place.node_id:
            raise _Refused(
                grpc.StatusCode.PERMISSION_DENIED,
                f"this token is for node {place.node_id} in training task {place.task_id} alone",
            )
        return place

    # Signs of life

    async def _join(self, place: Place, request: JoinTrainingRequest) -> Message:
        status = await self._status(place)
        if status.status == TrainingNodeStatus.TRAINING_NODE_NOT_JOINED or place.node_id not in status.active_nodes:
            await self._sign(place, MsgJoinTraining(creator=self._address, req=request))
        return await self._status(place)

    async def _join_status(self, place: Place, request: JoinTrainingRequest) -> Message:
        status = await self._status(place)
        if status.status == TrainingNodeStatus.TRAINING_NODE_WAITING and self._sign_is_due(place):
            await self._sign(place, MsgJoinTrainingStatus(creator=self._address, req=request))
        return status

    async def _heartbeat(self, place: Place, request: HeartbeatRequest) -> Message:
        if self._sign_is_due(place):
            await self._sign(place, MsgTrainingHeartbeat(creator=self._address, req=request))
        return node.HeartbeatResponse()

    async def _sign(self, place: Place, message: Message) -> None:
        height = self._moment().head.height
        outcome = await self._write(place, message)
        if outcome.code not in {0, ALREADY_DONE, TOO_EARLY}:
            _refuse(outcome)
        self._signs.pop(place, None)
        self._signs[place] = outcome.height or height
        if len(self._signs) > MAX_PLACES:
            del self._signs[next(iter(self._signs))]

    def _sign_is_due(self, place: Place) -> bool:
        moment = self._moment()
        rules = moment.effective.params.training_params
        pause = max(rules.heartbeat_interval, rules.heartbeat_blocks // SIGNS_PER_SILENCE)
        return moment.head.height >= self._signs.get(place, 0) + pause

    async def _status(self, place: Place) -> MLNodeTrainStatus:
        alive, joined = await tasks.run_nodes(self._chain, place.task_id)
        own = joined.get(place.node_id)
        if own is None:
            return MLNodeTrainStatus(node_id=place.node_id, active_nodes=alive)
        ranked = own.HasField("rank")
        status = TrainingNodeStatus.TRAINING_NODE_RUNNING if ranked else TrainingNodeStatus.TRAINING_NODE_WAITING
        return MLNodeTrainStatus(
            status=TrainingNodeStatus.TRAINING_NODE_FINISHED if own.finished else status,
            node_id=place.node_id,
            outer_step=own.outer_step,
            active_nodes=alive,
            rank=own.rank if ranked else None,
        )

    async def _alive_nodes(self, place: Place, _: node.GetAliveNodesRequest) -> Message:
        alive, _joined = await tasks.run_nodes(self._chain, place.task_id)
        return node.GetAliveNodesResponse(alive_nodes=alive)

    # Barriers

    async def _set_barrier(self, place: Place, request: SetBarrierRequest) -> Message:
        outcome = await self._write(place, MsgSetBarrier(creator=self._address, req=request))
        if outcome.code not in {0, ALREADY_DONE}:
            _refuse(outcome)
        return node.SetBarrierResponse(status=node.BarrierStatusEnum.READY)

    async def _barrier_status(self, place: Place, request: node.GetBarrierStatusRequest) -> Message:
        question = queries.QueryTrainingBarrierRequest(
            barrier_id=request.barrier_id, run_id=place.task_id, outer_step=request.outer_step
        )
        answer = await self._query("TrainingBarrier", question, queries.QueryTrainingBarrierResponse)
        return node.GetBarrierStatusResponse(
            all_ready=answer.all_ready, not_ready=answer.not_ready, alive_nodes=answer.alive_nodes
        )

    # Keys and values

    async def _set_record(self, place: Place, request: node.SetStoreRecordRequest) -> Message:
        message = MsgSubmitTrainingKvRecord(
            creator=self._address, taskId=place.task_id, key=request.record.key, value=request.record.value
        )
        outcome = await self._write(place, message)
        if outcome.code:
            _refuse(outcome)
        return node.SetStoreRecordResponse()

    async def _get_record(self, place: Place, request: node.GetStoreRecordRequest) -> Message:
        question = queries.QueryTrainingKvRecordRequest(taskId=place.task_id, key=request.key)
        try:
            found = (await self._query("TrainingKvRecord", question, queries.QueryTrainingKvRecordResponse)).record
        except ChainRefused as refusal:
            if refusal.not_found:
                return node.GetStoreRecordResponse()
            raise
        record = node.Record(key=found.key, value=found.value, participant=found.participant)
        return node.GetStoreRecordResponse(record=record)

    async def _keys(self, place: Place, _: node.StoreListKeysRequest) -> Message:
        question = queries.QueryListTrainingKvRecordKeysRequest(taskId=place.task_id)
        question.pagination.limit = MAX_KEYS
        answer = await self._query("ListTrainingKvRecordKeys", question, queries.QueryListTrainingKvRecordKeysResponse)
        return node.StoreListKeysResponse(keys=answer.keys)

    # The chain

    async def _query(self, name: str, request: Message, response: type[Any]) -> Any:
        return await self._chain.query(f"{tasks.SERVICE}/{name}", request, response)

    async def _write(self, place: Place, message: Message) -> Outcome:
        """Hand a message to the chain. A write has a key of its own each time: the same value may be written anew."""
        if self._writes.locked():
            raise _Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{MAX_WRITES} writes are under way; try again")
        async with self._writes:
            key = f"training:{place.task_id}:{secrets.token_hex(16)}"
            await self._outbox.put(key, message, deadline_height=self._moment().head.height + WRITE_BLOCKS)
            outcome = await self._outbox.wait(key, WRITE_SECONDS)
        if outcome is None or not outcome.done or outcome.code == EXPIRED:
            raise _Refused(grpc.StatusCode.DEADLINE_EXCEEDED, "no block has taken it yet; try again")
        return outcome

    def _moment(self) -> Moment:
        if self._phases.moment is None:
            raise _Refused(grpc.StatusCode.UNAVAILABLE, "no block was seen yet")
        return self._phases.moment


def _refuse(outcome: Outcome) -> NoReturn:
    raise _Refused(grpc.StatusCode.FAILED_PRECONDITION, f"{outcome.log} (code {outcome.code})")
