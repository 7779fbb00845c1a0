"""The messages of a training, by the address of who sends them."""

from collections.abc import Iterable, Mapping
from typing import Any

from pivot.protocol.generated.inference.inference.training_pb2 import (
    HeartbeatRequest,
    JoinTrainingRequest,
    SetBarrierRequest,
    TrainingConfig,
    TrainingDatasets,
    TrainingHardwareResources,
    TrainingTaskAssignee,
)
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    MsgAssignTrainingTask,
    MsgClaimTrainingTaskForAssignment,
    MsgCreateTrainingTask,
    MsgFinishTrainingTask,
    MsgJoinTraining,
    MsgJoinTrainingStatus,
    MsgSetBarrier,
    MsgSubmitTrainingKvRecord,
    MsgTrainingHeartbeat,
)


def wish(address: str, card: str, count: int, *, steps: int = 5) -> MsgCreateTrainingTask:
    """Ask for so many cards of a kind. steps: in which the nodes' speed is estimated."""
    return MsgCreateTrainingTask(
        creator=address,
        hardware_resources=[TrainingHardwareResources(type=card, count=count)],
        config=TrainingConfig(
            datasets=TrainingDatasets(train="words", test="more words"), num_uoc_estimation_steps=steps
        ),
    )


def claim(address: str, task_id: int) -> MsgClaimTrainingTaskForAssignment:
    return MsgClaimTrainingTaskForAssignment(creator=address, task_id=task_id)


def assignment(address: str, task_id: int, nodes: Mapping[str, Iterable[str]]) -> MsgAssignTrainingTask:
    """nodes: local ids by host."""
    assignees = [TrainingTaskAssignee(participant=host, node_ids=local_ids) for host, local_ids in nodes.items()]
    return MsgAssignTrainingTask(creator=address, task_id=task_id, assignees=assignees)


def finish(address: str, task_id: int) -> MsgFinishTrainingTask:
    return MsgFinishTrainingTask(creator=address, task_id=task_id)


def join(address: str, run_id: int, node_id: str, **fields: Any) -> MsgJoinTraining:
    """A node is there. node_id: host's address / local id."""
    return MsgJoinTraining(creator=address, req=JoinTrainingRequest(node_id=node_id, run_id=run_id, **fields))


def join_status(address: str, run_id: int, node_id: str, **fields: Any) -> MsgJoinTrainingStatus:
    return MsgJoinTrainingStatus(creator=address, req=JoinTrainingRequest(node_id=node_id, run_id=run_id, **fields))


def heartbeat(address: str, run_id: int, node_id: str, **fields: Any) -> MsgTrainingHeartbeat:
    return MsgTrainingHeartbeat(creator=address, req=HeartbeatRequest(node_id=node_id, run_id=run_id, **fields))


def barrier(address: str, run_id: int, node_id: str, barrier_id: str, outer_step: int) -> MsgSetBarrier:
    request = SetBarrierRequest(barrier_id=barrier_id, node_id=node_id, run_id=run_id, outer_step=outer_step)
    return MsgSetBarrier(creator=address, req=request)


def record(address: str, task_id: int, name: str, value: str) -> MsgSubmitTrainingKvRecord:
    return MsgSubmitTrainingKvRecord(creator=address, taskId=task_id, key=name, value=value)
