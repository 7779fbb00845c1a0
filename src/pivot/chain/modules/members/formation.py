"""How an epoch's members come to be, in the blocks between the end of the checks of its sprint and the switch.

First all hosts are *tallied*, some in every block: what their commits are worth, and what they are in this block, is written
down. When all are, it is known who stays and what one member may weigh. Then they are *drafted*, part by part: weighed, with
models and slots. At last the parts become the groups and the published list, and until then there are no members.

A network of one part is formed in one block, and what is left before the switch is done in the block before it. Whatever the
size of the parts, the members are the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from pivot.chain.modules.collateral.state import collateral
from pivot.chain.modules.epochs.state import put as put_epoch
from pivot.chain.modules.members.forming import forget, formation, part, parts, put_formation, put_part
from pivot.chain.modules.members.groups import Member, active, groups, write_active_participants, write_groups
from pivot.chain.modules.members.joining import counted, everyone_stays, joining, largest_weight, silent_stay
from pivot.chain.modules.members.slots import with_slots
from pivot.chain.modules.members.state import by_address, group
from pivot.chain.modules.models.state import models
from pivot.chain.modules.params.state import genesis_only_params
from pivot.chain.modules.participants.state import is_host, participant
from pivot.chain.store.journal import State
from pivot.chain.types import Block, Reader
from pivot.protocol.decimals import fixed_point
from pivot.protocol.generated.inference.inference.types_pb2 import (
    Epoch,
    Formation,
    FormationPart,
    FormingHost,
    MLNodeInfo,
    ParticipantStatus,
)
from pivot.protocol.poc import split

FORMED_PER_BLOCK = 500
"""Hosts of a part: so many one block tallies, and so many it drafts."""
_INVALID = ParticipantStatus.INVALID


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


def tallied_to(reader: Reader) -> str:
    """Address of the host that was tallied last; empty before the first."""
    under_way = formation(reader)
    return "" if under_way is None else under_way.last


def form_some(block: Block, epoch: Epoch, work: Iterator[Work]) -> None:
    """Go on with the formation of the epoch's members; in the last block before the switch, bring it to its end.

    work: of the hosts behind `tallied_to`, by address: of all that have committed and all members of the epoch before, whether
    they bring something or not. If nobody's commit was credited, or only those of a few, members of the epoch before carry over,
    and the event and the epoch's record say that too (decision 6, W-14).
    """
    under_way = formation(block.state) or Formation(epoch_index=epoch.index)
    is_last = block.height + 1 >= epoch.boundaries.set_new_validators
    while not _formed(block, epoch, under_way, work):
        if not is_last:
            put_formation(block.state, under_way)
            return
    forget(block.state, under_way)


def _formed(block: Block, epoch: Epoch, under_way: Formation, work: Iterator[Work]) -> bool:
    """Tally one part, and draft one if all are tallied. Returns whether the members are known then."""
    if not under_way.decided:
        _tally_part(block.state, under_way, work)
        if not under_way.decided:
            return False
        _decide(block.state, epoch, under_way)
    _draft_part(block.state, epoch, under_way)
    if under_way.drafted < under_way.parts:
        return False
    _write(block, epoch)
    return True


def _tally_part(state: State, under_way: Formation, work: Iterator[Work]) -> None:
    """Write down what the next hosts bring, with the status and the collateral that they have in this block."""
    hosts = [_forming(state, each) for each in islice(work, FORMED_PER_BLOCK)]
    if hosts:
        put_part(state, under_way.epoch_index, under_way.parts, FormationPart(hosts=hosts))
        under_way.parts += 1
        under_way.last = hosts[-1].address
    under_way.decided = len(hosts) < FORMED_PER_BLOCK


def _forming(state: Reader, work: Work) -> FormingHost:
    record = participant(state, work.address)
    return FormingHost(
        address=work.address,
        may_serve=record is not None and is_host(record) and record.status != _INVALID,
        credit=work.credit,
        hash_chain_tip=work.tip,
        nodes=work.nodes,
        collateral=collateral(state, work.address),
    )


def _decide(state: State, epoch: Epoch, under_way: Formation) -> None:
    """Fix whether members of the epoch before carry over, and the most that one member may weigh."""
    hosts = [host for each in parts(state, epoch.index) for host in each.hosts]
    before = by_address(state, epoch.index - 1)
    if silent_stay(hosts, before):
        epoch.carried_over = True
        put_epoch(state, epoch)
        under_way.everyone_stays = everyone_stays(hosts, before)
    share = fixed_point(genesis_only_params(state).max_individual_power_percentage)
    under_way.largest_weight = largest_weight(hosts, epoch, before, share, everyone=under_way.everyone_stays)


def _draft_part(state: State, epoch: Epoch, under_way: Formation) -> None:
    """Weigh the members of the next part, and give their nodes models and slots."""
    hosts = part(state, epoch.index, under_way.drafted).hosts
    before = by_address(state, epoch.index - 1)
    order = [model.id for model in models(state)]
    members = [
        with_slots(state, epoch, _weighing(found, min(counted(host, found, epoch), under_way.largest_weight)), order)
        for host, found in joining(hosts, epoch, before, everyone=under_way.everyone_stays)
    ]
    drafted = FormationPart(groups=groups(state, members, order), active_participants=active(state, epoch, members))
    put_part(state, epoch.index, under_way.drafted, drafted)
    under_way.drafted += 1


def _weighing(member: Member, weight: int) -> Member:
    """The member with the weight that counts, on its nodes in proportion to what each has proved."""
    shares = split(weight, [node.proven_weight for node in member.nodes]) if member.nodes else []
    weighed = tuple(
        MLNodeInfo(
            node_id=node.node_id, node_number=node.node_number, proven_weight=node.proven_weight, poc_weight=share
        )
        for node, share in zip(member.nodes, shares, strict=True)
        if share
    )
    return replace(member, weight=weight, nodes=weighed)


def _write(block: Block, epoch: Epoch) -> None:
    """Make the groups and the published list out of the parts, and say so in an event."""
    drafted = list(parts(block.state, epoch.index))
    everyone = write_groups(block.state, epoch, [each for found in drafted for each in found.groups])
    write_active_participants(block, epoch, [found.active_participants for found in drafted])
    block.emit(
        "epoch_formed",
        epoch_index=epoch.index,
        members=len(everyone.validation_weights),
        total_weight=everyone.total_weight,
        carried_over="true" if epoch.carried_over else "false",
    )
