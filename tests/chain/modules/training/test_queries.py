"""What anybody may ask about training."""

import pytest
from cosmos.base.query.v1beta1.pagination_pb2 import PageRequest

from pivot.chain.errors import NetworkCode, tells_absence
from pivot.protocol.generated.inference.inference import query_pb2 as queries
from tests.chain.modules.training.rounds import RUNNING, Training, node_id, refused


@pytest.fixture
def network() -> Training:
    return Training()


def test_tasks_are_found_by_id_and_by_status(network: Training) -> None:
    network.running()
    for _ in range(3):
        network.create()
    network.finish(task_id=2)
    assert network.query("TrainingTask", queries.QueryTrainingTaskRequest(id=1)).task.status == RUNNING

    def ids(name: str) -> list[int]:
        request = getattr(queries, f"Query{name}Request")()
        return [each.id for each in network.query(name, request).tasks]

    assert ids("TrainingTaskAll") == [1, 2, 3, 4]
    assert ids("QueuedTrainingTasks") == [3, 4]
    assert ids("InProgressTrainingTasks") == [1]


@pytest.mark.parametrize("name", ["TrainingTaskAll", "QueuedTrainingTasks"])
def test_lists_of_tasks_have_pages(network: Training, name: str) -> None:
    for _ in range(3):
        network.create()
    request = getattr(queries, f"Query{name}Request")
    first = network.query(name, request(pagination=PageRequest(limit=2)))
    assert [each.id for each in first.tasks] == [1, 2]
    second = network.query(name, request(pagination=PageRequest(key=first.pagination.next_key)))
    assert [each.id for each in second.tasks] == [3]


def test_what_is_not_there_is_told_as_absent(network: Training) -> None:
    for name, request in (
        ("TrainingTask", queries.QueryTrainingTaskRequest(id=5)),
        ("TrainingAliveNodes", queries.QueryTrainingAliveNodesRequest(run_id=5)),
        ("TrainingBarrier", queries.QueryTrainingBarrierRequest(run_id=5)),
    ):
        with refused(NetworkCode.TRAINING_TASK_NOT_FOUND) as refusal:
            network.query(name, request)
        assert tells_absence(refusal.value)
    with refused(NetworkCode.TRAINING_RECORD_NOT_FOUND, "no key 'loss'") as refusal:
        network.query("TrainingKvRecord", queries.QueryTrainingKvRecordRequest(taskId=1, key="loss"))
    assert tells_absence(refusal.value)


def test_keys_and_values_are_read_by_everybody(network: Training) -> None:
    network.running()
    network.store("bob", "rank0/addr", "10.0.0.1:10001")
    network.store("carol", "b", "x")
    request = queries.QueryTrainingKvRecordRequest(taskId=1, key="rank0/addr")
    assert network.query("TrainingKvRecord", request).record.value == "10.0.0.1:10001"
    listed = network.query("ListTrainingKvRecordKeys", queries.QueryListTrainingKvRecordKeysRequest(taskId=1))
    assert list(listed.keys) == ["b", "rank0/addr"]


def test_all_are_ready_when_all_that_live_have_come_to_the_barrier(network: Training) -> None:
    network.running()

    def asked(step: int) -> queries.QueryTrainingBarrierResponse:
        request = queries.QueryTrainingBarrierRequest(barrier_id="outer", run_id=1, outer_step=step)
        answer = network.query("TrainingBarrier", request)
        assert isinstance(answer, queries.QueryTrainingBarrierResponse)
        return answer

    network.set_barrier("bob", step=1)
    assert (asked(1).all_ready, list(asked(1).not_ready)) == (False, [node_id("carol")])
    network.set_barrier("carol", step=2)
    assert asked(1).all_ready
    assert list(asked(2).not_ready) == [node_id("bob")]
    assert sorted(asked(2).alive_nodes) == sorted([node_id("bob"), node_id("carol")])
    network.finish("bob")
    assert asked(2).all_ready
    network.finish("carol")
    assert not asked(2).all_ready


def test_the_dead_are_not_waited_for(network: Training) -> None:
    network.running()
    network.wait(network.rules.heartbeat_blocks)
    network.heartbeat("carol")
    network.wait(1)
    answer = network.query("TrainingAliveNodes", queries.QueryTrainingAliveNodesRequest(run_id=1))
    assert list(answer.alive_nodes) == [node_id("carol")]
    assert sorted(each.node_id for each in answer.nodes) == sorted([node_id("bob"), node_id("carol")])
    request = queries.QueryTrainingBarrierRequest(barrier_id="outer", run_id=1)
    assert list(network.query("TrainingBarrier", request).not_ready) == [node_id("carol")]
