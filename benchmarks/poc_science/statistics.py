"""What a sample of leaves proves, computed exactly: no simulation, no approximation beyond double precision.

Checkers weigh the same and draw their samples on their own; a wrong leaf is found with the share that wrong leaves have
of the count (draws without replacement find a little more). The rules are those of `protocol.sprint.verdict` and
`protocol.poc.credit`.
"""

import math
from collections.abc import Sequence
from functools import cache

from pivot.protocol.sprint import SprintPreset, verdict

INFLATIONS = tuple(i / 10_000 for i in range(1, 1_001))
"""What is added to the true count, from 0.01 to 10 per cent."""
SEARCH_STEPS = 60
"""Each leaves two thirds of the interval."""
LARGEST_EXCESS, EXCESS_STEPS = 8.0, 12
"""Where the search for a visible excess ends, and its halvings."""
LARGEST_SAMPLE = 500
"""Where the search for a sample size ends."""


@cache
def refused_at(preset: SprintPreset, checked: int) -> int:
    """The smallest number of mismatches of which a verdict is a refusal; `checked` + 1 if there is none."""
    return next((k for k in range(checked + 1) if not verdict(preset, checked, k, 0)), checked + 1)


def exactly(hits: int, trials: int, probability: float) -> float:
    """P(X = hits) for X ~ Bin(trials, probability)."""
    return math.comb(trials, hits) * probability**hits * (1 - probability) ** (trials - hits)


def at_least(hits: int, trials: int, probability: float) -> float:
    """P(X >= hits), summed over its smaller side so that tiny chances keep their digits."""
    if hits <= trials * probability:
        return 1 - math.fsum(exactly(k, trials, probability) for k in range(hits))
    return math.fsum(exactly(k, trials, probability) for k in range(hits, trials + 1))


def refusal_by_one(preset: SprintPreset, checked: int, wrong: float) -> float:
    """Chance that one checker refuses, by its count of mismatches, a host of whose leaves a share is wrong."""
    return at_least(refused_at(preset, checked), checked, wrong)


def refusal(preset: SprintPreset, checked: int, checkers: int, wrong: float) -> float:
    """Chance that the tally refuses: the valid weight does not exceed the invalid one."""
    return at_least((checkers + 1) // 2, checkers, refusal_by_one(preset, checked, wrong))


def wrong_share(inflation: float) -> float:
    """Of a count that is the true one and so much more."""
    return inflation / (1 + inflation)


def smallest_sample(preset: SprintPreset, checkers: int, inflation: float, chance: float) -> int:
    """The fewest leaves per checker from which on an inflated count is refused with at least this chance."""
    wrong = wrong_share(inflation)
    failing = [n for n in range(1, LARGEST_SAMPLE) if refusal(preset, n, checkers, wrong) < chance]
    return failing[-1] + 1


def expected_credit(preset: SprintPreset, checked: int, checkers: int, inflation: float) -> float:
    """What a host with an inflated count earns on average, as a multiple of its true count.

    The mean over all that the checkers can see: refused, for nothing, or the count less the median of the mismatched
    shares of the valid votes (the lower one of two). Whole numbers are not rounded.
    """
    wrong, limit = wrong_share(inflation), refused_at(preset, checked)
    seen = [exactly(k, checked, wrong) for k in range(min(limit, checked + 1))]
    valid = math.fsum(seen)
    credit = 0.0
    for voters in range(checkers // 2 + 1, checkers + 1):
        chance = exactly(voters, checkers, valid)
        credit += chance * (1 - _mean_median(seen, valid, voters) / checked)
    return credit * (1 + inflation)


def _mean_median(seen: Sequence[float], valid: float, voters: int) -> float:
    """The mean of the lower median of `voters` draws from `seen`: the sum of P(median > m) over m."""
    middle = (voters + 1) // 2
    below, mean = 0.0, 0.0
    for chance in seen:
        below += chance / valid
        mean += 1 - at_least(middle, voters, min(below, 1.0))
    return mean


def best_inflation(preset: SprintPreset, checked: int, checkers: int) -> tuple[float, float]:
    """The inflation that pays most, and what it earns as a multiple of the true count."""
    best = max(INFLATIONS, key=lambda inflation: expected_credit(preset, checked, checkers, inflation))
    return best, expected_credit(preset, checked, checkers, best)


def chance_of_mean(values: Sequence[float], limit: float, leaves: int) -> float:
    """A bound on the chance that the mean of so many draws from `values` is `limit` or more (Chernoff's).

    The least of E[exp(s (x - limit))] ** leaves over s >= 0, with the measured values for the distribution: it holds for
    machines as noisy as those measured. For the chance of a mean that small, turn the signs of both.
    """
    apart = [value - limit for value in values]
    if max(apart) < 0:
        return 0.0

    def exponent(s: float) -> float:
        largest = s * max(apart)
        return largest + math.log(math.fsum(math.exp(s * x - largest) for x in apart) / len(apart))

    below, above = 0.0, 1 / max(abs(x) for x in apart)
    while exponent(2 * above) < exponent(above):
        above *= 2
    above *= 2
    for _ in range(SEARCH_STEPS):
        third = (above - below) / 3
        if exponent(below + third) < exponent(above - third):
            above -= third
        else:
            below += third
    return math.exp(leaves * min(0.0, exponent(below)))


def seen_excess(squares: Sequence[float], leaves: int, chance: float) -> float:
    """How many times a limit a pooled rms must be so that so many leaves show it above with at least this chance.

    For distances that are spread as the measured ones are; by the bound of `chance_of_mean`, so a little less is enough.
    """
    mean = math.fsum(squares) / len(squares)
    low, high = 1.0, LARGEST_EXCESS
    for _ in range(EXCESS_STEPS):
        middle = (low + high) / 2
        hidden = chance_of_mean([-x / mean * middle**2 for x in squares], -1.0, leaves)
        low, high = (middle, high) if hidden > 1 - chance else (low, middle)
    return high
