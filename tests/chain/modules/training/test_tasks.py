"""Tasks: who may ask, claim, assign and end, and what becomes of the deposit."""

import pytest

from pivot.chain.errors import NetworkCode, SdkCode, SdkError
from pivot.chain.modules.bank.state import TRAINING, balance
from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.participants.state import put, require_participant
from pivot.chain.modules.training import messages
from pivot.chain.modules.training.messages import MAX_NODES
from pivot.protocol.generated.inference.inference.training_pb2 import TrainingHardwareResources, TrainingTaskAssignee
from pivot.protocol.generated.inference.inference.types_pb2 import Hardware, ParticipantStatus
from tests.chain.chain import key
from tests.chain.modules.network import node
from tests.chain.modules.training.rounds import (
    CANCELLED,
    CARD,
    COINS,
    EXPIRED,
    FINISHED,
    HOSTS,
    JOINING,
    QUEUED,
    RICH,
    RUNNING,
    Training,
    assignment,
    cards,
    refused,
    wish,
)


@pytest.fixture
def network() -> Training:
    return Training()


def test_a_task_waits_in_the_queue_with_its_deposit_held(network: Training) -> None:
    assert network.create() == 1
    assert network.create() == 2
    task = network.task()
    assert (task.status, task.deposit) == (QUEUED, network.rules.task_deposit)
    assert task.config.datasets.train == "words"
    assert task.deadline_height == network.height + network.rules.task_blocks
    assert network.coins(RICH) == COINS - 2 * network.rules.task_deposit
    assert balance(network.state, TRAINING) == 2 * network.rules.task_deposit
    assert network.events("training_task_created")[0] == {"task_id": "1", "requested_by": key(RICH).address}


def test_who_cannot_pay_the_deposit_gets_no_task(network: Training) -> None:
    with pytest.raises(SdkError) as refusal:
        network.create("bob")
    assert refusal.value.code == SdkCode.INSUFFICIENT_FUNDS


def test_without_a_deposit_no_coins_move(network: Training) -> None:
    record = epochs.effective(network.state)
    record.params.training_params.task_deposit = 0
    epochs.put(network.state, record)
    network.create("bob")
    assert network.finish("bob") == CANCELLED
    assert not network.events("transfer")


def test_a_network_without_training_takes_no_task(network: Training) -> None:
    record = epochs.effective(network.state)
    record.params.training_params.Clear()
    epochs.put(network.state, record)
    with refused(NetworkCode.TRAINING_WRONG_STATUS, "no training"):
        network.create()


def test_one_account_has_a_few_open_tasks_at_most(network: Training) -> None:
    for _ in range(messages.MAX_OPEN_TASKS_OF_ONE):
        network.create()
    with refused(NetworkCode.TRAINING_LIMIT, "as many as one may have"):
        network.create()
    network.create("alice")
    network.finish(task_id=3)
    network.create()


