"""Who becomes a member, and with what proven weight: from what hosts bring, and the members of the epoch before."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from pivot.chain.modules.members.groups import Member
from pivot.chain.modules.members.weighing import backed, cap
from pivot.protocol.decimals import fixed_point
from pivot.protocol.generated.inference.inference.types_pb2 import (
    Epoch,
    FormingHost,
    MLNodeInfo,
    ValidationWeight,
)
from pivot.protocol.poc import split

LEAST_HEARD_DIVISOR = 10
"""Members with one part in so many of what all had proven must be credited, or the silent ones stay, too."""

Before = Mapping[str, ValidationWeight]
"""The members of the epoch before, by address."""


def silent_stay(hosts: Sequence[FormingHost], before: Before) -> bool:
    """Whether the credited hosts are too few of the last members for the others to go.

    Where nearly all are silent in one sprint the network has failed and not they; the few would have the whole chain, and in
    one block the engine would see another set, which nobody could check against the one before.
    """
    proven = sum(member.proven_weight for member in before.values())
    heard = sum(before[address].proven_weight for address in credited(hosts) if address in before)
    return not 0 < proven <= heard * LEAST_HEARD_DIVISOR


def everyone_stays(hosts: Sequence[FormingHost], before: Before) -> bool:
    """Whether, where the silent stay, even INVALID hosts do: an epoch without members could never be left again (W-14)."""
    return not credited(hosts) and not any(host.may_serve and host.address in before for host in hosts)


def credited(hosts: Sequence[FormingHost]) -> Collection[str]:
    """Addresses of those that may serve and whose commits are worth something, in order."""
    return [host.address for host in hosts if host.may_serve and host.credit]


def joining(
    hosts: Sequence[FormingHost], epoch: Epoch, before: Before, *, everyone: bool
) -> Iterator[tuple[FormingHost, Member]]:
    """Those that become members of `epoch`, each weighing what it has proven, by address.

    Hosts with weight that are not INVALID (W-8). In an epoch that carries over those without credit have what they had proven
    the last time; who did not commit, half of it, rounded up.
    """
    for host in hosts:
        if host.may_serve and (host.credit or not epoch.carried_over):
            found = _bringing(host)
        elif epoch.carried_over and host.address in before and (host.may_serve or everyone):
            found = _carried_over(host, before[host.address])
        else:
            continue
        if found.proven:
            yield host, found


def counted(host: FormingHost, member: Member, epoch: Epoch) -> int:
    """What counts of a member's proven weight by its collateral; all of it in the epochs of grace."""
    rules = epoch.params.collateral_params
    if epoch.index <= rules.grace_period_end_epoch:
        return member.proven
    ratio, per_unit = fixed_point(rules.base_weight_ratio), fixed_point(rules.collateral_per_weight_unit)
    return backed(member.proven, host.collateral, ratio, per_unit)


def largest_weight(hosts: Sequence[FormingHost], epoch: Epoch, before: Before, share: int, *, everyone: bool) -> int:
    """The most that one member may weigh. share: the largest part of the sum, 18 decimals."""
    found = joining(hosts, epoch, before, everyone=everyone)
    return cap([counted(host, member, epoch) for host, member in found], share)


def _bringing(host: FormingHost) -> Member:
    proven = sum(node.proven_weight for node in host.nodes)
    return Member(host.address, proven, tuple(host.nodes), proven, host.hash_chain_tip)


def _carried_over(host: FormingHost, last: ValidationWeight) -> Member:
    left = last.proven_weight if host.hash_chain_tip else last.proven_weight - last.proven_weight // 2
    return Member(host.address, left, _share_out(left, last.ml_nodes), left, host.hash_chain_tip)


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
