"""What a run's nodes write while their task is in progress. Rows of the store `inference`; ids are 8 bytes, places 2, steps 4.

TrainingNode/value/<id><place>                      TrainingNode: a node that has joined
TrainingBarrier/value/<id><place><barrier id>       the last outer step at which the node came to this barrier
TrainingKvRecord/value/<id><key>                    TrainingTaskKVRecord

A node's place is its position among the assigned ones, which are sorted by participant and local id. All three kinds are deleted
some per block once the task has ended.
"""

from collections.abc import Iterator
from itertools import chain

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.modules.training.state import number
from pivot.chain.pagination import prefix_end
from pivot.chain.store.journal import State
from pivot.chain.types import Reader
from pivot.protocol.generated.inference.inference.training_pb2 import (
    MLNodeTrainStatus,
    TrainingNode,
    TrainingNodeStatus,
    TrainingTask,
    TrainingTaskKVRecord,
)

STORE = "inference"
NODES = b"TrainingNode/value/"
BARRIERS = b"TrainingBarrier/value/"
RECORDS = b"TrainingKvRecord/value/"
RUN_ROWS = (NODES, BARRIERS, RECORDS)
PLACE_BYTES = 2
STEP_BYTES = 4


def node_ids(record: TrainingTask) -> list[str]:
    """Of all assigned nodes, in the order of their places: `participant/local id`."""
    return [f"{each.participant}/{local_id}" for each in record.assignees for local_id in each.node_ids]


def require_place(record: TrainingTask, creator: str, node_id: str) -> int:
    """The place of a node that is assigned, and its host's own (W-27). Raises NetworkError (TRAINING_NOT_ASSIGNED)."""
    assigned = node_ids(record)
    if node_id not in assigned or not node_id.startswith(f"{creator}/"):
        raise NetworkError(
            NetworkCode.TRAINING_NOT_ASSIGNED,
            f"node {node_id[:160]!r} of {creator} is not assigned to training task {record.id}",
        )
    return assigned.index(node_id)


def require_assignee(record: TrainingTask, creator: str) -> None:
    """The host has nodes that are assigned to the task. Raises NetworkError (TRAINING_NOT_ASSIGNED)."""
    if creator not in {each.participant for each in record.assignees}:
        raise NetworkError(
            NetworkCode.TRAINING_NOT_ASSIGNED, f"{creator} has no node that is assigned to training task {record.id}"
        )


# Nodes


def node(state: Reader, task_id: int, place: int) -> TrainingNode | None:
    """The node at this place, if it has joined."""
    row = state.get(STORE, NODES + number(task_id) + _place(place))
    return None if row is None else TrainingNode.FromString(row)


def nodes(state: Reader, task_id: int) -> dict[int, TrainingNode]:
    """All nodes that have joined, by place."""
    prefix = NODES + number(task_id)
    return {
        int.from_bytes(key[-PLACE_BYTES:]): TrainingNode.FromString(row)
        for key, row in state.iterate(STORE, prefix, prefix_end(prefix))
    }


def nodes_at_work(state: Reader, task_id: int, host: str) -> dict[int, TrainingNode]:
    """A host's nodes that have joined and are not done, alive or not, by place."""
    joined = nodes(state, task_id)
    return {place: each for place, each in joined.items() if each.node_id.startswith(f"{host}/") and not each.finished}


def put_node(state: State, task_id: int, place: int, record: TrainingNode) -> None:
    """Write a node that has joined."""
    state.set(STORE, NODES + number(task_id) + _place(place), record.SerializeToString(deterministic=True))


def forget_nodes(state: State, task_id: int) -> None:
    """Delete all nodes of a run that has not begun."""
    for place in nodes(state, task_id):
        state.delete(STORE, NODES + number(task_id) + _place(place))


def is_active(record: TrainingNode, height: int, heartbeat_blocks: int) -> bool:
    """Whether a node has given a sign of life lately, and still works."""
    return not record.finished and height <= record.last_seen_block_height + heartbeat_blocks


def active_nodes(state: Reader, task_id: int, height: int, heartbeat_blocks: int) -> dict[int, TrainingNode]:
    """The nodes that are alive and at work, by place."""
    joined = nodes(state, task_id)
    return {place: each for place, each in joined.items() if is_active(each, height, heartbeat_blocks)}


def status_of(state: Reader, task_id: int, place: int, height: int, heartbeat_blocks: int) -> MLNodeTrainStatus:
    """What a node that has joined is told of its own place."""
    joined = nodes(state, task_id)
    own = joined[place]
    ranked = own.HasField("rank")
    return MLNodeTrainStatus(
        status=TrainingNodeStatus.TRAINING_NODE_RUNNING if ranked else TrainingNodeStatus.TRAINING_NODE_WAITING,
        node_id=own.node_id,
        outer_step=own.outer_step,
        active_nodes=[each.node_id for each in joined.values() if is_active(each, height, heartbeat_blocks)],
        rank=own.rank if ranked else None,
    )


# Barriers


def barrier_step(state: Reader, task_id: int, place: int, barrier_id: str) -> int | None:
    """The last outer step at which a node came to a barrier; None if it never has."""
    row = state.get(STORE, _barrier_key(task_id, place, barrier_id))
    return None if row is None else int.from_bytes(row)


def put_barrier_step(state: State, task_id: int, place: int, barrier_id: str, step: int) -> None:
    """Write the outer step at which a node has come to a barrier; earlier ones are passed with it."""
    state.set(STORE, _barrier_key(task_id, place, barrier_id), step.to_bytes(STEP_BYTES))


def count_barriers(state: Reader, task_id: int, place: int) -> int:
    """How many barriers a node has come to."""
    prefix = _barrier_key(task_id, place, "")
    return sum(1 for _ in state.iterate(STORE, prefix, prefix_end(prefix)))


# Keys and values


def kv_record(state: Reader, task_id: int, key: str) -> TrainingTaskKVRecord | None:
    """What a run's nodes have stored under a key, or None."""
    row = state.get(STORE, kv_prefix(task_id) + key.encode())
    return None if row is None else TrainingTaskKVRecord.FromString(row)


def put_kv_record(state: State, record: TrainingTaskKVRecord) -> None:
    """Write what stands under a key."""
    state.set(STORE, kv_prefix(record.taskId) + record.key.encode(), record.SerializeToString(deterministic=True))


def count_kv_records(state: Reader, task_id: int, beginning: str = "") -> int:
    """How many keys a run has that begin so."""
    prefix = kv_prefix(task_id) + beginning.encode()
    return sum(1 for _ in state.iterate(STORE, prefix, prefix_end(prefix)))


def kv_prefix(task_id: int) -> bytes:
    """What the rows of a run's keys begin with."""
    return RECORDS + number(task_id)


def run_row_keys(state: Reader, task_id: int) -> Iterator[bytes]:
    """Of everything that a run's nodes have written."""
    prefixes = [prefix + number(task_id) for prefix in RUN_ROWS]
    rows = chain.from_iterable(state.iterate(STORE, prefix, prefix_end(prefix)) for prefix in prefixes)
    return (key for key, _ in rows)


def _barrier_key(task_id: int, place: int, barrier_id: str) -> bytes:
    return BARRIERS + number(task_id) + _place(place) + barrier_id.encode()


def _place(place: int) -> bytes:
    return place.to_bytes(PLACE_BYTES)
