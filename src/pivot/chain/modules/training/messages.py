"""Tasks: asked for by anybody who puts a deposit down, claimed and assigned by members, ended by whom they concern (W-27)."""

from collections import Counter

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.handlers import MessageHandler
from pivot.chain.modules.auth.state import check_address
from pivot.chain.modules.bank.state import TRAINING, send
from pivot.chain.modules.epochs.state import effective_index
from pivot.chain.modules.members.state import is_member
from pivot.chain.modules.participants.state import hardware, participant
from pivot.chain.modules.training import run_messages
from pivot.chain.modules.training.lifetime import end
from pivot.chain.modules.training.runs import nodes, nodes_at_work, put_node, require_assignee
from pivot.chain.modules.training.state import (
    OPEN_STATUSES,
    count_open,
    count_open_of,
    next_id,
    put_next_id,
    put_task,
    require_status,
    training_params,
)
from pivot.chain.types import Block, Reader
from pivot.protocol.generated.inference.inference.training_pb2 import (
    TrainingNode,
    TrainingTask,
    TrainingTaskAssignee,
    TrainingTaskStatus,
)
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    MsgAssignTrainingTask,
    MsgAssignTrainingTaskResponse,
    MsgClaimTrainingTaskForAssignment,
    MsgClaimTrainingTaskForAssignmentResponse,
    MsgCreateTrainingTask,
    MsgCreateTrainingTaskResponse,
    MsgFinishTrainingTask,
    MsgFinishTrainingTaskResponse,
)
from pivot.protocol.generated.inference.inference.types_pb2 import HardwareNode, ParticipantStatus

GAS_OF_A_TASK = 50_000
GAS_OF_A_CLAIM = 10_000
GAS_OF_AN_ASSIGNMENT = 20_000
GAS_PER_ASSIGNEE = 20_000
"""Its whole declaration of hardware is read."""
GAS_OF_AN_END = 30_000
MAX_OPEN_TASKS = 256
MAX_OPEN_TASKS_OF_ONE = 8
MAX_NODES = 64
"""Of one task."""
MAX_HARDWARE_TYPES = 16
MAX_HARDWARE_COUNT = 10_000
MAX_TYPE_LENGTH = 256
MAX_DATASET_LENGTH = 512


# Asking for a task


def _check_create(message: MsgCreateTrainingTask) -> None:
    check_address("creator", message.creator)
    wanted = message.hardware_resources
    types = [each.type for each in wanted]
    if not 0 < len(types) <= MAX_HARDWARE_TYPES or len(set(types)) != len(types):
        raise _invalid(f"hardware_resources must be 1 to {MAX_HARDWARE_TYPES} different types")
    for each in wanted:
        if not 0 < len(each.type) <= MAX_TYPE_LENGTH:
            raise _invalid(f"a type of hardware_resources must have 1 to {MAX_TYPE_LENGTH} characters")
        if not 0 < each.count <= MAX_HARDWARE_COUNT:
            raise _invalid(f"count of {each.type!r} must be between 1 and {MAX_HARDWARE_COUNT}")
    for name in ("train", "test"):
        if len(getattr(message.config.datasets, name)) > MAX_DATASET_LENGTH:
            raise _invalid(f"config.datasets.{name} must have {MAX_DATASET_LENGTH} characters at most")


def _create(block: Block, message: MsgCreateTrainingTask) -> MsgCreateTrainingTaskResponse:
    """Put a task into the queue, and its deposit into the module's account.

    Raises NetworkError (TRAINING_WRONG_STATUS: no training here; TRAINING_LIMIT), SdkError (INSUFFICIENT_FUNDS).
    """
    rules = training_params(block.state)
    if not rules.task_blocks:
        raise NetworkError(NetworkCode.TRAINING_WRONG_STATUS, "this network does no training")
    if count_open(block.state) >= MAX_OPEN_TASKS:
        raise NetworkError(
            NetworkCode.TRAINING_LIMIT, f"there are {MAX_OPEN_TASKS} open training tasks, as many as can be"
        )
    if count_open_of(block.state, message.creator) >= MAX_OPEN_TASKS_OF_ONE:
        raise NetworkError(
            NetworkCode.TRAINING_LIMIT,
            f"{message.creator} has {MAX_OPEN_TASKS_OF_ONE} open training tasks, as many as one may have",
        )
    if rules.task_deposit:
        send(block, message.creator, TRAINING, rules.task_deposit)
    record = TrainingTask(
        id=next_id(block.state),
        requested_by=message.creator,
        created_at_block_height=block.height,
        hardware_resources=message.hardware_resources,
        config=message.config,
        deposit=rules.task_deposit,
        status=TrainingTaskStatus.TRAINING_QUEUED,
        deadline_height=block.height + rules.task_blocks,
    )
    put_next_id(block.state, record.id + 1)
    put_task(block.state, record)
    block.emit("training_task_created", task_id=record.id, requested_by=record.requested_by)
    return MsgCreateTrainingTaskResponse(task=record)


