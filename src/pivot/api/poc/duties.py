"""What each ML node should do at a moment of the epoch. The one place that says so."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from pivot.api.fleet.interface import Duty, FleetNode, Generate, Stop, Train, Validate
from pivot.api.fleet.models import RegisteredModels, serving
from pivot.api.phases import Moment
from pivot.protocol.generated.inference.inference.types_pb2 import Epoch, EpochGroupData
from pivot.protocol.mlnode_api import PowInit


class Stage(Enum):
    """What the epoch asks of the fleet."""

    SERVING = auto()
    SPRINT = auto()
    CHECKING = auto()


def stage_at(moment: Moment) -> Stage:
    """The stage at a moment. Before the first sprint nodes serve, so that their models are loaded early."""
    marks, height = moment.latest.boundaries, moment.head.height
    if moment.latest.index == 0 or not marks.poc_start <= height < marks.poc_validation_end:
        return Stage.SERVING
    return Stage.SPRINT if height < marks.poc_generation_end else Stage.CHECKING


@dataclass(frozen=True)
class Assignment:
    """Everything that decides what the nodes should do."""

    stage: Stage
    epoch: Epoch
    """The latest one: that of the sprint, in a sprint."""
    serving_through: frozenset[int]
    """Numbers of the nodes that keep answering through the sprint."""
    models: RegisteredModels
    host_address: str
    callback_url: str
    callback_token: str


def duty_of(
    node: FleetNode, assignment: Assignment, leaves_of: Callable[[int], int], training: Train | None = None
) -> Duty:
    """What one node should do. `leaves_of` a node number: how many of its leaves are here already.

    training: what the node is promised to; it leaves it when the sprint begins.
    """
    if rests(node, assignment):
        return Stop()
    if assignment.stage is Stage.SERVING and training:
        return training
    if assignment.stage is Stage.SERVING or node.node_number in assignment.serving_through:
        return serving(node.models, assignment.models) or Stop()
    if assignment.stage is Stage.SPRINT:
        return Generate(sprint_init(node.node_number, assignment, leaves_of(node.node_number)))
    return Validate(sprint_init(node.node_number, assignment, 0))


def rests(node: FleetNode, assignment: Assignment) -> bool:
    """Whether the host's enabling and disabling leaves the node nothing to do.

    A node that was disabled keeps its duties until the next sprint begins; one that was enabled in the midst of a sprint
    waits for its end.
    """
    changed_since = node.changed_in_epoch >= assignment.epoch.index
    if node.enabled:
        return changed_since and assignment.stage is not Stage.SERVING
    return not changed_since


def sprint_init(node_number: int, assignment: Assignment, first_index: int) -> PowInit:
    """What a node is told about a sprint."""
    epoch = assignment.epoch
    return PowInit(
        node_id=node_number,
        preset=epoch.params.poc_params.preset,
        sprint_seed=epoch.sprint_seed.hex(),
        epoch=epoch.index,
        host_address=assignment.host_address,
        block_height=epoch.boundaries.poc_start,
        url=assignment.callback_url,
        token=assignment.callback_token,
        max_rate=epoch.params.poc_params.max_rate,
        first_index=first_index,
    )


def told_at(duty: Duty, epoch: Epoch, height: int) -> Duty:
    """The same duty, told at a height: a node that begins its sprint late is to know it."""
    if not isinstance(duty, Generate):
        return duty
    marks = epoch.boundaries
    blocks = marks.poc_generation_end - marks.poc_start
    late = min(max(height - marks.poc_start, 0), blocks)
    return Generate(duty.init.model_copy(update={"blocks": blocks, "blocks_late": late}))


def nodes_serving_through(group: EpochGroupData | None, host_address: str) -> frozenset[int]:
    """Numbers of a host's nodes that the group of the epoch before has told to answer during the sprint."""
    if group is None:
        return frozenset()
    return frozenset(
        node.node_number
        for member in group.validation_weights
        if member.member_address == host_address
        for node in member.ml_nodes
        if len(node.timeslot_allocation) > 1 and node.timeslot_allocation[1]
    )
