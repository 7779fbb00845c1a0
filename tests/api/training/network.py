"""The chain's training in this process: tasks, the nodes of their runs, barriers, keys and values; blocks are the test's."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message

from pivot.protocol.generated.inference.inference import query_pb2 as queries
from pivot.protocol.generated.inference.inference.training_pb2 import (
    TrainingHardwareResources,
    TrainingNode,
    TrainingTask,
    TrainingTaskAssignee,
    TrainingTaskKVRecord,
    TrainingTaskStatus,
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
from pivot.protocol.generated.inference.inference.types_pb2 import (
    ActiveParticipant,
    ActiveParticipants,
    HardwareNodes,
)
from tests.api.fleet.chain import NOT_FOUND, FakeChain

ALREADY_DONE, CLAIMED, NOT_ASSIGNED = 1203, 1223, 1224


@dataclass
class TrainingChain(FakeChain):
    """What the chain would answer; `take` is what it does with a message."""

    tasks: dict[int, TrainingTask] = field(default_factory=dict)
    joined: dict[int, dict[str, TrainingNode]] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    barriers: dict[tuple[int, str, str], int] = field(default_factory=dict)
    records: dict[tuple[int, str], TrainingTaskKVRecord] = field(default_factory=dict)
    members: dict[str, int] = field(default_factory=dict)
    """Weight of each member."""
    taken: list[Message] = field(default_factory=list)
    refusals: list[int] = field(default_factory=list)
    """Codes of the next messages."""

    def queue(self, task_id: int = 7, **wanted: int) -> TrainingTask:
        """A task that waits for so many accelerators of each type."""
        resources = [TrainingHardwareResources(type=name, count=count) for name, count in wanted.items()]
        self.tasks[task_id] = TrainingTask(
            id=task_id,
            requested_by="gonka1asks",
            hardware_resources=resources,
            status=TrainingTaskStatus.TRAINING_QUEUED,
        )
        return self.tasks[task_id]

    def assign(self, task_id: int, **nodes: list[str]) -> TrainingTask:
        """A task that is assigned to these nodes of each participant."""
        task = self.tasks.get(task_id) or self.queue(task_id)
        task.status = TrainingTaskStatus.TRAINING_JOINING
        task.assignees.extend(TrainingTaskAssignee(participant=who, node_ids=ids) for who, ids in sorted(nodes.items()))
        return task

    async def query(self, path: str, request: Any, response: type[Any]) -> Any:
        name = path.rsplit("/", 1)[1]
        if name not in _QUERIES:
            return await super().query(path, request, response)
        self._note(name)
        return _QUERIES[name](self, request)

    async def active_participants(self, epoch: int) -> ActiveParticipants | None:
        members = [ActiveParticipant(index=address, weight=weight) for address, weight in self.members.items()]
        return ActiveParticipants(participants=members)

    def take(self, key: str, message: Message) -> int | None:
        """Carry a message out. Returns its code."""
        self.taken.append(message)
        if self.refusals:
            return self.refusals.pop(0)
        for kind, carry_out in _MESSAGES.items():
            if isinstance(message, kind):
                return carry_out(self, message)
        return self.take_hardware(key, message)

    def of_kind(self, kind: type[Any]) -> list[Any]:
        """The messages of a kind that have come."""
        return [message for message in self.taken if isinstance(message, kind)]

    def _in(self, *statuses: TrainingTaskStatus) -> list[TrainingTask]:
        return [task for task in self.tasks.values() if task.status in statuses]

    def _task(self, request: Any) -> Any:
        if request.id not in self.tasks:
            raise NOT_FOUND
        return queries.QueryTrainingTaskResponse(task=self.tasks[request.id])

    def _alive(self, request: Any) -> Any:
        nodes = self.joined.get(request.run_id, {})
        alive = [node_id for node_id, node in sorted(nodes.items()) if not node.finished and node_id not in self.dead]
        return queries.QueryTrainingAliveNodesResponse(alive_nodes=alive, nodes=nodes.values())

    def _barrier(self, request: Any) -> Any:
        alive = self._alive(request).alive_nodes
        behind = [
            each
            for each in alive
            if self.barriers.get((request.run_id, each, request.barrier_id), -1) < request.outer_step
        ]
        return queries.QueryTrainingBarrierResponse(all_ready=not behind, not_ready=behind, alive_nodes=alive)

    def _record(self, request: Any) -> Any:
        if (request.taskId, request.key) not in self.records:
            raise NOT_FOUND
        return queries.QueryTrainingKvRecordResponse(record=self.records[request.taskId, request.key])

    def _keys(self, request: Any) -> Any:
        keys = sorted(key for task_id, key in self.records if task_id == request.taskId)
        return queries.QueryListTrainingKvRecordKeysResponse(keys=keys)

    def _all_hardware(self, _: Any) -> Any:
        nodes = [HardwareNodes(participant=who, hardware_nodes=have) for who, have in sorted(self.hardware.items())]
        return queries.QueryHardwareNodesAllResponse(nodes=nodes)

    def _join(self, message: MsgJoinTraining) -> int:
        task, nodes = self.tasks[message.req.run_id], self.joined.setdefault(message.req.run_id, {})
        nodes.setdefault(message.req.node_id, TrainingNode(node_id=message.req.node_id))
        self.dead.discard(message.req.node_id)
        if len(nodes) == sum(len(each.node_ids) for each in task.assignees):
            task.status = TrainingTaskStatus.TRAINING_RUNNING
            for rank, node_id in enumerate(sorted(nodes)):
                nodes[node_id].rank = rank
        return 0

    def _finish(self, message: MsgFinishTrainingTask) -> int:
        for node_id, each in self.joined.get(message.task_id, {}).items():
            if node_id.startswith(message.creator + "/"):
                each.finished = True
        if all(each.finished for each in self.joined.get(message.task_id, {}).values()):
            self.tasks[message.task_id].status = TrainingTaskStatus.TRAINING_FINISHED
        return 0

    def _set_barrier(self, message: MsgSetBarrier) -> int:
        key = message.req.run_id, message.req.node_id, message.req.barrier_id
        if self.barriers.get(key, -1) >= message.req.outer_step:
            return ALREADY_DONE
        self.barriers[key] = message.req.outer_step
        return 0

    def _store(self, message: MsgSubmitTrainingKvRecord) -> int:
        self.records[message.taskId, message.key] = TrainingTaskKVRecord(
            taskId=message.taskId, participant=message.creator, key=message.key, value=message.value
        )
        return 0

    def _create(self, message: MsgCreateTrainingTask) -> int:
        task = self.queue(max(self.tasks, default=0) + 1)
        task.requested_by = message.creator
        task.hardware_resources.extend(message.hardware_resources)
        task.config.CopyFrom(message.config)
        return 0

    def _claim(self, message: MsgClaimTrainingTaskForAssignment) -> int:
        task = self.tasks[message.task_id]
        if task.assigner and task.assigner != message.creator:
            return CLAIMED
        task.assigner, task.claimed_by_assigner_at_block_height = message.creator, 1
        return 0

    def _assign(self, message: MsgAssignTrainingTask) -> int:
        task = self.tasks[message.task_id]
        if task.assigner != message.creator:
            return NOT_ASSIGNED
        self.assign(message.task_id, **{each.participant: list(each.node_ids) for each in message.assignees})
        return 0


JOINING, RUNNING, QUEUED = (
    TrainingTaskStatus.TRAINING_JOINING,
    TrainingTaskStatus.TRAINING_RUNNING,
    TrainingTaskStatus.TRAINING_QUEUED,
)
_QUERIES: dict[str, Callable[[TrainingChain, Any], Any]] = {
    "TrainingTask": TrainingChain._task,
    "TrainingTaskAll": lambda chain, _: queries.QueryTrainingTaskAllResponse(tasks=chain.tasks.values()),
    "QueuedTrainingTasks": lambda chain, _: queries.QueryQueuedTrainingTasksResponse(tasks=chain._in(QUEUED)),
    "InProgressTrainingTasks": lambda chain, _: queries.QueryInProgressTrainingTasksResponse(
        tasks=chain._in(JOINING, RUNNING)
    ),
    "TrainingAliveNodes": TrainingChain._alive,
    "TrainingBarrier": TrainingChain._barrier,
    "TrainingKvRecord": TrainingChain._record,
    "ListTrainingKvRecordKeys": TrainingChain._keys,
    "HardwareNodesAll": TrainingChain._all_hardware,
}
_MESSAGES: dict[type[Message], Callable[[TrainingChain, Any], int]] = {
    MsgJoinTraining: TrainingChain._join,
    MsgJoinTrainingStatus: lambda _chain, _message: 0,
    MsgTrainingHeartbeat: lambda _chain, _message: 0,
    MsgFinishTrainingTask: TrainingChain._finish,
    MsgSetBarrier: TrainingChain._set_barrier,
    MsgSubmitTrainingKvRecord: TrainingChain._store,
    MsgCreateTrainingTask: TrainingChain._create,
    MsgClaimTrainingTaskForAssignment: TrainingChain._claim,
    MsgAssignTrainingTask: TrainingChain._assign,
}
