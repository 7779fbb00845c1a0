"""How prices move, at the end of each block, for the inferences of the next one (docs/protocol/prices.md)."""

from pivot.chain.modules.epochs.state import effective
from pivot.chain.modules.models.state import models
from pivot.chain.modules.pricing.state import (
    Interval,
    Low,
    Price,
    capacity,
    lows,
    moving_price,
    put_lows,
    put_price,
    put_traffic,
    starting_price,
    take_tokens,
    traffic,
)
from pivot.chain.store.journal import State
from pivot.chain.types import Block
from pivot.primitives.fixed_point import ONE
from pivot.protocol.decimals import fixed_point
from pivot.protocol.generated.inference.inference.params_pb2 import DynamicPricingParams
from pivot.protocol.generated.inference.inference.types_pb2 import Epoch, Model
from pivot.protocol.pricing import NANOSECONDS, Zone, next_price, utilisation

INTERVALS = 60
"""Parts of the time over which utilisation is measured: what a model's row holds is bounded, whatever the pace of blocks."""
LOW_INTERVAL_NS = 15 * NANOSECONDS
"""Of each such part of the last minutes a model's row holds one price, the lowest."""
LOWS_KEPT_NS = 900 * NANOSECONDS
"""As old as a request may be that opens."""


def move_prices(block: Block) -> None:
    """Take the block's tokens into account, and set the price of each model's next inferences."""
    current = effective(block.state)
    terms = current.params.dynamic_pricing_params
    zone, window_ns = _zone(terms), terms.utilization_window_duration * NANOSECONDS
    for each in models(block.state):
        tokens = _measure(block, each.id, window_ns)
        used = utilisation(tokens, capacity(block.state, current.index, each.id), window_ns)
        per_token = _move(block.state, current, each, zone, used)
        _remember(block, each.id, per_token)


def _measure(block: Block, model_id: str, window_ns: int) -> int:
    """Tokens of the answers that were finished within the window, which ends with this block."""
    known = traffic(block.state, model_id)
    kept = [interval for interval in known if interval.start > block.time - window_ns]
    tokens = take_tokens(block.state, model_id)
    if tokens:
        start = block.time - block.time % (window_ns // INTERVALS)
        if kept and kept[-1].start == start:
            tokens += kept.pop().tokens
        kept.append(Interval(start, tokens))
    if kept != known:
        put_traffic(block.state, model_id, kept)
    return sum(interval.tokens for interval in kept)


def _move(state: State, current: Epoch, registered: Model, zone: Zone, used: int) -> int:
    """One step of one price. Up to the end of the grace period, and where the starting price has changed, it is that one.

    Returns the whole ngonka per token.
    """
    start = starting_price(current, registered)
    known = moving_price(state, registered.id)
    if (
        known is None
        or known.start != start
        or current.index <= current.params.dynamic_pricing_params.grace_period_end_epoch
    ):
        changed = Price(start * ONE, start)
    else:
        changed = known._replace(value=next_price(known.value, used, zone))
    if changed != known:
        put_price(state, registered.id, changed)
    return changed.value // ONE


def _remember(block: Block, model_id: str, per_token: int) -> None:
    """Keep the lowest prices of as long as a request can wait for its opening."""
    known = lows(block.state, model_id)
    kept = list(known)
    start = block.time - block.time % LOW_INTERVAL_NS
    if kept and kept[-1].start == start:
        kept[-1] = Low(start, min(kept[-1].price, per_token))
    elif not kept or kept[-1].price != per_token:
        kept.append(Low(start, per_token))
    while len(kept) > 1 and kept[1].start <= block.time - LOWS_KEPT_NS:
        del kept[0]
    if kept != known:
        put_lows(block.state, model_id, kept)


def _zone(terms: DynamicPricingParams) -> Zone:
    return Zone(
        lower=fixed_point(terms.stability_zone_lower_bound),
        upper=fixed_point(terms.stability_zone_upper_bound),
        elasticity=fixed_point(terms.price_elasticity),
        least=int(terms.min_per_token_price),
    )
