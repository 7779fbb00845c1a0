"""From what proof of compute gave to what a member weighs: collateral first, then the cap. Pure integer arithmetic.

(docs/protocol/collateral.md, sections 2 and 3)
"""

from collections.abc import Sequence

from pivot.primitives.fixed_point import ONE

LIMITS_OF_FEW = {2: 50 * ONE // 100, 3: 40 * ONE // 100}
"""Largest share of one among so few members, where the parameter is below it: a quarter each would leave something over."""
KEPT_DIVISOR = 2
"""The cap leaves at least one part in so many of the weight that is there once the heaviest weighs no more than the second."""


def backed(weight: int, collateral: int, base_ratio: int, per_unit: int) -> int:
    """What of a weight counts with so much collateral behind it.

    `base_ratio` of it needs none, every unit of the rest needs `per_unit` ngonka (both with 18 decimals; 0 ngonka: none).
    Rounded down, but never to nothing: proven work could otherwise leave an epoch without members (W-14).
    """
    base = weight * base_ratio
    open_to_collateral = weight * ONE - base
    covered = min(open_to_collateral, collateral * ONE * ONE // per_unit) if per_unit else open_to_collateral
    return max((base + covered) // ONE, min(weight, 1))


def cap(weights: Sequence[int], limit: int) -> int:
    """The most that one of these weights (all above 0) may count; `limit` is the largest share of the sum, 18 decimals.

    Whoever is above it weighs as much as the cap, the others keep their weight. It is the largest number that leaves nobody
    more than the limit, but never so small that less than half would be left of what there is when the heaviest weighs as
    much as the second: with fewer than 1/limit members of substance nothing but dust would be left otherwise, and whoever
    brings some dust could have all the others clipped to it (W-15). A limit of 0 is none, and one member alone has none.
    """
    count = len(weights)
    limit = max(limit, LIMITS_OF_FEW.get(count, 0)) if limit else ONE
    if count < 2 or limit >= ONE:
        return max(weights, default=0)
    rising = sorted(weights)
    return max(_largest_within(rising, limit), _least_to_keep(rising))


def _largest_within(rising: Sequence[int], limit: int) -> int:
    """The largest cap c with c ≤ limit × (sum of the weights, each at most c); the heaviest weight if all are within."""
    below = 0
    for place, weight in enumerate(rising):
        from_here = len(rising) - place
        if weight * ONE > limit * (below + weight * from_here):
            return limit * below // (ONE - limit * from_here)
        below += weight
    return rising[-1]


def _least_to_keep(rising: Sequence[int]) -> int:
    """The smallest cap under which the part of the weight that `KEPT_DIVISOR` asks for is left."""
    needed = -(-(sum(rising[:-1]) + rising[-2]) // KEPT_DIVISOR)
    below = place = 0
    while below + rising[place] * (len(rising) - place) < needed:
        below += rising[place]
        place += 1
    return -(-(needed - below) // (len(rising) - place))
