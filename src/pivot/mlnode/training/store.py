"""The network node's store, as a training sees it: gRPC `NetworkNodeService` at `STORE_API_URL`, with the task's token.

Writes end up on the chain and take a block or more. What is in the store is public, and each record names the host that
wrote it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from pivot.protocol.generated.inference.inference import network_node_pb2 as node
from pivot.protocol.generated.inference.inference.training_pb2 import (
    HeartbeatRequest,
    JoinTrainingRequest,
    MLNodeTrainStatus,
    SetBarrierRequest,
)

SERVICE = "/inference.inference.NetworkNodeService"
CALL_TIMEOUT_S = 60.0
PATIENCE_S = 300.0
"""How long a call is repeated, or something awaited, before the training gives up."""
POLL_S = 0.5
RETRIED = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED}
)

Answer = TypeVar("Answer", bound=Message)
Found = TypeVar("Found")


class StoreFailed(Exception):
    """The store refused, or did not answer in time; the sentence says why."""


class Store:
    """One node's place in one run. Every method raises StoreFailed."""

    def __init__(self, url: str, token: str, node_id: str, run_id: int) -> None:
        self.node_id = node_id
        self._run_id = run_id
        self._channel = grpc.insecure_channel(url)
        self._metadata = (("authorization", f"Bearer {token}"),)

    def close(self) -> None:
        """End the connection."""
        self._channel.close()

    def join(self) -> None:
        """Take part in the run."""
        self._call("JoinTraining", self._joining(), MLNodeTrainStatus)

    def status(self) -> MLNodeTrainStatus:
        """Which place this node has in the run."""
        return self._call("GetJoinTrainingStatus", self._joining(), MLNodeTrainStatus)

    def heartbeat(self, inner_step: int, outer_step: int) -> None:
        """A sign of life."""
        request = HeartbeatRequest(
            node_id=self.node_id, run_id=self._run_id, inner_step=inner_step, outer_step=outer_step
        )
        self._call("SendHeartbeat", request, node.HeartbeatResponse)

    def set(self, key: str, value: str) -> None:
        """Write a record, in the name of this node's host."""
        request = node.SetStoreRecordRequest(run_id=self._run_id, record=node.Record(key=key, value=value))
        self._call("SetStoreRecord", request, node.SetStoreRecordResponse)

    def get(self, key: str) -> node.Record | None:
        """A record, or None when there is none."""
        request = node.GetStoreRecordRequest(run_id=self._run_id, key=key)
        answer = self._call("GetStoreRecord", request, node.GetStoreRecordResponse)
        return answer.record if answer.HasField("record") else None

    def written_by(self, key: str, participant: str, patience_s: float | None = None) -> str:
        """The record's value as soon as this host has written it; what others wrote under the same key is not taken."""

        def look() -> str | None:
            record = self.get(key)
            return record.value if record is not None and record.participant == participant else None

        return wait_for(look, f"a record {key!r} of {participant}", patience_s)

    def barrier(self, name: str, outer_step: int) -> None:
        """Wait until every living node of the run has come to this barrier."""
        arrival = SetBarrierRequest(barrier_id=name, node_id=self.node_id, run_id=self._run_id, outer_step=outer_step)
        self._call("SetBarrier", arrival, node.SetBarrierResponse)
        question = node.GetBarrierStatusRequest(barrier_id=name, run_id=self._run_id, outer_step=outer_step)

        def look() -> bool | None:
            return self._call("GetBarrierStatus", question, node.GetBarrierStatusResponse).all_ready or None

        wait_for(look, f"the others at the barrier {name!r}")

    def _joining(self) -> JoinTrainingRequest:
        return JoinTrainingRequest(node_id=self.node_id, run_id=self._run_id)

    def _call(self, method: str, request: Message, answer: type[Answer]) -> Answer:
        call: Any = self._channel.unary_unary(
            f"{SERVICE}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                found: Answer = call(request, timeout=CALL_TIMEOUT_S, metadata=self._metadata)
            except grpc.RpcError as error:
                if error.code() in RETRIED and time.monotonic() < deadline:
                    time.sleep(POLL_S)
                    continue
                raise StoreFailed(f"{method}: {error.details()} ({error.code().name})") from error
            return found


def wait_for(look: Callable[[], Found | None], what: str, patience_s: float | None = None) -> Found:
    """What `look` finds, as soon as it finds something; it looks once at least.

    Raises StoreFailed after `patience_s`, PATIENCE_S unless given.
    """
    limit_s = PATIENCE_S if patience_s is None else patience_s
    deadline = time.monotonic() + limit_s
    while (found := look()) is None:
        if time.monotonic() > deadline:
            raise StoreFailed(f"{what} did not come within {limit_s:.0f} s")
        time.sleep(POLL_S)
    return found
