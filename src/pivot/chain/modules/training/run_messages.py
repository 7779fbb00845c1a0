"""What a host says for its nodes in a run: they join, live, meet at barriers, and share keys and values.

A host speaks for nodes of its own alone, and for those only that are assigned to the task (W-27).
"""

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.handlers import MessageHandler
from pivot.chain.modules.auth.state import check_address
from pivot.chain.modules.training.lifetime import begin_run
from pivot.chain.modules.training.runs import (
    active_nodes,
    barrier_step,
    count_barriers,
    count_kv_records,
    is_active,
    kv_record,
    node,
    node_ids,
    nodes,
    put_barrier_step,
    put_kv_record,
    put_node,
    require_assignee,
    require_place,
    status_of,
)
from pivot.chain.modules.training.state import IN_PROGRESS_STATUSES, require_status, require_task, training_params
from pivot.chain.types import Block, Reader
from pivot.protocol.generated.inference.inference.training_pb2 import (
    MLNodeTrainStatus,
    TrainingNode,
    TrainingTask,
    TrainingTaskKVRecord,
    TrainingTaskStatus,
)
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    MsgJoinTraining,
    MsgJoinTrainingResponse,
    MsgJoinTrainingStatus,
    MsgJoinTrainingStatusResponse,
    MsgSetBarrier,
    MsgSetBarrierResponse,
    MsgSubmitTrainingKvRecord,
    MsgSubmitTrainingKvRecordResponse,
    MsgTrainingHeartbeat,
    MsgTrainingHeartbeatResponse,
)

GAS_OF_A_SIGN = 20_000
GAS_OF_A_BARRIER = 10_000
GAS_OF_A_RECORD = 20_000
MAX_BARRIERS_OF_A_NODE = 16
MAX_BARRIER_ID_BYTES = 64
MAX_KEYS = 256
"""Of one run. Those that are a host's own are counted, and are taken all the same."""
MAX_OWN_KEYS = 4
"""Of a host in a run, for each of its nodes there: keys that begin with its address and a slash."""
MAX_KEY_BYTES = 128
MAX_VALUE_BYTES = 4_096


def _check_node(message: MsgJoinTraining | MsgJoinTrainingStatus | MsgTrainingHeartbeat | MsgSetBarrier) -> None:
    check_address("creator", message.creator)
    if not message.req.node_id.startswith(f"{message.creator}/"):
        raise NetworkError(
            NetworkCode.TRAINING_NOT_ASSIGNED,
            f"req.node_id {message.req.node_id[:160]!r} does not begin with {message.creator}/",
        )


# Signs of life


def _join(block: Block, message: MsgJoinTraining) -> MsgJoinTrainingResponse:
    """The node takes part. Who comes when the run has begun gets the next rank; who fell silent comes back with the one it had.

    Raises NetworkError (TRAINING_TASK_NOT_FOUND, TRAINING_WRONG_STATUS, TRAINING_NOT_ASSIGNED, ALREADY_DONE, TRAINING_TOO_EARLY).
    """
    request = message.req
    record = require_status(block.state, request.run_id, *IN_PROGRESS_STATUSES)
    place = require_place(record, message.creator, request.node_id)
    found = node(block.state, record.id, place)
    if found is None:
        found = TrainingNode(node_id=request.node_id, joined_at_block_height=block.height)
        if record.status == TrainingTaskStatus.TRAINING_RUNNING:
            found.rank = len(nodes(block.state, record.id))
        block.emit("training_node_joined", task_id=record.id, node_id=found.node_id)
    else:
        _require_at_work(record, found)
        _require_time(block, found)
    found.outer_step = request.outer_step
    found.last_seen_block_height = block.height
    put_node(block.state, record.id, place, found)
    if record.status == TrainingTaskStatus.TRAINING_JOINING and _all_are_here(block, record):
        begin_run(block, record)
    return MsgJoinTrainingResponse(status=_status(block, record, place))


def _wait(block: Block, message: MsgJoinTrainingStatus) -> MsgJoinTrainingStatusResponse:
    """A node that waits for its rank is alive, and is told whether it has one. Raises as `_heartbeat` does."""
    record, place, found = _require_alive(block, message.creator, message.req.run_id, message.req.node_id)
    found.last_seen_block_height = block.height
    put_node(block.state, record.id, place, found)
    return MsgJoinTrainingStatusResponse(status=_status(block, record, place))


