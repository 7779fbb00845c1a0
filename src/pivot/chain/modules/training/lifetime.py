"""What becomes of a task as blocks go by, and what its end does.

    queued ── assigned ──▶ joining ── all nodes, or after `join_blocks` all but one ──▶ running ──▶ finished
       ▲                      │                                                            │
       └── too few have come ─┘              its time is up, or nobody is alive: expired ◀─┘

The deposit goes back to who asked, whatever the end is.
"""

from itertools import islice

from pivot.chain.modules.bank.state import TRAINING, send
from pivot.chain.modules.epochs.state import effective
from pivot.chain.modules.training.runs import active_nodes, forget_nodes, node_ids, nodes, put_node, run_row_keys
from pivot.chain.modules.training.state import (
    STORE,
    clearings,
    due,
    ended_before,
    forget_clearing,
    forget_task,
    put_clearing,
    put_task,
    training_params,
)
from pivot.chain.types import Block
from pivot.protocol.generated.inference.inference.training_pb2 import TrainingTask, TrainingTaskStatus

LOOKED_AFTER_PER_BLOCK = 100
"""Tasks after which one block looks; what is left follows in the next."""
CLEARED_PER_BLOCK = 500
"""Rows of runs that one block deletes."""
PRUNED_PER_BLOCK = 500
"""Tasks that one block forgets."""


def look_after_due(block: Block) -> None:
    """Do what is due with open tasks."""
    for record in list(islice(due(block.state, block.height), LOOKED_AFTER_PER_BLOCK)):
        if record.status == TrainingTaskStatus.TRAINING_QUEUED:
            end(block, record, TrainingTaskStatus.TRAINING_EXPIRED)
        elif record.status == TrainingTaskStatus.TRAINING_JOINING:
            _close_joining(block, record)
        else:
            _look_after_run(block, record)


def begin_run(block: Block, record: TrainingTask) -> None:
    """Give those that have joined, and are alive, their ranks, in the order of their places.

    Who has fallen silent since would leave a gap among the ranks of those who work: it may join again, as one that comes late.
    """
    rules = training_params(block.state)
    joined = active_nodes(block.state, record.id, block.height, rules.heartbeat_blocks)
    forget_nodes(block.state, record.id)
    for rank, (place, each) in enumerate(joined.items()):
        each.rank = rank
        put_node(block.state, record.id, place, each)
    record.status = TrainingTaskStatus.TRAINING_RUNNING
    record.deadline_height = block.height + rules.heartbeat_blocks
    put_task(block.state, record)
    block.emit("training_started", task_id=record.id, nodes=len(joined))


def end(block: Block, record: TrainingTask, status: TrainingTaskStatus) -> None:
    """Close a task: its deposit goes back, and the rows of its run go."""
    if record.deposit:
        send(block, TRAINING, record.requested_by, record.deposit)
    record.deposit = 0
    record.deadline_height = 0
    record.finished_at_block_height = block.height
    record.finished_in_epoch = effective(block.state).index
    record.status = status
    put_task(block.state, record)
    put_clearing(block.state, record.id)
    block.emit("training_task_ended", task_id=record.id, status=TrainingTaskStatus.Name(status))


def prune(block: Block) -> None:
    """Delete some rows of runs that are over, and some tasks that ended in epochs past their time (W-24)."""
    _clear_some(block)
    current = effective(block.state)
    kept_from = current.index - current.params.epoch_params.inference_pruning_epoch_threshold + 1
    for task_id in list(islice(ended_before(block.state, max(kept_from, 0)), PRUNED_PER_BLOCK)):
        forget_task(block.state, task_id)


def _close_joining(block: Block, record: TrainingTask) -> None:
    """All but one must have come and be alive, and at least one; else others may try."""
    silent = training_params(block.state).heartbeat_blocks
    joined = len(active_nodes(block.state, record.id, block.height, silent))
    if joined and joined >= len(node_ids(record)) - 1:
        begin_run(block, record)
        return
    forget_nodes(block.state, record.id)
    del record.assignees[:]
    record.assigned_at_block_height = 0
    record.status = TrainingTaskStatus.TRAINING_QUEUED
    record.deadline_height = record.created_at_block_height + training_params(block.state).task_blocks
    put_task(block.state, record)
    block.emit("training_task_returned", task_id=record.id, joined=joined)


def _look_after_run(block: Block, record: TrainingTask) -> None:
    """End a run whose time is up, or of which nobody is left; the others are looked after when they may have fallen silent."""
    rules = training_params(block.state)
    last = record.assigned_at_block_height + rules.task_blocks
    active = active_nodes(block.state, record.id, block.height, rules.heartbeat_blocks)
    if block.height >= last:
        end(block, record, TrainingTaskStatus.TRAINING_EXPIRED)
    elif not active:
        done = any(each.finished for each in nodes(block.state, record.id).values())
        end(block, record, TrainingTaskStatus.TRAINING_FINISHED if done else TrainingTaskStatus.TRAINING_EXPIRED)
    else:
        seen = max(each.last_seen_block_height for each in active.values())
        record.deadline_height = min(last, seen + rules.heartbeat_blocks + 1)
        put_task(block.state, record)


def _clear_some(block: Block) -> None:
    """Delete rows of runs that are over, those of the oldest task first."""
    left = CLEARED_PER_BLOCK
    for task_id in list(islice(clearings(block.state), CLEARED_PER_BLOCK)):
        keys = list(islice(run_row_keys(block.state, task_id), left))
        for key in keys:
            block.state.delete(STORE, key)
        left -= len(keys)
        if not left:
            return
        forget_clearing(block.state, task_id)
