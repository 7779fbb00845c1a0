"""What a host loses of its collateral. Nothing is burned: the coins go to the community pool (design, decision 17)."""

from enum import StrEnum

from pivot.chain.modules.bank.state import COLLATERAL, COMMUNITY_POOL, move
from pivot.chain.modules.collateral.state import collateral, put_collateral, put_unbonding, unbondings
from pivot.chain.modules.epochs.state import effective
from pivot.chain.types import Block
from pivot.primitives import fixed_point
from pivot.primitives.coins import BASE_DENOM
from pivot.protocol import decimals
from pivot.protocol.generated.inference.inference.params_pb2 import Params


class Reason(StrEnum):
    """Why somebody was slashed, as the event tells it."""

    INVALID = "invalid"
    REQUESTS_MISSED = "requests_missed"
    BLOCKS_MISSED = "missing_signature"
    DOUBLE_SIGN = "double_sign"


def slash_for(block: Block, address: str, fraction: int, reason: Reason) -> int:
    """Take a fraction (18 decimals) of an address's collateral, rounded down row by row, also of what it is withdrawing.

    Returns the ngonka taken. Whoever has none loses nothing, and no event tells of it.
    """
    held = collateral(block.state, address)
    taken = fixed_point.multiply_floor(held, fraction)
    put_collateral(block.state, address, held - taken)
    for epoch, amount in list(unbondings(block.state, address)):
        part = fixed_point.multiply_floor(amount, fraction)
        put_unbonding(block.state, address, epoch, amount - part)
        taken += part
    move(block.state, COLLATERAL, COMMUNITY_POOL, taken)
    if taken:
        block.emit(
            "slash_collateral",
            participant=address,
            slash_amount=f"{taken}{BASE_DENOM}",
            slash_fraction=decimals.text(fraction),
            reason=reason,
        )
    return taken


def slash_invalid(block: Block, address: str) -> int:
    """A host has become INVALID. Returns the ngonka taken."""
    params = effective(block.state).params.collateral_params
    return slash_for(block, address, decimals.fixed_point(params.slash_fraction_invalid), Reason.INVALID)


def slash_downtime(block: Block, address: str, missed: int, total: int, params: Params) -> int:
    """A host has missed so many of an epoch's `total` requests; `params` are that epoch's. Returns the ngonka taken.

    Nobody is judged on fewer requests than `min_ramp_up_measurements`: one miss would be a whole epoch's (W-20).
    """
    rules = params.collateral_params
    threshold = decimals.fixed_point(rules.downtime_missed_percentage_threshold)
    if total < params.validation_params.min_ramp_up_measurements or missed * fixed_point.ONE <= total * threshold:
        return 0
    return slash_for(block, address, decimals.fixed_point(rules.slash_fraction_downtime), Reason.REQUESTS_MISSED)
