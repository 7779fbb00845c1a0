"""What holds after every block."""

from pivot.chain.modules.epochs.state import effective_index
from pivot.chain.modules.members.state import group
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