def _heartbeat(block: Block, message: MsgTrainingHeartbeat) -> MsgTrainingHeartbeatResponse:
    """A node is alive, and tells how far it has come.

    Raises NetworkError (TRAINING_TASK_NOT_FOUND, TRAINING_WRONG_STATUS, TRAINING_NOT_ASSIGNED, TRAINING_NOT_JOINED,
    ALREADY_DONE, TRAINING_TOO_EARLY).
    """
    request = message.req
    record, place, found = _require_alive(block, message.creator, request.run_id, request.node_id)
    found.inner_step, found.outer_step, found.epoch = request.inner_step, request.outer_step, request.epoch
    found.last_seen_block_height = block.height
    put_node(block.state, record.id, place, found)
    return MsgTrainingHeartbeatResponse(status=_status(block, record, place))


def _require_alive(block: Block, creator: str, run_id: int, node_id: str) -> tuple[TrainingTask, int, TrainingNode]:
    """Task, place and node of who may give a sign of life now."""
    record = require_status(block.state, run_id, *IN_PROGRESS_STATUSES)
    place = require_place(record, creator, node_id)
    found = node(block.state, record.id, place)
    if found is None:
        raise NetworkError(
            NetworkCode.TRAINING_NOT_JOINED, f"node {node_id[:160]!r} has not joined training task {record.id}"
        )
    _require_at_work(record, found)
    silent = training_params(block.state).heartbeat_blocks
    if not is_active(found, block.height, silent):
        raise NetworkError(
            NetworkCode.TRAINING_NOT_JOINED,
            f"node {node_id[:160]!r} was silent for more than {silent} blocks; it has to join training task {record.id} again",
        )
    _require_time(block, found)
    return record, place, found


def _all_are_here(block: Block, record: TrainingTask) -> bool:
    """Whether all assigned nodes have joined and none has fallen silent since."""
    silent = training_params(block.state).heartbeat_blocks
    return len(active_nodes(block.state, record.id, block.height, silent)) == len(node_ids(record))


def _require_at_work(record: TrainingTask, found: TrainingNode) -> None:
    if found.finished:
        raise NetworkError(NetworkCode.ALREADY_DONE, f"node {found.node_id!r} is done with training task {record.id}")


def _require_time(block: Block, found: TrainingNode) -> None:
    """Signs of life cost their host nothing, so there is a least time between two."""
    next_at = found.last_seen_block_height + training_params(block.state).heartbeat_interval
    if block.height < next_at:
        raise NetworkError(
            NetworkCode.TRAINING_TOO_EARLY, f"node {found.node_id!r} may give its next sign of life at height {next_at}"
        )


def _status(block: Block, record: TrainingTask, place: int) -> MLNodeTrainStatus:
    return status_of(block.state, record.id, place, block.height, training_params(block.state).heartbeat_blocks)


# Barriers


def _check_barrier(message: MsgSetBarrier) -> None:
    _check_node(message)
    if not 0 < len(message.req.barrier_id.encode()) <= MAX_BARRIER_ID_BYTES:
        raise NetworkError(NetworkCode.INVALID_FIELD, f"req.barrier_id must have 1 to {MAX_BARRIER_ID_BYTES} bytes")


def _set_barrier(block: Block, message: MsgSetBarrier) -> MsgSetBarrierResponse:
    """A node has come to a barrier at an outer step, and so has passed it at all earlier ones.

    Raises NetworkError (TRAINING_TASK_NOT_FOUND, TRAINING_WRONG_STATUS, TRAINING_NOT_ASSIGNED, TRAINING_NOT_JOINED,
    ALREADY_DONE, TRAINING_LIMIT).
    """
    request = message.req
    record = require_status(block.state, request.run_id, TrainingTaskStatus.TRAINING_RUNNING)
    place = require_place(record, message.creator, request.node_id)
    if node(block.state, record.id, place) is None:
        raise NetworkError(
            NetworkCode.TRAINING_NOT_JOINED, f"node {request.node_id!r} has not joined training task {record.id}"
        )
    before = barrier_step(block.state, record.id, place, request.barrier_id)
    if before is None and count_barriers(block.state, record.id, place) >= MAX_BARRIERS_OF_A_NODE:
        raise NetworkError(
            NetworkCode.TRAINING_LIMIT,
            f"node {request.node_id!r} has {MAX_BARRIERS_OF_A_NODE} barriers, as many as can be",
        )
    if before is not None and request.outer_step <= before:
        raise NetworkError(
            NetworkCode.ALREADY_DONE,
            f"node {request.node_id!r} has come to {request.barrier_id!r} at outer step {before}",
        )
    put_barrier_step(block.state, record.id, place, request.barrier_id, request.outer_step)
    return MsgSetBarrierResponse()


