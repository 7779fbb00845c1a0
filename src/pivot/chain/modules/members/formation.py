"""How an epoch's members come to be, at the end of the checks of its sprint."""

from collections.abc import Sequence
from dataclasses import dataclass

from pivot.chain.modules.epochs.state import put as put_epoch
from pivot.chain.modules.members.groups import Member, write_active_participants, write_groups
from pivot.chain.modules.members.slots import with_slots
from pivot.chain.modules.members.state import nodes, weights
from pivot.chain.modules.participants.state import is_host, participant
from pivot.chain.types import Block, Reader
from pivot.protocol.generated.inference.inference.types_pb2 import Epoch, MLNodeInfo, ParticipantStatus
from pivot.protocol.poc import split


@dataclass(frozen=True)
class Work:
    """What one host brings into an epoch."""

    address: str
    nodes: tuple[MLNodeInfo, ...]
    """Its nodes with the weight of each: those that were credited, and those that served through the sprint."""
    credit: int = 0
    """Weight that the checkers gave its commit."""
    tip: bytes = b""
    """Tip of its hash chain; empty if it did not commit."""


def form(block: Block, epoch: Epoch, work: Sequence[Work]) -> None:
    """Make the groups and the published list of the epoch's members, and say so in an event.

    Members are the hosts with weight that are not INVALID (W-8). If nobody's commit was credited, the members of the epoch
    before carry over, and the event and the epoch's record say that too (decision 6, W-14).
    """
    brought = [each for each in work if _may_serve(block.state, each.address)]
    if any(each.credit > 0 for each in brought):
        members = [
            Member(each.address, sum(node.poc_weight for node in each.nodes), each.nodes, each.tip) for each in brought
        ]
    else:
        members = carried_over(block.state, epoch.index - 1, {each.address: each.tip for each in work if each.tip})
        epoch.carried_over = True
        put_epoch(block.state, epoch)
    members = sorted((member for member in members if member.weight > 0), key=lambda member: member.address)
    members = [with_slots(block.state, epoch, member) for member in members]
    write_groups(block.state, epoch, members)
    write_active_participants(block, epoch, members)
    block.emit(
        "epoch_formed",
        epoch_index=epoch.index,
        members=len(members),
        total_weight=sum(member.weight for member in members),
        carried_over="true" if epoch.carried_over else "false",
    )


def carried_over(state: Reader, epoch: int, tips: dict[str, bytes]) -> list[Member]:
    """The members of `epoch` with their weights; those without a tip, who did not commit, with half of it, rounded up.

    INVALID hosts are left out, unless nobody else is there: an epoch without members could never be left again (W-14).
    """
    before = weights(state, epoch)
    before = tuple(each for each in before if _may_serve(state, each[0])) or before
    members = []
    for address, weight in before:
        left = weight if address in tips else weight - weight // 2
        shared = _share_out(left, nodes(state, epoch, address))
        members.append(Member(address, left, shared, tips.get(address, b"")))
    return members


def _share_out(weight: int, among: Sequence[MLNodeInfo]) -> tuple[MLNodeInfo, ...]:
    """The nodes with `weight` among them as before; a genesis member may have none."""
    if not among:
        return ()
    parts = split(weight, [node.poc_weight for node in among])
    return tuple(
        MLNodeInfo(node_id=node.node_id, node_number=node.node_number, poc_weight=part)
        for node, part in zip(among, parts, strict=True)
        if part
    )


def _may_serve(state: Reader, address: str) -> bool:
    record = participant(state, address)
    return record is not None and is_host(record) and record.status != ParticipantStatus.INVALID
