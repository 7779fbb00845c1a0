"""The store of trainings over real gRPC: who may say what, what becomes of it on the chain."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest

from pivot.api.listening import CannotListen
from pivot.api.settings import TrainingSettings
from pivot.api.training import store as module
from pivot.api.training.store import SERVICE, TrainingStore
from pivot.api.training.tokens import Place, store_token
from pivot.protocol.generated.inference.inference import network_node_pb2 as node
from pivot.protocol.generated.inference.inference import training_pb2 as training
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    MsgJoinTraining,
    MsgJoinTrainingStatus,
    MsgSetBarrier,
    MsgTrainingHeartbeat,
)
from tests.api.fleet.chain import NOT_FOUND, FakeOutbox, FakePhases, key
from tests.api.training.network import TrainingChain

HOST = key(1).address
NODE = f"{HOST}/node1"
OTHER = "gonka1zzz/node1"
SECRET = "secret"
CLASSES = {**vars(training), **vars(node)}


class Job:
    """A job that calls the store with its token."""

    def __init__(self, port: int, node_id: str = NODE, *, token: str | None = None, task_id: int = 7) -> None:
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        self._token = store_token(SECRET, Place(task_id, node_id)) if token is None else token

    async def call(self, name: str, **fields: Any) -> Any:
        method = SERVICE.methods_by_name[name]
        call: Any = self._channel.unary_unary(
            f"/{SERVICE.full_name}/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=CLASSES[method.output_type.name].FromString,
        )
        request = CLASSES[method.input_type.name](**{"run_id": 7, **fields})
        return await call(request, metadata=(("authorization", f"Bearer {self._token}"),))

    async def refused(self, name: str, **fields: Any) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.call(name, **fields)
        return caught.value.code(), caught.value.details() or ""

    async def close(self) -> None:
        await self._channel.close()


@pytest.fixture
async def store(chain: TrainingChain, outbox: FakeOutbox, phases: FakePhases) -> AsyncIterator[TrainingStore]:
    settings = TrainingSettings(enabled=True, server_port=0)
    store = TrainingStore(settings, SECRET, HOST, chain, outbox, phases)
    await store.start()
    await phases.at(60)
    chain.assign(7, **{HOST: ["node1"], "gonka1zzz": ["node1"]})
    yield store
    await store.close()


@pytest.fixture
async def job(store: TrainingStore) -> AsyncIterator[Job]:
    job = Job(store.port)
    yield job
    await job.close()


async def test_a_node_joins_waits_and_gets_its_rank(job: Job, chain: TrainingChain) -> None:
    status = await job.call("JoinTraining", node_id=NODE)
    assert (status.status, list(status.active_nodes)) == (training.TRAINING_NODE_WAITING, [NODE])
    [message] = chain.of_kind(MsgJoinTraining)
    assert (message.creator, message.req.node_id, message.req.run_id) == (HOST, NODE, 7)
    chain.take("", MsgJoinTraining(req=training.JoinTrainingRequest(node_id=OTHER, run_id=7)))
    status = await job.call("GetJoinTrainingStatus", node_id=NODE)
    assert (status.status, status.rank) == (training.TRAINING_NODE_RUNNING, 0)
    assert list(status.active_nodes) == [NODE, OTHER]
    assert list((await job.call("GetAliveNodes")).alive_nodes) == [NODE, OTHER]


async def test_a_node_that_has_not_joined_is_told_so(job: Job) -> None:
    assert (await job.call("GetJoinTrainingStatus", node_id=NODE)).status == training.TRAINING_NODE_NOT_JOINED


async def test_a_node_that_was_taken_for_dead_joins_again(job: Job, chain: TrainingChain) -> None:
    for _ in range(2):
        await job.call("JoinTraining", node_id=NODE)
    assert len(chain.of_kind(MsgJoinTraining)) == 1
    chain.dead.add(NODE)
    await job.call("JoinTraining", node_id=NODE)
    assert len(chain.of_kind(MsgJoinTraining)) == 2


async def test_signs_of_life_are_sent_as_often_as_the_chain_needs_them(
    job: Job, chain: TrainingChain, phases: FakePhases
) -> None:
    await job.call("JoinTraining", node_id=NODE)
    chain.effective.params.training_params.heartbeat_blocks = 100
    pause = 100 // module.SIGNS_PER_SILENCE
    await job.call("SendHeartbeat", node_id=NODE, inner_step=3, outer_step=1)
    assert not chain.of_kind(MsgTrainingHeartbeat)
    await phases.at(60 + pause)
    for _ in range(3):
        await job.call("SendHeartbeat", node_id=NODE, inner_step=4, outer_step=1)
    [message] = chain.of_kind(MsgTrainingHeartbeat)
    assert (message.req.inner_step, message.req.outer_step) == (4, 1)
    await phases.at(60 + 2 * pause)
    await job.call("GetJoinTrainingStatus", node_id=NODE)
    assert len(chain.of_kind(MsgJoinTrainingStatus)) == 1


async def test_a_sign_of_life_that_comes_too_early_is_taken_as_given(job: Job, chain: TrainingChain) -> None:
    await job.call("JoinTraining", node_id=NODE)
    chain.dead.add(NODE)
    chain.refusals = [module.TOO_EARLY]
    await job.call("JoinTraining", node_id=NODE)


async def test_records_are_written_in_the_hosts_name_and_read_with_it(job: Job, chain: TrainingChain) -> None:
    assert not (await job.call("GetStoreRecord", key="color")).HasField("record")
    await job.call("SetStoreRecord", record=node.Record(key="color", value="blue", participant="gonka1else"))
    record = (await job.call("GetStoreRecord", key="color")).record
    assert (record.key, record.value, record.participant) == ("color", "blue", HOST)
    assert list((await job.call("ListStoreKeys")).keys) == ["color"]


async def test_the_same_value_can_be_written_anew(job: Job, chain: TrainingChain) -> None:
    for value in ("blue", "red", "blue"):
        await job.call("SetStoreRecord", record=node.Record(key="color", value=value))
    assert chain.records[7, "color"].value == "blue"


async def test_a_barrier_waits_for_all_that_are_alive(job: Job, chain: TrainingChain, store: TrainingStore) -> None:
    for node_id in (NODE, OTHER):
        chain.take("", MsgJoinTraining(req=training.JoinTrainingRequest(node_id=node_id, run_id=7)))
    for _ in range(2):  # a repetition is no fault
        answer = await job.call("SetBarrier", node_id=NODE, barrier_id="trained", outer_step=8)
        assert answer.status == node.READY
    status = await job.call("GetBarrierStatus", barrier_id="trained", outer_step=8)
    assert (status.all_ready, list(status.not_ready)) == (False, [OTHER])
    arrival = training.SetBarrierRequest(node_id=OTHER, run_id=7, barrier_id="trained", outer_step=8)
    chain.take("", MsgSetBarrier(req=arrival))
    assert (await job.call("GetBarrierStatus", barrier_id="trained", outer_step=8)).all_ready


@pytest.mark.parametrize("token", ["", "7.x.y", store_token("another node's", Place(7, NODE))])
async def test_w27_a_call_without_the_tasks_token_is_refused(
    store: TrainingStore, chain: TrainingChain, token: str
) -> None:
    """The published store is open to whoever reaches its port."""
    stranger = Job(store.port, token=token)
    for name in ("JoinTraining", "SetStoreRecord", "GetStoreRecord"):
        code, sentence = await stranger.refused(name)
        assert code is grpc.StatusCode.UNAUTHENTICATED
        assert "STORE_TOKEN" in sentence
    assert chain.taken == []
    await stranger.close()


async def test_w27_a_job_speaks_for_its_own_node_and_task_alone(
    job: Job, store: TrainingStore, chain: TrainingChain
) -> None:
    for fields in ({"run_id": 8, "node_id": NODE}, {"node_id": f"{HOST}/node2"}, {"node_id": OTHER}):
        code, sentence = await job.refused("JoinTraining", **fields)
        assert code is grpc.StatusCode.PERMISSION_DENIED
        assert sentence == f"this token is for node {NODE} in training task 7 alone"
    code, _ = await job.refused("SetStoreRecord", run_id=8)
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert chain.taken == []


async def test_what_the_chain_refuses_is_passed_on(job: Job, chain: TrainingChain) -> None:
    for name, fields in (
        ("JoinTraining", {"node_id": NODE}),
        ("SetBarrier", {"node_id": NODE}),
        ("SetStoreRecord", {}),
    ):
        chain.refusals = [1222]
        assert await job.refused(name, **fields) == (grpc.StatusCode.FAILED_PRECONDITION, "refused (code 1222)")


async def test_a_write_that_no_block_takes_is_to_be_repeated(job: Job, outbox: FakeOutbox) -> None:
    outbox.on_put = lambda _key, _message: None
    code, _ = await job.refused("SetStoreRecord")
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_more_writes_than_are_taken_at_a_time_are_refused(
    job: Job, store: TrainingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(module.MAX_WRITES):
        await store._writes.acquire()
    code, _ = await job.refused("SetStoreRecord")
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_while_the_chain_is_away_a_job_may_come_again(job: Job, chain: TrainingChain) -> None:
    chain.down = True
    code, _ = await job.refused("GetAliveNodes")
    assert code is grpc.StatusCode.UNAVAILABLE


async def test_before_the_first_block_nothing_is_written(job: Job, phases: FakePhases) -> None:
    phases.moment = None
    code, _ = await job.refused("SetStoreRecord")
    assert code is grpc.StatusCode.UNAVAILABLE


async def test_a_question_that_the_chain_refuses_is_answered_so(
    job: Job, chain: TrainingChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise NOT_FOUND

    monkeypatch.setattr(chain, "query", refuse)
    code, _ = await job.refused("GetAliveNodes")
    assert code is grpc.StatusCode.NOT_FOUND


async def test_a_port_that_is_taken_is_named(
    store: TrainingStore, chain: TrainingChain, outbox: FakeOutbox, phases: FakePhases
) -> None:
    settings = TrainingSettings(enabled=True, server_port=store.port)
    second = TrainingStore(settings, SECRET, HOST, chain, outbox, phases)
    with pytest.raises(CannotListen, match="DAPI_TRAINING__SERVER_PORT"):
        await second.start()
    await second.close()
