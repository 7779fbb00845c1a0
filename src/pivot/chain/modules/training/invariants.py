"""What holds after every block."""

from pivot.chain.modules.bank.state import TRAINING, balance
from pivot.chain.modules.training.runs import RUN_ROWS, node_ids, nodes
from pivot.chain.modules.training.state import (
    INDEXES,
    NUMBER_BYTES,
    OPEN_STATUSES,
    STORE,
    clearings,
    index_keys,
    next_id,
    tasks,
)
from pivot.chain.pagination import prefix_end
from pivot.chain.types import Reader
from pivot.protocol.generated.inference.inference.training_pb2 import TrainingTaskStatus


def check_training_deposits(state: Reader) -> None:
    """The module's account holds the deposits of open tasks, no more and no less. Raises AssertionError."""
    put_down = 0
    for record in tasks(state):
        if record.deposit and record.status not in OPEN_STATUSES:
            raise AssertionError(f"training task {record.id} has ended, and has a deposit")
        put_down += record.deposit
    held = balance(state, TRAINING)
    if put_down != held:
        raise AssertionError(f"deposits on training tasks add up to {put_down}, but the module holds {held}")


def check_training_tasks(state: Reader) -> None:
    """Every task is found by its status, who asked for it and when it is due; nothing else is. Raises AssertionError."""
    known = list(tasks(state))
    wanted = sorted(key for record in known for key in index_keys(record))
    there = sorted(key for prefix in INDEXES for key, _ in state.iterate(STORE, prefix, prefix_end(prefix)))
    if wanted != there:
        raise AssertionError(f"rows lead to other training tasks than there are: {sorted(set(wanted) ^ set(there))}")
    if known and known[-1].id >= next_id(state):
        raise AssertionError(f"training task {known[-1].id} exists, but the next one is {next_id(state)}")


def check_training_runs(state: Reader) -> None:
    """Nodes at their places; ranks, once a run has begun, from 0 without a gap; rows only of runs under way or being cleared.

    Raises AssertionError.
    """
    open_tasks = [record for record in tasks(state) if record.status in OPEN_STATUSES]
    for record in open_tasks:
        assigned, joined = node_ids(record), nodes(state, record.id)
        if any(assigned[place : place + 1] != [each.node_id] for place, each in joined.items()):
            raise AssertionError(f"a node of training task {record.id} stands at a place that is not its own")
        runs = record.status == TrainingTaskStatus.TRAINING_RUNNING
        ranks = sorted(each.rank for each in joined.values() if each.HasField("rank"))
        if ranks != list(range(len(joined) if runs else 0)):
            raise AssertionError(f"training task {record.id} has the ranks {ranks} for {len(joined)} nodes")
    current = {*(record.id for record in open_tasks), *clearings(state)}
    named = {
        int.from_bytes(key[len(prefix) : len(prefix) + NUMBER_BYTES])
        for prefix in RUN_ROWS
        for key, _ in state.iterate(STORE, prefix, prefix_end(prefix))
    }
    if strays := sorted(named - current):
        raise AssertionError(f"there are rows of the runs of training tasks {strays}, which are over")
