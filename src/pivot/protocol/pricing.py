"""What a request may cost, and what it did cost.

Price is a number of ngonka per token, prompt and answer alike. All results fit 63 bits within the limits named here.
Between blocks a price keeps 18 decimals; what a request pays is its whole ngonka.
"""

from dataclasses import dataclass

from pivot.primitives.fixed_point import ONE, multiply_ceiling, multiply_floor
from pivot.primitives.numbers import MAX_INT64, Amount

NANOSECONDS = 10**9

DEFAULT_MAX_TOKENS = 5000
"""Answer length that is set aside when a request names none."""

MAX_TOKENS_PER_REQUEST = 1_000_000
"""Longest prompt, and longest answer, of one request."""

MAX_PRICE = MAX_INT64 // (2 * MAX_TOKENS_PER_REQUEST)
"""Highest price at which the largest request still has an escrow of 63 bits."""


def escrow(prompt_tokens: int, max_tokens: int, price: int) -> Amount:
    """ngonka set aside when a request starts: a hard cap on its cost."""
    return Amount((prompt_tokens + max_tokens) * price)


def cost(prompt_tokens: int, completion_tokens: int, price: int, escrowed: int) -> Amount:
    """ngonka that a finished request costs, never above its escrow."""
    return Amount(min((prompt_tokens + completion_tokens) * price, escrowed))


def refunds(escrowed: int, gateway_paid: int, spent: int) -> tuple[Amount, Amount]:
    """What goes back to the developer and to the gateway account when `spent` of an escrow is used.

    The developer pays first, with all that it put in; the gateway account only pays for what is left. So neither gets back
    more than it gave, and a gateway never pays for an answer that its developer could afford.
    """
    developer_paid = escrowed - gateway_paid
    developer_spent = min(spent, developer_paid)
    return Amount(developer_paid - developer_spent), Amount(gateway_paid - (spent - developer_spent))


@dataclass(frozen=True)
class Zone:
    """How a price follows the use of a model. All but the prices are fixed-point numbers of 18 decimals."""

    lower: int
    """Utilisation below which a price falls."""
    upper: int
    """Utilisation above which it rises."""
    elasticity: int
    least: int
    """ngonka per token: no price falls below."""


def utilisation(tokens: int, capacity: int, window_ns: int) -> int:
    """Share of its capacity that a model was used with, fixed-point. capacity: tokens per second, above 0."""
    return tokens * ONE * NANOSECONDS // (capacity * window_ns)


def next_price(price: int, used: int, zone: Zone) -> int:
    """The price of the next block, fixed-point like `price` and the utilisation `used` (docs/protocol/prices.md).

    Within the zone it stays; below it falls by at most lower × elasticity, above it rises by at most (1 − upper) × elasticity.
    A rise is rounded up and the decimals are kept, so no price can stick (W-17).
    """
    if used < zone.lower:
        lost = multiply_floor(zone.lower - used, zone.elasticity)
        return max(multiply_floor(price, ONE - lost), zone.least * ONE)
    if used > zone.upper:
        gained = multiply_floor(min(used, ONE) - zone.upper, zone.elasticity)
        return min(multiply_ceiling(price, ONE + gained), MAX_PRICE * ONE)
    return price
