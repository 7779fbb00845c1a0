"""What holds after every block."""

from itertools import pairwise

from pivot.chain.modules.epochs.state import effective_index, epoch
from pivot.chain.modules.members.forming import PARTS, STORE, formation, part, part_key
from pivot.chain.modules.members.state import group
from pivot.chain.pagination import prefix_end
from pivot.chain.types import Reader


def check_groups(state: Reader) -> None:
    """Members never die out (W-14), totals are sums, and a member's nodes weigh together what it weighs.

    The models of a member have no more than its weight among them (W-16). Raises AssertionError.
    """
    current = effective_index(state)
    parent = group(state, current)
    if parent is None or not parent.validation_weights:
        raise AssertionError(f"epoch {current} has no members")
    served = dict.fromkeys((row.member_address for row in parent.validation_weights), 0)
    for name in ("", *parent.sub_group_models):
        found = group(state, current, name)
        if found is None or found.total_weight != sum(row.weight for row in found.validation_weights):
            raise AssertionError(
                f"the total weight of group {name!r} of epoch {current} is not the sum of its members'"
            )
        for row in found.validation_weights:
            of_nodes = sum(node.poc_weight for node in row.ml_nodes)
            if row.weight <= 0 or (row.ml_nodes and of_nodes != row.weight):
                raise AssertionError(f"{row.member_address} weighs {row.weight}, its nodes {of_nodes}")
            if name:
                served[row.member_address] += row.weight
    for row in parent.validation_weights:
        if served[row.member_address] > row.weight:
            raise AssertionError(f"the models of {row.member_address} weigh more than itself")


def check_formation(state: Reader) -> None:
    """Parts are kept while an epoch is formed and no longer, all of them, with each host once and in order. Raises AssertionError."""
    under_way = formation(state)
    kept = [key for key, _ in state.iterate(STORE, PARTS, prefix_end(PARTS))]
    if under_way is None:
        if kept:
            raise AssertionError(f"no epoch is being formed, and there are {len(kept)} parts of one")
        return
    index = under_way.epoch_index
    if index != effective_index(state) + 1 or epoch(state, index) is None or group(state, index) is not None:
        raise AssertionError(f"epoch {index} is being formed, which is not the upcoming one or has members already")
    if kept != [part_key(index, number) for number in range(under_way.parts)]:
        raise AssertionError(
            f"the formation of epoch {index} has {under_way.parts} parts, not those that are kept: {kept}"
        )
    if not (under_way.drafted <= under_way.parts and (under_way.decided or not under_way.drafted)):
        raise AssertionError(f"the formation of epoch {index} has drafted what is not tallied")
    hosts = [host.address for number in range(under_way.parts) for host in part(state, index, number).hosts]
    if any(before >= after for before, after in pairwise(hosts)) or (hosts and hosts[-1] != under_way.last):
        raise AssertionError(f"hosts of the formation of epoch {index} are out of order")