def test_all_together_have_so_many_open_tasks(network: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "MAX_OPEN_TASKS", 2)
    network.create()
    network.create()
    with refused(NetworkCode.TRAINING_LIMIT, "as many as can be"):
        network.create("alice")


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("types", [], "1 to 16 different types"),
        ("types", [(CARD, 1), (CARD, 2)], "1 to 16 different types"),
        ("types", [(f"card{number}", 1) for number in range(17)], "1 to 16 different types"),
        ("types", [("", 1)], "1 to 256 characters"),
        ("types", [("x" * 257, 1)], "1 to 256 characters"),
        ("types", [(CARD, 0)], "between 1 and 10000"),
        ("types", [(CARD, 10_001)], "between 1 and 10000"),
        ("train", "x" * 513, "config.datasets.train"),
        ("test", "x" * 513, "config.datasets.test"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(network: Training, field: str, value: object, sentence: str) -> None:
    message = wish()
    if isinstance(value, list):
        del message.hardware_resources[:]
        message.hardware_resources.extend(TrainingHardwareResources(type=kind, count=count) for kind, count in value)
    else:
        setattr(message.config.datasets, field, value)
    with refused(NetworkCode.INVALID_FIELD, sentence):
        network.deliver(message)


# Claims


def test_a_claim_holds_for_its_blocks_and_then_another_member_may_try(network: Training) -> None:
    network.create()
    network.claim("alice")
    claimed_at, held = network.height, network.rules.assignment_blocks
    assert network.events("training_task_claimed") == [{"task_id": "1", "assigner": key("alice").address}]
    network.advance(claimed_at + held - 1)
    for name in ("bob", "alice"):
        with refused(NetworkCode.TRAINING_CLAIMED, "was claimed by"):
            network.claim(name)
    network.advance(claimed_at + held)
    with refused(NetworkCode.TRAINING_CLAIMED, f"from height {claimed_at + 2 * held}"):
        network.claim("alice")
    with refused(NetworkCode.TRAINING_NOT_ASSIGNED, "alice|not .*'s to assign"):
        network.assign("alice")
    network.claim("bob")
    assert network.task().assigner == key("bob").address


def test_who_let_a_claim_lapse_may_claim_again_when_others_had_their_time(network: Training) -> None:
    network.create()
    network.claim("alice")
    network.wait(2 * network.rules.assignment_blocks)
    network.claim("alice")


def test_w27_a_claim_in_the_first_blocks_of_a_chain_holds(network: Training) -> None:
    """The published lock subtracts its length from the height, and so wraps around where the height is smaller."""
    network.create()
    assert network.height < network.rules.assignment_blocks
    network.claim("alice")
    with refused(NetworkCode.TRAINING_CLAIMED):
        network.claim("bob")


def test_w27_only_members_claim_and_assign_and_only_the_claimant_assigns(network: Training) -> None:
    network.create()
    with refused(NetworkCode.NOT_A_MEMBER):
        network.claim(RICH)
    with refused(NetworkCode.TRAINING_NOT_ASSIGNED, "claims it first"):
        network.assign("alice")
    network.claim("alice")
    for name, code in (("bob", NetworkCode.TRAINING_NOT_ASSIGNED), (RICH, NetworkCode.NOT_A_MEMBER)):
        with refused(code):
            network.assign(name)
    assert network.task().status == QUEUED


def test_a_host_that_is_no_member_or_invalid_neither_claims_nor_is_assigned(network: Training) -> None:
    network.create()
    stranger = require_participant(network.state, key("bob").address)
    stranger.address = stranger.index = key("stranger").address
    put(network.state, stranger)
    with refused(NetworkCode.NOT_A_MEMBER):
        network.claim("stranger")
    record = require_participant(network.state, key("bob").address)
    record.status = ParticipantStatus.INVALID
    put(network.state, record)
    with refused(NetworkCode.NOT_A_MEMBER):
        network.claim("bob")
    network.claim("alice")
    with refused(NetworkCode.NOT_A_MEMBER):
        network.assign("alice")


def test_a_task_that_is_not_there_is_not_found(network: Training) -> None:
    with refused(NetworkCode.TRAINING_TASK_NOT_FOUND, "no training task 7"):
        network.claim("alice", 7)


# Assignments


def test_assigned_nodes_are_told_and_have_time_to_join(network: Training) -> None:
    network.create()
    network.claim("alice")
    network.assign("alice", 1, carol=[1, 0], bob=[0])
    task = network.task()
    assert (task.status, task.assigned_at_block_height) == (JOINING, network.height)
    assert task.deadline_height == network.height + network.rules.join_blocks
    hosts = sorted([(key("bob").address, ["node0"]), (key("carol").address, ["node0", "node1"])])
    assert [(each.participant, list(each.node_ids)) for each in task.assignees] == hosts
    assert network.events("training_task_assigned") == [{"task_id": "1"}]
    with refused(NetworkCode.TRAINING_WRONG_STATUS, "TRAINING_JOINING, not TRAINING_QUEUED"):
        network.claim("bob")


@pytest.mark.parametrize(
    ("nodes", "sentence"),
    [
        ({"bob": [0]}, "wants 8 of 'A100', the nodes have 4"),
        ({"bob": [0, 5]}, "has no node 'node5'"),
        ({"bob": [0, 1, 2]}, "'node2' has no hardware"),
        ({"bob": []}, "one at least"),
        ({"bob": [1, 1]}, "different ones"),
        ({}, "1 to 64 nodes"),
        ({"bob": range(MAX_NODES + 1)}, "1 to 64 nodes"),
    ],
)
def test_nodes_that_do_not_suffice_are_refused(network: Training, nodes: dict[str, list[int]], sentence: str) -> None:
    network.create()
    network.claim("alice")
    with refused(NetworkCode.INVALID_FIELD, sentence):
        network.deliver(assignment("alice", **nodes))


def test_a_host_is_assigned_once(network: Training) -> None:
    network.create()
    network.claim("alice")
    message = assignment("alice", bob=[0])
    message.assignees.append(TrainingTaskAssignee(participant=key("bob").address, node_ids=["node1"]))
    with refused(NetworkCode.INVALID_FIELD, "names a participant twice"):
        network.deliver(message)


def test_hardware_of_which_there_is_none_does_not_count(network: Training) -> None:
    network.declare("bob", cards(0, count=0), node(1))
    network.create()
    network.claim("alice")
    with refused(NetworkCode.INVALID_FIELD, "has no hardware"):
        network.assign("alice", 1, bob=[0], carol=[0, 1])


def test_cards_that_a_node_declares_in_parts_add_up(network: Training) -> None:
    parts = cards(0, count=3)
    parts.hardware.append(Hardware(type=CARD, count=5))
    network.declare("bob", parts)
    network.create()
    network.claim("alice")
    network.assign("alice", 1, bob=[0])


# Ends


def test_who_asked_takes_a_task_back_and_gets_the_deposit(network: Training) -> None:
    network.create()
    network.claim("alice")
    assert network.finish() == CANCELLED
    assert network.coins(RICH) == COINS
    task = network.task()
    assert (task.deposit, task.deadline_height, task.finished_at_block_height) == (0, 0, network.height)
    assert network.events("training_task_ended") == [{"task_id": "1", "status": "TRAINING_CANCELLED"}]
    with refused(NetworkCode.TRAINING_WRONG_STATUS, "TRAINING_CANCELLED, not"):
        network.finish()


@pytest.mark.parametrize("name", [RICH, "alice"])
def test_who_asked_and_who_assigned_end_a_run(network: Training, name: str) -> None:
    network.running()
    assert network.finish(name) == FINISHED
    assert network.coins(RICH) == COINS


def test_w27_nobody_else_ends_a_task(network: Training) -> None:
    network.create()
    network.claim("alice")
    for name in ("alice", "bob", "stranger"):
        with refused(NetworkCode.TRAINING_NOT_ASSIGNED):
            network.finish(name)
    network.assign()
    with refused(NetworkCode.TRAINING_NOT_ASSIGNED):
        network.finish("alice")
    with refused(NetworkCode.TRAINING_WRONG_STATUS, "not TRAINING_RUNNING"):
        network.finish("bob")
    network.join("bob")
    network.join("carol")
    with refused(NetworkCode.TRAINING_NOT_ASSIGNED):
        network.finish("stranger")


def test_a_run_is_over_when_all_its_nodes_are_done(network: Training) -> None:
    network.running()
    assert network.finish("bob") == RUNNING
    assert network.events("training_nodes_finished") == [
        {"task_id": "1", "participant": key("bob").address, "nodes": "1"}
    ]
    with refused(NetworkCode.ALREADY_DONE):
        network.finish("bob")
    with refused(NetworkCode.ALREADY_DONE, "is done with"):
        network.heartbeat("bob")
    assert network.finish("carol") == FINISHED
    assert network.coins(RICH) == COINS


@pytest.mark.parametrize("asking", ["alice", RICH])
def test_a_host_that_asked_or_assigned_leaves_the_run_to_the_others_first(network: Training, asking: str) -> None:
    network.create(asking)
    network.claim()
    network.assign(alice=[0], bob=[0])
    network.join("alice")
    network.join("bob")
    assert network.finish("alice") == RUNNING
    assert network.finish("alice") == FINISHED


def test_a_task_that_nobody_takes_expires(network: Training) -> None:
    network.create()
    network.wait(network.rules.task_blocks)
    assert network.task().status == QUEUED
    network.wait(1)
    assert network.task().status == EXPIRED
    assert network.coins(RICH) == COINS


def test_ended_tasks_are_forgotten_after_some_epochs(network: Training) -> None:
    network.create()
    network.finish()
    kept = network.params.epoch_params.inference_pruning_epoch_threshold
    passes = {name: {0: 10} for name in HOSTS}
    for _ in range(kept - 1):
        network.sprint(passes)
    network.create()
    network.finish(task_id=2)
    network.wait(1)
    assert network.task().finished_in_epoch == 0
    network.sprint(passes)
    network.wait(1)
    with refused(NetworkCode.TRAINING_TASK_NOT_FOUND):
        network.task()
    assert network.task(2).status == CANCELLED
    assert network.create() == 3