# Assigning it


def _check_claim(message: MsgClaimTrainingTaskForAssignment) -> None:
    check_address("creator", message.creator)


def _claim(block: Block, message: MsgClaimTrainingTaskForAssignment) -> MsgClaimTrainingTaskForAssignmentResponse:
    """For `assignment_blocks` nobody but this member may assign the task; then others have as long before it may claim again.

    Raises NetworkError (NOT_A_MEMBER, TRAINING_TASK_NOT_FOUND, TRAINING_WRONG_STATUS, TRAINING_CLAIMED).
    """
    _require_member(block.state, message.creator)
    record = require_status(block.state, message.task_id, TrainingTaskStatus.TRAINING_QUEUED)
    held = training_params(block.state).assignment_blocks * (2 if record.assigner == message.creator else 1)
    free_at = record.claimed_by_assigner_at_block_height + held
    if record.assigner and block.height < free_at:
        raise NetworkError(
            NetworkCode.TRAINING_CLAIMED,
            f"training task {record.id} was claimed by {record.assigner}; {message.creator} may claim it from height {free_at}",
        )
    record.assigner = message.creator
    record.claimed_by_assigner_at_block_height = block.height
    put_task(block.state, record)
    block.emit("training_task_claimed", task_id=record.id, assigner=record.assigner)
    return MsgClaimTrainingTaskForAssignmentResponse()


def _check_assign(message: MsgAssignTrainingTask) -> None:
    check_address("creator", message.creator)
    hosts = [each.participant for each in message.assignees]
    if len(set(hosts)) != len(hosts):
        raise _invalid("assignees names a participant twice")
    for each in message.assignees:
        check_address("participant", each.participant)
        if not each.node_ids or len(set(each.node_ids)) != len(each.node_ids):
            raise _invalid(f"node_ids of {each.participant} must be different ones, and one at least")
    if not 0 < sum(len(each.node_ids) for each in message.assignees) <= MAX_NODES:
        raise _invalid(f"assignees must have 1 to {MAX_NODES} nodes together")


def _assign(block: Block, message: MsgAssignTrainingTask) -> MsgAssignTrainingTaskResponse:
    """Choose the nodes that may join. It binds nobody: a host's node takes part when the host has it join.

    Raises NetworkError (NOT_A_MEMBER, TRAINING_TASK_NOT_FOUND, TRAINING_WRONG_STATUS, TRAINING_NOT_ASSIGNED: the task is not
    the sender's to assign, or no longer; INVALID_FIELD: nodes that the host does not have, or that do not suffice).
    """
    _require_member(block.state, message.creator)
    record = require_status(block.state, message.task_id, TrainingTaskStatus.TRAINING_QUEUED)
    rules = training_params(block.state)
    ends = record.claimed_by_assigner_at_block_height + rules.assignment_blocks
    if record.assigner != message.creator or block.height >= ends:
        raise NetworkError(
            NetworkCode.TRAINING_NOT_ASSIGNED,
            f"training task {record.id} is not {message.creator}'s to assign: a member claims it first, and then has"
            f" {rules.assignment_blocks} blocks",
        )
    assignees = sorted(message.assignees, key=lambda each: each.participant)
    _require_hardware(record, [node for each in assignees for node in _declared(block.state, each)])
    record.assignees.extend(
        TrainingTaskAssignee(participant=each.participant, node_ids=sorted(each.node_ids)) for each in assignees
    )
    record.assigned_at_block_height = block.height
    record.status = TrainingTaskStatus.TRAINING_JOINING
    record.deadline_height = block.height + rules.join_blocks
    put_task(block.state, record)
    block.emit("training_task_assigned", task_id=record.id)
    return MsgAssignTrainingTaskResponse()


