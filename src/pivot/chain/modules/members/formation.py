"""How an epoch's members come to be, at the end of the checks of its sprint."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from pivot.chain.modules.collateral.state import collateral
from pivot.chain.modules.epochs.state import put as put_epoch
from pivot.chain.modules.members.groups import Member, write_active_participants, write_groups
from pivot.chain.modules.members.slots import with_slots
from pivot.chain.modules.members.state import group, nodes, proven_weight, weights
from pivot.chain.modules.members.weighing import backed, cap
from pivot.chain.modules.models.state import models
from pivot.chain.modules.params.state import genesis_only_params
from pivot.chain.modules.participants.state import is_host, participant
from pivot.chain.types import Block, Reader
from pivot.protocol.decimals import fixed_point
from pivot.protocol.generated.inference.inference.types_pb2 import Epoch, MLNodeInfo, ParticipantStatus
from pivot.protocol.poc import split

LEAST_HEARD_DIVISOR = 10
"""Members with one part in so many of what all had proven must be credited, or the silent ones stay, too."""


@dataclass(frozen=True)
class Work:
    """What one host brings into an epoch."""

    address: str
    nodes: tuple[MLNodeInfo, ...]
    """Its nodes with the proven weight of each: those that were credited, and those that served through the sprint."""
    credit: int = 0
    """Weight that the checkers gave its commit."""
    tip: bytes = b""
    """Of its hash chain; empty if it did not commit."""


def is_due(block: Block, serving: Epoch, upcoming: Epoch) -> bool:
    """Whether the checks of a sprint are over and its epoch has no members yet.

    A chain that goes on from an export may begin at any later height, so the block in which they ended may be missing.
    """
    return (
        upcoming.index > serving.index
        and block.height >= upcoming.boundaries.poc_validation_end
        and group(block.state, upcoming.index) is None
    )


def form(block: Block, epoch: Epoch, work: Sequence[Work]) -> None:
    """Make the groups and the published list of the epoch's members, and say so in an event.

    Members are the hosts with weight that are not INVALID (W-8). What they proved counts as far as collateral stands behind
    it, and up to the cap. If nobody's commit was credited, or only those of a few, the other members of the epoch before carry
    over, and the event and the epoch's record say that too (decision 6, W-14).
    """
    brought = [each for each in work if _may_serve(block.state, each.address)]
    credited = {each.address for each in brought if each.credit > 0}
    if _may_replace_all(block.state, epoch.index - 1, credited):
        proven = [_member(each) for each in brought]
    else:
        tips = {each.address: each.tip for each in work if each.tip}
        proven = [_member(each) for each in brought if each.address in credited]
        proven += carried_over(block.state, epoch.index - 1, tips, credited)
        epoch.carried_over = True
        put_epoch(block.state, epoch)
    proven = sorted((member for member in proven if member.proven > 0), key=lambda member: member.address)
    order = [model.id for model in models(block.state)]
    members = [with_slots(block.state, epoch, member, order) for member in _weighed(block.state, epoch, proven)]
    write_groups(block.state, epoch, members)
    write_active_participants(block, epoch, members)
    block.emit(
        "epoch_formed",
        epoch_index=epoch.index,
        members=len(members),
        total_weight=sum(member.weight for member in members),
        carried_over="true" if epoch.carried_over else "false",
    )


def _may_replace_all(state: Reader, before: int, credited: Collection[str]) -> bool:
    """Whether the credited hosts are enough of the last members for the others to go.

    Where nearly all are silent in one sprint the network has failed and not they; the few would have the whole chain, and in
    one block the engine would see another set, which nobody could check against the one before.
    """
    proven = {address: proven_weight(state, before, address) for address, _ in weights(state, before)}
    heard = sum(weight for address, weight in proven.items() if address in credited)
    return 0 < sum(proven.values()) <= heard * LEAST_HEARD_DIVISOR


def carried_over(state: Reader, epoch: int, tips: Mapping[str, bytes], credited: Collection[str]) -> list[Member]:
    """The other members of `epoch` with what they had proven; those without a tip, who did not commit, with half, rounded up.

    INVALID hosts are left out, unless nobody else is there: an epoch without members could never be left again (W-14).
    """
    before = [address for address, _ in weights(state, epoch)]
    staying = [address for address in before if address not in credited and _may_serve(state, address)]
    members = []
    for address in staying or ([] if credited else before):
        proven = proven_weight(state, epoch, address)
        left = proven if address in tips else proven - proven // 2
        shared = _share_out(left, nodes(state, epoch, address))
        members.append(Member(address, left, shared, left, tips.get(address, b"")))
    return members


def _member(brought: Work) -> Member:
    proven = sum(node.proven_weight for node in brought.nodes)
    return Member(brought.address, proven, brought.nodes, proven, brought.tip)


def _share_out(proven: int, among: Sequence[MLNodeInfo]) -> tuple[MLNodeInfo, ...]:
    """The nodes with so much proven weight among them as before; a genesis member may have none."""
    if not among:
        return ()
    parts = split(proven, [node.proven_weight for node in among])
    return tuple(
        MLNodeInfo(node_id=node.node_id, node_number=node.node_number, proven_weight=part)
        for node, part in zip(among, parts, strict=True)
        if part
    )


def _weighed(state: Reader, epoch: Epoch, members: Sequence[Member]) -> list[Member]:
    """The members with the weights that count, on their nodes in proportion to what each node proved."""
    counted = [_backed(state, epoch, member) for member in members]
    most = cap(counted, _largest_share(state))
    return [_weighing(member, min(weight, most)) for member, weight in zip(members, counted, strict=True)]


def _backed(state: Reader, epoch: Epoch, member: Member) -> int:
    """What counts of a member's proven weight by its collateral; all of it in the epochs of grace."""
    rules = epoch.params.collateral_params
    if epoch.index <= rules.grace_period_end_epoch:
        return member.proven
    held = collateral(state, member.address)
    return backed(
        member.proven, held, fixed_point(rules.base_weight_ratio), fixed_point(rules.collateral_per_weight_unit)
    )


def _largest_share(state: Reader) -> int:
    return fixed_point(genesis_only_params(state).max_individual_power_percentage)


def _weighing(member: Member, weight: int) -> Member:
    parts = split(weight, [node.proven_weight for node in member.nodes]) if member.nodes else []
    weighed = tuple(
        MLNodeInfo(
            node_id=node.node_id, node_number=node.node_number, proven_weight=node.proven_weight, poc_weight=part
        )
        for node, part in zip(member.nodes, parts, strict=True)
        if part
    )
    return replace(member, weight=weight, nodes=weighed)


def _may_serve(state: Reader, address: str) -> bool:
    record = participant(state, address)
    return record is not None and is_host(record) and record.status != ParticipantStatus.INVALID
