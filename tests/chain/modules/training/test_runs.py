"""Runs: who joins, what ranks they get, who lives, what they share, and how it all ends."""

import pytest

from pivot.chain.errors import NetworkCode
from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.training import lifetime, run_messages
from pivot.chain.modules.training.runs import count_kv_records, kv_record, node, node_ids, nodes, run_row_keys
from pivot.chain.modules.training.state import clearings
from pivot.protocol.generated.inference.inference.training_pb2 import JoinTrainingRequest, TrainingNodeStatus
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgJoinTraining
from tests.chain.chain import key
from tests.chain.modules.training.rounds import (
    COINS,
    EXPIRED,
    FINISHED,
    JOINING,
    QUEUED,
    RICH,
    RUNNING,
    Training,
    node_id,
    refused,
)

WAITING, AT_WORK = TrainingNodeStatus.TRAINING_NODE_WAITING, TrainingNodeStatus.TRAINING_NODE_RUNNING


@pytest.fixture
def network() -> Training:
    return Training()


def ranks(network: Training) -> dict[str, int]:
    """By node."""
    return {each.node_id: each.rank for each in nodes(network.state, 1).values() if each.HasField("rank")}


# Joining


def test_ranks_are_given_when_all_have_joined(network: Training) -> None:
    network.assigned()
    waiting = network.join("bob")
    assert (waiting.status, waiting.HasField("rank")) == (WAITING, False)
    assert network.task().status == JOINING
    answer = network.join("carol", outer_step=3)
    assert network.task().status == RUNNING
    assert ranks(network) == {each: rank for rank, each in enumerate(node_ids(network.task()))}
    assert (answer.status, answer.rank, answer.outer_step) == (AT_WORK, ranks(network)[node_id("carol")], 3)
    assert list(answer.active_nodes) == node_ids(network.task())
    assert network.events("training_started") == [{"task_id": "1", "nodes": "2"}]
    assert network.events("training_node_joined")[0] == {"task_id": "1", "node_id": node_id("bob")}


def test_ranks_are_given_after_a_while_when_all_but_one_have_joined(network: Training) -> None:
    network.assigned()
    network.join("carol")
    network.wait(network.rules.join_blocks)
    assert network.task().status == JOINING
    network.wait(1)
    assert network.task().status == RUNNING
    assert ranks(network) == {node_id("carol"): 0}


def test_who_comes_late_gets_the_next_rank(network: Training) -> None:
    network.assigned()
    network.join("carol")
    network.wait(network.rules.join_blocks + 1)
    assert network.join("bob", outer_step=7).rank == 1
    assert ranks(network) == {node_id("carol"): 0, node_id("bob"): 1}


@pytest.mark.parametrize("hosts", [["bob"], []])
def test_a_task_goes_back_to_the_queue_when_too_few_come(network: Training, hosts: list[str]) -> None:
    network.assigned(**({"bob": [0, 1], "carol": [0]} if hosts else {"bob": [0, 1]}))
    for name in hosts:
        network.join(name)
    network.wait(network.rules.join_blocks + 1)
    task = network.task()
    assert (task.status, list(task.assignees), task.assigned_at_block_height) == (QUEUED, [], 0)
    assert not list(run_row_keys(network.state, 1))
    network.wait(network.rules.assignment_blocks)
    network.claim("bob")
    network.assign("bob", bob=[0, 1])
    network.join("bob", 1)
    network.join("bob", 0)
    assert network.task().status == RUNNING


def test_one_node_that_does_not_come_starts_no_run(network: Training) -> None:
    network.create(count=4)
    network.claim()
    network.assign(bob=[0])
    network.wait(network.rules.join_blocks + 1)
    assert network.task().status == QUEUED


def test_a_task_that_comes_back_too_late_expires(network: Training) -> None:
    network.create()
    network.wait(network.rules.task_blocks - 1)
    network.claim()
    network.assign()
    network.wait(network.rules.join_blocks + 1)
    assert network.task().status == QUEUED
    network.wait(1)
    assert network.task().status == EXPIRED


def hurry(network: Training) -> None:
    """Let nodes fall silent in half of the time that they have to join."""
    record = epochs.effective(network.state)
    record.params.training_params.heartbeat_blocks = network.rules.join_blocks // 2
    epochs.put(network.state, record)