def _declared(state: Reader, assignee: TrainingTaskAssignee) -> list[HardwareNode]:
    """The declarations of an assignee's nodes."""
    _require_member(state, assignee.participant)
    declared = {each.local_id: each for each in hardware(state, assignee.participant).hardware_nodes}
    if strange := sorted(set(assignee.node_ids) - declared.keys()):
        raise _invalid(f"{assignee.participant} has no node {strange[0][:64]!r}")
    return [declared[local_id] for local_id in assignee.node_ids]


def _require_hardware(record: TrainingTask, chosen: list[HardwareNode]) -> None:
    """Every node has something of what is wanted, and together they have enough of it."""
    wanted = {each.type: each.count for each in record.hardware_resources}
    there: Counter[str] = Counter()
    for each in chosen:
        parts = [part for part in each.hardware if part.type in wanted and part.count]
        if not parts:
            raise _invalid(f"node {each.local_id!r} has no hardware that training task {record.id} wants")
        for part in parts:
            there[part.type] += part.count
    for kind, count in wanted.items():
        if there[kind] < count:
            raise _invalid(f"training task {record.id} wants {count} of {kind!r}, the nodes have {there[kind]}")


# Its end


def _check_finish(message: MsgFinishTrainingTask) -> None:
    check_address("creator", message.creator)


def _finish(block: Block, message: MsgFinishTrainingTask) -> MsgFinishTrainingTaskResponse:
    """A host with nodes at work says that they are done. Else who asked for the task ends it, or its assigner while it runs.

    So a host that has asked, or assigned, first leaves the run to the others. The run is over when all that have joined are
    done. Raises NetworkError (TRAINING_TASK_NOT_FOUND, TRAINING_WRONG_STATUS, TRAINING_NOT_ASSIGNED, ALREADY_DONE).
    """
    record = require_status(block.state, message.task_id, *OPEN_STATUSES)
    runs = record.status == TrainingTaskStatus.TRAINING_RUNNING
    if runs and (own := nodes_at_work(block.state, record.id, message.creator)):
        _leave(block, record, message.creator, own)
    elif message.creator == record.requested_by:
        end(block, record, TrainingTaskStatus.TRAINING_FINISHED if runs else TrainingTaskStatus.TRAINING_CANCELLED)
    elif runs and message.creator == record.assigner:
        end(block, record, TrainingTaskStatus.TRAINING_FINISHED)
    else:
        require_assignee(record, message.creator)
        require_status(block.state, record.id, TrainingTaskStatus.TRAINING_RUNNING)
        raise NetworkError(
            NetworkCode.ALREADY_DONE, f"{message.creator} has no node at work in training task {record.id}"
        )
    return MsgFinishTrainingTaskResponse(status=record.status)


def _leave(block: Block, record: TrainingTask, host: str, own: dict[int, TrainingNode]) -> None:
    """Note that a host's nodes are done; those of others go on."""
    for place, each in own.items():
        each.finished = True
        put_node(block.state, record.id, place, each)
    block.emit("training_nodes_finished", task_id=record.id, participant=host, nodes=len(own))
    if all(each.finished for each in nodes(block.state, record.id).values()):
        end(block, record, TrainingTaskStatus.TRAINING_FINISHED)


def _require_member(state: Reader, address: str) -> None:
    """Raises NetworkError (NOT_A_MEMBER) for who does not serve now, or has become INVALID."""
    record = participant(state, address)
    if (
        record is None
        or record.status == ParticipantStatus.INVALID
        or not is_member(state, effective_index(state), address)
    ):
        raise NetworkError(NetworkCode.NOT_A_MEMBER, f"{address} is not a member of the current epoch, or is INVALID")


def _invalid(sentence: str) -> NetworkError:
    return NetworkError(NetworkCode.INVALID_FIELD, sentence)


MESSAGES: list[MessageHandler] = [
    MessageHandler(MsgCreateTrainingTask, _create, gas=lambda _: GAS_OF_A_TASK, check=_check_create),
    MessageHandler(
        MsgClaimTrainingTaskForAssignment, _claim, gas=lambda _: GAS_OF_A_CLAIM, check=_check_claim, duty=True
    ),
    MessageHandler(
        MsgAssignTrainingTask,
        _assign,
        gas=lambda message: GAS_OF_AN_ASSIGNMENT + GAS_PER_ASSIGNEE * len(message.assignees),
        check=_check_assign,
        duty=True,
    ),
    MessageHandler(MsgFinishTrainingTask, _finish, gas=lambda _: GAS_OF_AN_END, check=_check_finish, duty=True),
    *run_messages.MESSAGES,
]
