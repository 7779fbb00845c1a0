"""Tasks, the nodes of their runs, barriers, keys and values."""

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.handlers import QueryHandler, query
from pivot.chain.modules.training.runs import active_nodes, barrier_step, kv_prefix, kv_record, nodes
from pivot.chain.modules.training.state import IN_PROGRESS, QUEUED, STORE, TASKS, require_task, training_params
from pivot.chain.pagination import list_page
from pivot.chain.types import View
from pivot.protocol.generated.inference.inference import query_pb2
from pivot.protocol.generated.inference.inference.training_pb2 import TrainingNode, TrainingTask

SERVICE = query_pb2.DESCRIPTOR.services_by_name["Query"]


def _task(view: View, request: query_pb2.QueryTrainingTaskRequest) -> query_pb2.QueryTrainingTaskResponse:
    return query_pb2.QueryTrainingTaskResponse(task=require_task(view.state, request.id))


def _all(view: View, request: query_pb2.QueryTrainingTaskAllRequest) -> query_pb2.QueryTrainingTaskAllResponse:
    found, page = list_page(view.state, STORE, TASKS, request.pagination, lambda _, row: TrainingTask.FromString(row))
    return query_pb2.QueryTrainingTaskAllResponse(tasks=found, pagination=page)


def _queued(
    view: View, request: query_pb2.QueryQueuedTrainingTasksRequest
) -> query_pb2.QueryQueuedTrainingTasksResponse:
    found, page = list_page(view.state, STORE, QUEUED, request.pagination, lambda key, _: _indexed(view, key))
    return query_pb2.QueryQueuedTrainingTasksResponse(tasks=found, pagination=page)


def _in_progress(
    view: View, request: query_pb2.QueryInProgressTrainingTasksRequest
) -> query_pb2.QueryInProgressTrainingTasksResponse:
    found, page = list_page(view.state, STORE, IN_PROGRESS, request.pagination, lambda key, _: _indexed(view, key))
    return query_pb2.QueryInProgressTrainingTasksResponse(tasks=found, pagination=page)


def _indexed(view: View, key: bytes) -> TrainingTask:
    return require_task(view.state, int.from_bytes(key))


def _kv_record(view: View, request: query_pb2.QueryTrainingKvRecordRequest) -> query_pb2.QueryTrainingKvRecordResponse:
    found = kv_record(view.state, request.taskId, request.key)
    if found is None:
        raise NetworkError(
            NetworkCode.TRAINING_RECORD_NOT_FOUND, f"training task {request.taskId} has no key {request.key[:160]!r}"
        )
    return query_pb2.QueryTrainingKvRecordResponse(record=found)


def _kv_keys(
    view: View, request: query_pb2.QueryListTrainingKvRecordKeysRequest
) -> query_pb2.QueryListTrainingKvRecordKeysResponse:
    found, page = list_page(
        view.state, STORE, kv_prefix(request.taskId), request.pagination, lambda key, _: key.decode()
    )
    return query_pb2.QueryListTrainingKvRecordKeysResponse(keys=found, pagination=page)


def _barrier(view: View, request: query_pb2.QueryTrainingBarrierRequest) -> query_pb2.QueryTrainingBarrierResponse:
    """All are ready when every node that is alive and at work has come to the barrier at this outer step, or a later one."""
    alive = _active(view, request.run_id)
    steps = {place: barrier_step(view.state, request.run_id, place, request.barrier_id) for place in alive}
    behind = [place for place, step in steps.items() if step is None or step < request.outer_step]
    return query_pb2.QueryTrainingBarrierResponse(
        all_ready=bool(alive) and not behind,
        not_ready=[alive[place].node_id for place in behind],
        alive_nodes=[each.node_id for each in alive.values()],
    )


def _alive_nodes(
    view: View, request: query_pb2.QueryTrainingAliveNodesRequest
) -> query_pb2.QueryTrainingAliveNodesResponse:
    return query_pb2.QueryTrainingAliveNodesResponse(
        alive_nodes=[each.node_id for each in _active(view, request.run_id).values()],
        nodes=nodes(view.state, request.run_id).values(),
    )


def _active(view: View, run_id: int) -> dict[int, TrainingNode]:
    """The nodes of a task that are alive and at work, by place. Raises NetworkError (TRAINING_TASK_NOT_FOUND)."""
    require_task(view.state, run_id)
    return active_nodes(view.state, run_id, view.height, training_params(view.state).heartbeat_blocks)


QUERIES: list[QueryHandler] = [
    query(SERVICE, "TrainingTask", _task),
    query(SERVICE, "TrainingTaskAll", _all),
    query(SERVICE, "QueuedTrainingTasks", _queued),
    query(SERVICE, "InProgressTrainingTasks", _in_progress),
    query(SERVICE, "TrainingKvRecord", _kv_record),
    query(SERVICE, "ListTrainingKvRecordKeys", _kv_keys),
    query(SERVICE, "TrainingBarrier", _barrier),
    query(SERVICE, "TrainingAliveNodes", _alive_nodes),
]
