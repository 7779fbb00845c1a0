"""What the module keeps adds up, and goes into an export and out of it unchanged."""

import json
from collections.abc import Callable

import pytest

from pivot.chain.modules.bank.state import TRAINING, move
from pivot.chain.modules.training import genesis
from pivot.chain.modules.training.invariants import check_training_deposits, check_training_runs, check_training_tasks
from pivot.chain.modules.training.runs import node, put_node
from pivot.chain.modules.training.state import (
    DEADLINES,
    STORE,
    forget_clearing,
    put_next_id,
    put_task,
    task,
)
from pivot.chain.pagination import prefix_end
from pivot.chain.store.journal import State
from pivot.chain.types import Reader
from pivot.protocol.generated.inference.inference.training_pb2 import TrainingNode
from tests.chain.chain import key, plain_block
from tests.chain.modules.training.rounds import RICH, Training, node_id


def at_work() -> Training:
    """One task runs, one waits, one has ended and is not cleared yet, one is joining."""
    network = Training()
    network.running()
    network.finish()
    network.create()
    for task_id in (3, 4):
        network.create()
        network.claim("alice", task_id)
        network.assign("alice", task_id)
        network.join("bob", task_id=task_id)
    network.join("carol", task_id=4)
    network.set_barrier("bob", task_id=4)
    network.store("carol", task_id=4)
    return network


def rows(state: Reader) -> dict[bytes, bytes]:
    return dict(state.iterate(STORE, b"Training", b"Traininh"))


def test_an_export_in_the_middle_of_a_run_is_loaded_into_the_same_rows() -> None:
    network = at_work()
    document = json.loads(json.dumps(genesis.export(network.state)))
    block = plain_block()
    genesis.load(block, document)
    assert rows(block.state) == rows(network.state)
    assert genesis.export(block.state) == document


def test_an_empty_export_is_loaded_into_nothing() -> None:
    block = plain_block()
    genesis.load(block, genesis.export(block.state))
    assert rows(block.state) == {}


def test_a_network_at_work_goes_on_to_its_end() -> None:
    network = at_work()
    network.wait(3 * network.rules.task_blocks)
    assert not list(network.state.iterate(STORE, DEADLINES, prefix_end(DEADLINES)))


def _spend(state: State) -> None:
    move(state, TRAINING, key(RICH).address, 1)


def _ended_with_deposit(state: State) -> None:
    record = task(state, 1)
    assert record is not None
    record.deposit = 5
    put_task(state, record)


def _lost_deadline(state: State) -> None:
    found, _ = next(iter(state.iterate(STORE, DEADLINES, prefix_end(DEADLINES))))
    state.delete(STORE, found)


def _low_id(state: State) -> None:
    put_next_id(state, 4)


def _strange_place(state: State) -> None:
    put_node(state, 4, 5, TrainingNode(node_id=node_id("bob")))


def _rank_too_early(state: State) -> None:
    record = next(each for place in (0, 1) if (each := node(state, 3, place)) is not None)
    place = 0 if node(state, 3, 0) is not None else 1
    record.rank = 0
    put_node(state, 3, place, record)


def _rank_twice(state: State) -> None:
    record = node(state, 4, 1)
    assert record is not None
    record.rank = 0
    put_node(state, 4, 1, record)


def _uncleared(state: State) -> None:
    forget_clearing(state, 1)


@pytest.mark.parametrize(
    ("check", "breach", "sentence"),
    [
        (check_training_deposits, _spend, "add up to"),
        (check_training_deposits, _ended_with_deposit, "task 1 has ended, and has a deposit"),
        (check_training_tasks, _lost_deadline, "rows lead to other"),
        (check_training_tasks, _low_id, "the next one is 4"),
        (check_training_runs, _strange_place, "not its own"),
        (check_training_runs, _rank_too_early, "task 3 has the ranks"),
        (check_training_runs, _rank_twice, "task 4 has the ranks"),
        (check_training_runs, _uncleared, r"\[1\], which are over"),
    ],
)
def test_a_contradiction_is_found(
    check: Callable[[Reader], None], breach: Callable[[State], None], sentence: str
) -> None:
    network = at_work()
    check(network.state)
    breach(network.state)
    with pytest.raises(AssertionError, match=sentence):
        check(network.state)