def test_who_falls_silent_before_the_run_begins_gets_no_rank(network: Training) -> None:
    hurry(network)
    network.assigned(alice=[0], bob=[0], carol=[0])
    network.join("bob")
    network.wait(network.rules.join_blocks // 2 + 1)
    network.join("carol")
    network.join("alice")
    assert network.task().status == JOINING
    network.wait(network.rules.join_blocks // 2)
    assert network.task().status == RUNNING
    assert sorted(ranks(network)) == sorted([node_id("alice"), node_id("carol")])
    assert network.join("bob").rank == 2


def test_who_only_joins_does_not_make_a_run(network: Training) -> None:
    hurry(network)
    network.assigned()
    network.join("bob")
    network.wait(network.rules.join_blocks + 1)
    assert network.task().status == QUEUED


def test_w27_a_host_speaks_for_its_own_assigned_nodes_alone(network: Training) -> None:
    network.assigned()
    foreign = JoinTrainingRequest(node_id=node_id("bob"), run_id=1)
    with refused(NetworkCode.TRAINING_NOT_ASSIGNED, "does not begin with"):
        network.deliver(MsgJoinTraining(creator=key("carol").address, req=foreign))
    for name, number in (("bob", 1), ("alice", 0)):
        with refused(NetworkCode.TRAINING_NOT_ASSIGNED, "is not assigned"):
            network.join(name, number)
    network.join("bob")
    network.join("carol")
    for act in (network.heartbeat, network.await_rank, network.set_barrier):
        with refused(NetworkCode.TRAINING_NOT_ASSIGNED):
            act("alice")
    for name in ("alice", RICH):
        with refused(NetworkCode.TRAINING_NOT_ASSIGNED):
            network.store(name)


def test_nobody_joins_a_task_that_is_not_in_progress(network: Training) -> None:
    network.create()
    with refused(NetworkCode.TRAINING_WRONG_STATUS, "TRAINING_QUEUED, not"):
        network.join("bob")
    network.claim()
    network.assign()
    network.join("bob")
    network.join("carol")
    network.finish()
    with refused(NetworkCode.TRAINING_WRONG_STATUS, "TRAINING_FINISHED, not"):
        network.join("bob")


# Signs of life


def test_a_node_that_waits_gives_signs_of_life_and_learns_its_rank(network: Training) -> None:
    network.assigned()
    network.join("bob")
    network.wait(network.rules.heartbeat_interval)
    assert network.await_rank("bob").status == WAITING
    network.join("carol")
    network.wait(network.rules.heartbeat_interval)
    answer = network.await_rank("bob")
    assert (answer.status, answer.rank) == (AT_WORK, ranks(network)[node_id("bob")])


def test_a_heartbeat_tells_how_far_a_node_has_come(network: Training) -> None:
    network.running()
    network.wait(network.rules.heartbeat_interval)
    network.heartbeat("bob", inner_step=5, outer_step=2, epoch=1)
    place = node_ids(network.task()).index(node_id("bob"))
    found = node(network.state, 1, place)
    assert found is not None
    assert (found.inner_step, found.outer_step, found.epoch) == (5, 2, 1)
    assert found.last_seen_block_height == network.height


def test_signs_of_life_may_not_flood(network: Training) -> None:
    network.running()
    for act in (network.heartbeat, network.await_rank, network.join):
        with refused(NetworkCode.TRAINING_TOO_EARLY, f"at height {network.height + network.rules.heartbeat_interval}"):
            act("bob")
    network.wait(network.rules.heartbeat_interval)
    network.heartbeat("bob")


def test_a_node_must_join_before_it_lives(network: Training) -> None:
    network.assigned()
    with refused(NetworkCode.TRAINING_NOT_JOINED, "has not joined"):
        network.heartbeat("bob")


def test_a_silent_node_is_dead_until_it_joins_again(network: Training) -> None:
    network.running()
    before = ranks(network)
    network.wait(network.rules.heartbeat_blocks)
    network.heartbeat("carol")
    network.wait(1)
    with refused(NetworkCode.TRAINING_NOT_JOINED, "silent for more than"):
        network.heartbeat("bob")
    network.wait(network.rules.heartbeat_interval)
    assert list(network.heartbeat("carol").active_nodes) == [node_id("carol")]
    answer = network.join("bob", outer_step=4)
    assert list(answer.active_nodes) == node_ids(network.task())
    assert ranks(network) == before


def test_a_node_that_is_done_does_not_come_back(network: Training) -> None:
    network.running()
    network.finish("bob")
    network.wait(network.rules.heartbeat_interval)
    with refused(NetworkCode.ALREADY_DONE):
        network.join("bob")


# The end of a run


def test_a_run_of_which_nobody_is_alive_expires(network: Training) -> None:
    network.running()
    network.wait(network.rules.heartbeat_interval)
    network.heartbeat("bob")
    network.wait(network.rules.heartbeat_blocks + 1)
    assert network.task().status == RUNNING
    network.wait(1)
    assert network.task().status == EXPIRED
    assert network.coins(RICH) == COINS


def test_a_run_whose_living_nodes_are_done_has_finished(network: Training) -> None:
    network.running()
    network.finish("bob")
    network.wait(2 * network.rules.heartbeat_blocks + 2)
    assert network.task().status == FINISHED


def test_a_run_ends_when_its_time_is_up_however_alive(network: Training) -> None:
    network.running()
    last = network.height + network.rules.task_blocks
    while network.height + network.rules.heartbeat_interval <= last:
        network.wait(network.rules.heartbeat_interval)
        network.heartbeat("bob")
    network.advance(last)
    assert network.task().status == RUNNING
    network.wait(1)
    assert network.task().status == EXPIRED


def test_a_vote_that_ends_training_ends_the_runs(network: Training) -> None:
    network.running()
    record = epochs.effective(network.state)
    record.params.training_params.Clear()
    epochs.put(network.state, record)
    network.wait(network.rules.heartbeat_blocks + 1)
    assert network.task().status == EXPIRED


def test_the_rows_of_a_run_are_cleared_some_per_block(network: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifetime, "CLEARED_PER_BLOCK", 2)
    network.running()
    network.store("bob")
    network.set_barrier("carol")
    network.finish()
    left = []
    while list(clearings(network.state)):
        left.append(len(list(run_row_keys(network.state, 1))))
        network.wait(1)
    assert left == [4, 2, 0]
    assert kv_record(network.state, 1, "loss") is None


def test_one_block_looks_after_some_tasks(network: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifetime, "LOOKED_AFTER_PER_BLOCK", 1)
    network.create()
    network.create()
    network.wait(network.rules.task_blocks + 1)
    assert [network.task(each).status for each in (1, 2)] == [EXPIRED, QUEUED]
    network.wait(1)
    assert network.task(2).status == EXPIRED


# Barriers


def test_a_node_comes_to_a_barrier_step_by_step(network: Training) -> None:
    network.running()
    network.set_barrier("bob", step=0)
    network.set_barrier("bob", step=3)
    for step in (0, 3):
        with refused(NetworkCode.ALREADY_DONE, "at outer step 3"):
            network.set_barrier("bob", step=step)
    network.set_barrier("carol", step=1)


def test_a_node_has_some_barriers_at_most(network: Training) -> None:
    network.running()
    for number in range(run_messages.MAX_BARRIERS_OF_A_NODE):
        network.set_barrier("bob", f"barrier {number}")
    with refused(NetworkCode.TRAINING_LIMIT, "as many as can be"):
        network.set_barrier("bob")
    network.set_barrier("bob", "barrier 0", 1)
    network.set_barrier("carol")


@pytest.mark.parametrize("name", ["", "é" * 33])
def test_a_barrier_has_a_short_name(network: Training, name: str) -> None:
    with refused(NetworkCode.INVALID_FIELD, "1 to 64 bytes"):
        network.set_barrier("bob", name)


def test_barriers_are_for_nodes_of_a_run_under_way(network: Training) -> None:
    network.assigned()
    network.join("bob")
    with refused(NetworkCode.TRAINING_WRONG_STATUS, "not TRAINING_RUNNING"):
        network.set_barrier("bob")
    network.wait(network.rules.join_blocks + 1)
    with refused(NetworkCode.TRAINING_NOT_JOINED):
        network.set_barrier("carol")


# Keys and values


def test_all_hosts_of_a_run_write_the_same_keys(network: Training) -> None:
    network.running()
    network.store("bob", value="3.2")
    network.store("carol", value="2.9")
    found = kv_record(network.state, 1, "loss")
    assert found is not None
    assert (found.value, found.participant) == ("2.9", key("carol").address)
    assert found.updated_at_block_height == network.height
    assert count_kv_records(network.state, 1) == 1


def test_a_run_has_some_keys_at_most(network: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_messages, "MAX_KEYS", 2)
    network.running()
    network.store("bob", "one")
    network.store("bob", "two")
    with refused(NetworkCode.TRAINING_LIMIT, "2 keys"):
        network.store("bob", "three")
    network.store("carol", "one", "again")


def test_no_host_writes_or_uses_up_anothers_own_keys(network: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_messages, "MAX_KEYS", 2)
    monkeypatch.setattr(run_messages, "MAX_OWN_KEYS", 2)
    network.running()
    own = f"{key('bob').address}/certificate"
    with refused(NetworkCode.TRAINING_NOT_ASSIGNED, "'s own"):
        network.store("carol", own)
    for name in ("one", "two"):
        network.store("carol", name)
    network.store("bob", own)
    network.store("bob", own, "again")
    network.store("bob", f"{own}/2")
    with refused(NetworkCode.TRAINING_LIMIT, "2 keys of its own"):
        network.store("bob", f"{own}/3")
    monkeypatch.setattr(run_messages, "MAX_KEYS", 5)
    network.store("carol", f"{key('alice').address}/of nobody in the run")


@pytest.mark.parametrize(("name", "value"), [("", "x"), ("é" * 65, "x"), ("key", "é" * 2_049)])
def test_keys_and_values_have_bounds(network: Training, name: str, value: str) -> None:
    with refused(NetworkCode.INVALID_FIELD, "bytes"):
        network.store("bob", name, value)


def test_keys_are_for_a_run_under_way(network: Training) -> None:
    network.assigned()
    with refused(NetworkCode.TRAINING_WRONG_STATUS):
        network.store("bob")
    with refused(NetworkCode.TRAINING_TASK_NOT_FOUND):
        network.store("bob", task_id=9)