# Keys and values


def _check_record(message: MsgSubmitTrainingKvRecord) -> None:
    check_address("creator", message.creator)
    if not 0 < len(message.key.encode()) <= MAX_KEY_BYTES:
        raise NetworkError(NetworkCode.INVALID_FIELD, f"key must have 1 to {MAX_KEY_BYTES} bytes")
    if len(message.value.encode()) > MAX_VALUE_BYTES:
        raise NetworkError(NetworkCode.INVALID_FIELD, f"value must have {MAX_VALUE_BYTES} bytes at most")


def _store_record(block: Block, message: MsgSubmitTrainingKvRecord) -> MsgSubmitTrainingKvRecordResponse:
    """Write what all hosts of the run may read; but for each other's own keys they may write it, too.

    Raises NetworkError (TRAINING_TASK_NOT_FOUND, TRAINING_WRONG_STATUS, TRAINING_NOT_ASSIGNED, TRAINING_LIMIT).
    """
    record = require_task(block.state, message.taskId)
    require_assignee(record, message.creator)
    require_status(block.state, record.id, TrainingTaskStatus.TRAINING_RUNNING)
    _require_own_key(record, message)
    if kv_record(block.state, record.id, message.key) is None:
        _require_room(block.state, record, message)
    put_kv_record(
        block.state,
        TrainingTaskKVRecord(
            taskId=record.id,
            participant=message.creator,
            key=message.key,
            value=message.value,
            updated_at_block_height=block.height,
        ),
    )
    return MsgSubmitTrainingKvRecordResponse()


def _require_own_key(record: TrainingTask, message: MsgSubmitTrainingKvRecord) -> None:
    """No host of the run writes a key that is another's own: nobody can take the place of what it has said there."""
    owner, slash, _ = message.key.partition("/")
    if slash and owner != message.creator and owner in {each.participant for each in record.assignees}:
        raise NetworkError(
            NetworkCode.TRAINING_NOT_ASSIGNED, f"key {message.key!r} of training task {record.id} is {owner}'s own"
        )


def _require_room(state: Reader, record: TrainingTask, message: MsgSubmitTrainingKvRecord) -> None:
    """One more key may be written. Others cannot use up a host's own."""
    own = f"{message.creator}/"
    if message.key.startswith(own):
        most = MAX_OWN_KEYS * sum(node_id.startswith(own) for node_id in node_ids(record))
        if count_kv_records(state, record.id, own) >= most:
            raise NetworkError(
                NetworkCode.TRAINING_LIMIT,
                f"{message.creator} has {most} keys of its own in training task {record.id}, as many as can be",
            )
    elif count_kv_records(state, record.id) >= MAX_KEYS:
        raise NetworkError(
            NetworkCode.TRAINING_LIMIT, f"training task {record.id} has {MAX_KEYS} keys, as many as can be"
        )


MESSAGES: list[MessageHandler] = [
    MessageHandler(MsgJoinTraining, _join, gas=lambda _: GAS_OF_A_SIGN, check=_check_node, duty=True),
    MessageHandler(MsgJoinTrainingStatus, _wait, gas=lambda _: GAS_OF_A_SIGN, check=_check_node, duty=True),
    MessageHandler(MsgTrainingHeartbeat, _heartbeat, gas=lambda _: GAS_OF_A_SIGN, check=_check_node, duty=True),
    MessageHandler(MsgSetBarrier, _set_barrier, gas=lambda _: GAS_OF_A_BARRIER, check=_check_barrier, duty=True),
    MessageHandler(
        MsgSubmitTrainingKvRecord, _store_record, gas=lambda _: GAS_OF_A_RECORD, check=_check_record, duty=True
    ),
]
