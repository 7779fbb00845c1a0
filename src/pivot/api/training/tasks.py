"""The chain's training tasks, as this node asks for them. Every function raises LedgerError."""

from collections.abc import Iterator

from pivot.api.ledger.interface import Chain, ChainRefused
from pivot.protocol.generated.inference.inference import query_pb2 as queries
from pivot.protocol.generated.inference.inference.training_pb2 import TrainingNode, TrainingTask

SERVICE = "/inference.inference.Query"
PAGE_LENGTH = 256
"""As many open tasks as there can be."""


async def queued(chain: Chain) -> list[TrainingTask]:
    """The tasks that wait for nodes, the oldest first."""
    request = queries.QueryQueuedTrainingTasksRequest()
    request.pagination.limit = PAGE_LENGTH
    answer = await chain.query(f"{SERVICE}/QueuedTrainingTasks", request, queries.QueryQueuedTrainingTasksResponse)
    return list(answer.tasks)


async def in_progress(chain: Chain) -> list[TrainingTask]:
    """The tasks that are assigned, the oldest first."""
    request = queries.QueryInProgressTrainingTasksRequest()
    request.pagination.limit = PAGE_LENGTH
    path = f"{SERVICE}/InProgressTrainingTasks"
    return list((await chain.query(path, request, queries.QueryInProgressTrainingTasksResponse)).tasks)


async def newest(chain: Chain) -> list[TrainingTask]:
    """The tasks that were asked for last, ended ones too, the newest first."""
    request = queries.QueryTrainingTaskAllRequest()
    request.pagination.limit, request.pagination.reverse = PAGE_LENGTH, True
    return list((await chain.query(f"{SERVICE}/TrainingTaskAll", request, queries.QueryTrainingTaskAllResponse)).tasks)


async def find(chain: Chain, task_id: int) -> TrainingTask | None:
    """One task; None for one that the chain does not know, or no longer."""
    request = queries.QueryTrainingTaskRequest(id=task_id)
    try:
        return (await chain.query(f"{SERVICE}/TrainingTask", request, queries.QueryTrainingTaskResponse)).task
    except ChainRefused as refusal:
        if refusal.not_found:
            return None
        raise


async def run_nodes(chain: Chain, task_id: int) -> tuple[list[str], dict[str, TrainingNode]]:
    """The ids of the nodes that are alive and at work, in order, and all that have joined, by id."""
    request = queries.QueryTrainingAliveNodesRequest(run_id=task_id)
    answer = await chain.query(f"{SERVICE}/TrainingAliveNodes", request, queries.QueryTrainingAliveNodesResponse)
    return list(answer.alive_nodes), {node.node_id: node for node in answer.nodes}


def places(task: TrainingTask) -> Iterator[tuple[str, str]]:
    """Participant and local id of every assigned node, in the order of their ranks."""
    yield from sorted((each.participant, node_id) for each in task.assignees for node_id in each.node_ids)
