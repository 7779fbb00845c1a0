"""A network node's store in memory: the nodes of one run, who may be told apart by their tokens."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from pivot.protocol.generated.inference.inference import network_node_pb2 as node
from pivot.protocol.generated.inference.inference import training_pb2 as training

TOKENS = "token of "


@dataclass
class FakeStore:
    """Ranks are given once `expected` nodes have joined, in the order of their names."""

    expected: int
    url: str = ""
    joined: set[str] = field(default_factory=set)
    records: dict[str, node.Record] = field(default_factory=dict)
    arrived: dict[str, set[str]] = field(default_factory=dict)
    heartbeats: list[training.HeartbeatRequest] = field(default_factory=list)
    refusals: list[grpc.StatusCode] = field(default_factory=list)
    """Statuses of the next calls, before any is answered."""

    def join_training(self, request: training.JoinTrainingRequest, _: str) -> training.MLNodeTrainStatus:
        self.joined.add(request.node_id)
        return self.get_join_training_status(request, _)

    def get_join_training_status(self, request: training.JoinTrainingRequest, _: str) -> training.MLNodeTrainStatus:
        nodes = sorted(self.joined)
        if len(nodes) < self.expected:
            return training.MLNodeTrainStatus(status=training.TRAINING_NODE_WAITING, node_id=request.node_id)
        return training.MLNodeTrainStatus(
            status=training.TRAINING_NODE_RUNNING,
            node_id=request.node_id,
            active_nodes=nodes,
            rank=nodes.index(request.node_id),
        )

    def send_heartbeat(self, request: training.HeartbeatRequest, _: str) -> node.HeartbeatResponse:
        self.heartbeats.append(request)
        return node.HeartbeatResponse()

    def set_barrier(self, request: training.SetBarrierRequest, _: str) -> node.SetBarrierResponse:
        self.arrived.setdefault(request.barrier_id, set()).add(request.node_id)
        return node.SetBarrierResponse()

    def get_barrier_status(self, request: node.GetBarrierStatusRequest, _: str) -> node.GetBarrierStatusResponse:
        missing = self.joined - self.arrived.get(request.barrier_id, set())
        return node.GetBarrierStatusResponse(all_ready=not missing, not_ready=sorted(missing))

    def set_store_record(self, request: node.SetStoreRecordRequest, caller: str) -> node.SetStoreRecordResponse:
        record = request.record
        self.records[record.key] = node.Record(
            key=record.key, value=record.value, participant=caller.split("/", maxsplit=1)[0]
        )
        return node.SetStoreRecordResponse()

    def get_store_record(self, request: node.GetStoreRecordRequest, _: str) -> node.GetStoreRecordResponse:
        return node.GetStoreRecordResponse(record=self.records.get(request.key))

    @contextmanager
    def serving(self) -> Iterator[FakeStore]:
        server = grpc.server(ThreadPoolExecutor(8))
        service = node.DESCRIPTOR.services_by_name["NetworkNodeService"]
        methods = {
            method.name: grpc.unary_unary_rpc_method_handler(
                self._handler(_snake(method.name)),
                request_deserializer=_class(method.input_type).FromString,
                response_serializer=lambda message: message.SerializeToString(),
            )
            for method in service.methods
            if hasattr(self, _snake(method.name))
        }
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service.full_name, methods)])
        self.url = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        try:
            yield self
        finally:
            server.stop(None).wait()

    def _handler(self, name: str) -> Any:
        def handle(request: Any, context: grpc.ServicerContext) -> Any:
            if self.refusals:
                context.abort(self.refusals.pop(0), "not now")
            token = dict(context.invocation_metadata()).get("authorization", "")
            if not token.startswith(f"Bearer {TOKENS}"):
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "the task's token is missing")
            return getattr(self, name)(request, token.removeprefix(f"Bearer {TOKENS}"))

        return handle


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


def _class(descriptor: Any) -> Any:
    return getattr(training, descriptor.name, None) or getattr(node, descriptor.name)
