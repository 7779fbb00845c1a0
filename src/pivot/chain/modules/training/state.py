"""Tasks, and what leads to them. Rows of the store `inference`; ids, heights and epochs are 8 bytes, big-endian.

TrainingTask/value/<id>                             TrainingTask
TrainingNextId/value/                               id of the next task
TrainingQueued/value/<id>                           tasks that wait for nodes
TrainingInProgress/value/<id>                       tasks that are assigned
TrainingRequester/value/<address>/<id>              open tasks, by who has asked for them
TrainingDeadline/value/<height><id>                 open tasks, by the height at which the chain looks after them
TrainingEnded/value/<epoch><id>                     tasks that have ended, by the epoch in which they did
TrainingClearing/value/<id>                         tasks that have ended, and still have rows of their run

A task is open in the queue, while its nodes join, and while it runs.
"""

from collections.abc import Iterator

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.modules.epochs.state import effective
from pivot.chain.pagination import prefix_end
from pivot.chain.store.journal import State
from pivot.chain.types import Reader
from pivot.protocol.generated.inference.inference.params_pb2 import TrainingParams
from pivot.protocol.generated.inference.inference.training_pb2 import TrainingTask, TrainingTaskStatus

STORE = "inference"
TASKS = b"TrainingTask/value/"
NEXT_ID_KEY = b"TrainingNextId/value/"
QUEUED = b"TrainingQueued/value/"
IN_PROGRESS = b"TrainingInProgress/value/"
REQUESTERS = b"TrainingRequester/value/"
DEADLINES = b"TrainingDeadline/value/"
ENDED = b"TrainingEnded/value/"
CLEARINGS = b"TrainingClearing/value/"
INDEXES = (QUEUED, IN_PROGRESS, REQUESTERS, DEADLINES, ENDED)
FIRST_ID = 1
NUMBER_BYTES = 8
PRESENT = b"\x01"
IN_PROGRESS_STATUSES = (TrainingTaskStatus.TRAINING_JOINING, TrainingTaskStatus.TRAINING_RUNNING)
OPEN_STATUSES = (TrainingTaskStatus.TRAINING_QUEUED, *IN_PROGRESS_STATUSES)


def training_params(state: Reader) -> TrainingParams:
    """The rules of the epoch in force."""
    return effective(state).params.training_params


def task(state: Reader, task_id: int) -> TrainingTask | None:
    """The task, open or ended, or None."""
    row = state.get(STORE, TASKS + number(task_id))
    return None if row is None else TrainingTask.FromString(row)


def require_task(state: Reader, task_id: int) -> TrainingTask:
    """The task. Raises NetworkError (TRAINING_TASK_NOT_FOUND)."""
    found = task(state, task_id)
    if found is None:
        raise NetworkError(NetworkCode.TRAINING_TASK_NOT_FOUND, f"there is no training task {task_id}")
    return found


def require_status(state: Reader, task_id: int, *statuses: TrainingTaskStatus) -> TrainingTask:
    """The task, if it has one of these statuses. Raises NetworkError (TRAINING_TASK_NOT_FOUND, TRAINING_WRONG_STATUS)."""
    found = require_task(state, task_id)
    if found.status not in statuses:
        wanted = " or ".join(TrainingTaskStatus.Name(each) for each in statuses)
        raise NetworkError(
            NetworkCode.TRAINING_WRONG_STATUS,
            f"training task {task_id} is {TrainingTaskStatus.Name(found.status)}, not {wanted}",
        )
    return found


def tasks(state: Reader) -> Iterator[TrainingTask]:
    """All tasks by id."""
    for _, row in state.iterate(STORE, TASKS, prefix_end(TASKS)):
        yield TrainingTask.FromString(row)


def put_task(state: State, record: TrainingTask) -> None:
    """Write a task, and the rows that lead to it."""
    _forget_indexes(state, record.id)
    for key in index_keys(record):
        state.set(STORE, key, PRESENT)
    state.set(STORE, TASKS + number(record.id), record.SerializeToString(deterministic=True))


def forget_task(state: State, task_id: int) -> None:
    """Delete a task, and the rows that lead to it."""
    _forget_indexes(state, task_id)
    state.delete(STORE, TASKS + number(task_id))


def next_id(state: Reader) -> int:
    """The id that the next task gets."""
    return int.from_bytes(state.get(STORE, NEXT_ID_KEY) or number(FIRST_ID))


def put_next_id(state: State, task_id: int) -> None:
    """Set the id that the next task gets."""
    state.set(STORE, NEXT_ID_KEY, number(task_id))


def count_open(state: Reader) -> int:
    """How many tasks are open."""
    return sum(1 for _ in state.iterate(STORE, DEADLINES, prefix_end(DEADLINES)))


def count_open_of(state: Reader, address: str) -> int:
    """How many open tasks somebody has asked for."""
    prefix = _requester_prefix(address)
    return sum(1 for _ in state.iterate(STORE, prefix, prefix_end(prefix)))


def due(state: Reader, height: int) -> Iterator[TrainingTask]:
    """Open tasks after which the chain looks at `height`, or should have before, the longest due first."""
    for key, _ in state.iterate(STORE, DEADLINES, DEADLINES + number(height + 1)):
        yield require_task(state, int.from_bytes(key[-NUMBER_BYTES:]))


def ended_before(state: Reader, epoch: int) -> Iterator[int]:
    """Ids of the tasks that ended before an epoch (not below 0), the oldest epoch first."""
    for key, _ in state.iterate(STORE, ENDED, ENDED + number(epoch)):
        yield int.from_bytes(key[-NUMBER_BYTES:])


def clearings(state: Reader) -> Iterator[int]:
    """Ids of tasks that have ended and still have rows of their run."""
    for key, _ in state.iterate(STORE, CLEARINGS, prefix_end(CLEARINGS)):
        yield int.from_bytes(key[-NUMBER_BYTES:])


def put_clearing(state: State, task_id: int) -> None:
    """Have the rows of a task's run deleted."""
    state.set(STORE, CLEARINGS + number(task_id), PRESENT)


def forget_clearing(state: State, task_id: int) -> None:
    """Note that there are no rows of the task's run any more."""
    state.delete(STORE, CLEARINGS + number(task_id))


def index_keys(record: TrainingTask) -> list[bytes]:
    """The rows that lead to a task in its status."""
    task_id = number(record.id)
    if record.status not in OPEN_STATUSES:
        return [ENDED + number(record.finished_in_epoch) + task_id]
    return [
        (IN_PROGRESS if record.status in IN_PROGRESS_STATUSES else QUEUED) + task_id,
        _requester_prefix(record.requested_by) + task_id,
        DEADLINES + number(record.deadline_height) + task_id,
    ]


def number(value: int) -> bytes:
    """An id, a height or an epoch as keys have it."""
    return value.to_bytes(NUMBER_BYTES)


def _forget_indexes(state: State, task_id: int) -> None:
    before = task(state, task_id)
    if before is not None:
        for key in index_keys(before):
            state.delete(STORE, key)


def _requester_prefix(address: str) -> bytes:
    return REQUESTERS + address.encode() + b"/"
