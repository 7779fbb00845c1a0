"""Whether tokens were chosen as the request wanted it: wagers against an answer (docs/protocol/checking.md, 7).

A replay tells the likeliest tokens of a position and, by what is missing to 1, how likely all others are together. So the possible
outcomes are each known token and *another one*; their chances p follow from temperature, cuts and penalties. A wager bets on other
chances q of the same outcomes: tamer, wilder, or tamer with something unlikely now and then. At every position it multiplies what
it has by q / p of the token that stands there.

For text that was chosen by p no wager grows but by luck: it expects to have 1 after any number of tokens, so it has c or more with a
chance of 1 / c at most (Ville's inequality), whatever the text's length and wherever it ends. Where p is not known exactly, because of
what the unknown tokens share at a temperature or where a cut falls, the largest p that may be true is taken: the wager then
makes less, never more.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pivot.api.validation.choice import Choosing, score
from pivot.api.validation.positions import Replayed

COLD_BELOW = 0.1
"""Temperatures below this make so much of what rounding shifts that a token is given the benefit of it, as at 0."""
RAREST = 1e-9
"""Chances below this count as this: log-probabilities so low are not told exactly."""
IMPOSSIBLE = 1e-6
"""What cannot be chosen, by far more than rounding, counts as having this chance."""
NUCLEUS_MARGIN = 0.02
"""The nucleus may be so much larger, more when it is cold: where it ends depends on the last digits."""
LARGEST_VOCABULARY = 2**18
LEAST_KNOWN = 1e-12
ROUNDING = 1e-5
"""So far may be off what is missing to 1."""
LARGEST_EXPONENT = 700.0
"""Of e, in what is still a number."""
RESERVE = 0.05
"""Share of every wager that bets on the request's own chances, so that one token never costs it all."""
ASTRAY_POWER = 0.2
"""To which unlikely tokens are those of the model's own chances, or of those at a higher temperature."""
VAGUE = 1.1
"""Where all that may be chosen weighs by so much more at most than at least, bets are on the known tokens alone."""
OUTSIDE = 0.02
"""Share that a wilder wager puts on tokens that a cut leaves out."""


class Wager(NamedTuple):
    """Chances raised to a power, above 1 for tamer text and below for wilder; `astray`: the share put on unlikely tokens."""

    power: float
    astray: float = 0.0

    @property
    def wilder(self) -> bool:
        """Whether it gains only by what is less likely, so that nothing that makes choices tamer helps it."""
        return self.power <= 1


WAGERS = (
    *(Wager(power) for power in (0.6, 0.85)),
    *(Wager(1.0, share) for share in (0.02, 0.1, 0.3)),
    *(Wager(power) for power in (1.25, 1.6, 2.5, 6.0)),
    *(Wager(power, 0.1) for power in (1.6, 2.5, 6.0)),
)
_POWERS = tuple(sorted({wager.power for wager in WAGERS}))


class Outcomes(NamedTuple):
    """What may stand at a position, and what does."""

    chances: list[float]
    """Logarithms of those of the kept tokens, likeliest first, and of *another one* if there is `another`."""
    another: bool
    place: int | None
    """Of the token that stands there; None for one that cannot be chosen."""
    most: float
    """The largest chance that this outcome may have had."""


NOTHING_TO_BET = Outcomes([0.0], another=False, place=0, most=1.0)


def returns(positions: Sequence[Replayed], choosing: Choosing, *, drift: float, gap: float) -> list[float]:
    """What each of WAGERS has made of 1, as a logarithm.

    drift: nats a position that rounding may add at temperature 1. gap: nats that rounding may have shifted a token by, so that a
    cut let it through, or a low temperature made it likely. Temperature 0 has no chance in it: see `choice.greedy_gap`.
    """
    made = [0.0] * len(WAGERS)
    each = drift * max(1.0, 1 / choosing.temperature) ** 2
    astray = ASTRAY_POWER * min(1.0, choosing.temperature)
    for found in outcomes(positions, choosing, gap=gap):
        for index, bet in enumerate(_bets(found, astray)):
            made[index] += math.log(bet / found.most) - each
    return made


def together(made: Sequence[float], *, exact: bool) -> float:
    """What all wagers have of 1 that they share, as a logarithm; only the wilder ones take part where choices may be tamer."""
    return shared([each for each, wager in zip(made, WAGERS, strict=True) if exact or wager.wilder])


def shared(made: Sequence[float]) -> float:
    """What wagers that have shared 1 evenly have all together, as a logarithm. made: of each, from a 1 of its own."""
    largest = max(made)
    return largest + math.log(math.fsum(math.exp(each - largest) for each in made) / len(made))


def outcomes(positions: Sequence[Replayed], choosing: Choosing, *, gap: float = 0.0) -> Iterator[Outcomes]:
    """Those of every position."""
    counts: dict[int, int] = {}
    for position in positions:
        scores = [(token, score(logprob, counts.get(token, 0), choosing)) for token, _, logprob in position.top]
        own = score(position.logprob, counts.get(position.token, 0), choosing) + gap
        least, most = _others(position, choosing.temperature)
        if choosing.penalised and counts:
            least = -math.inf  # those among the others that were said before are less likely now
        yield _outcomes(position.token, scores, (least, most), choosing, own)
        counts[position.token] = counts.get(position.token, 0) + 1


def _others(position: Replayed, temperature: float) -> tuple[float, float]:
    """Logarithms of the least and the largest weight that all unknown tokens may have together, where a known one of
    log-probability x weighs exp(x / temperature).

    Together they are as likely as is missing to 1, and each is at most as likely as the last known one: few tokens share it, or
    as many as there can be.
    """
    missing = max(0.0, 1 - math.fsum(math.exp(logprob) for _, _, logprob in position.top))
    above, below = math.log(missing + ROUNDING), math.log(max(missing - ROUNDING, LEAST_KNOWN))
    if temperature == 1:
        return below, above
    power = 1 / temperature
    last = max(min(*(logprob for _, _, logprob in position.top), above), math.log(LEAST_KNOWN))
    shared_by_few = last * (power - 1)
    shared_by_many = (above - math.log(LARGEST_VOCABULARY)) * (power - 1)
    return below + min(shared_by_few, shared_by_many), above + max(shared_by_few, shared_by_many)


def _outcomes(
    token: int, scores: Sequence[tuple[int, float]], others: tuple[float, float], choosing: Choosing, own: float
) -> Outcomes:
    """The outcome `token` among the known ones and all others. others: logarithms of the least and the most they may weigh.

    own: the score that the token may have had, but for rounding. Where it reaches the last one that is kept, the token may have
    been that one.
    All weights are told relative to the largest known one: by themselves they may be too large or too small for a number.
    """
    ordered = sorted(scores, key=lambda score: -score[1])
    heat, largest = choosing.temperature, ordered[0][1]
    weights = [math.exp((score - largest) / heat) for _, score in ordered]
    few, many = (math.exp(min(each - largest / heat, LARGEST_EXPONENT)) for each in others)
    kept, unknown, whole = _cut(weights, few, many, choosing)
    known = math.fsum(weights[:kept])
    place: int | None = next((index for index, (each, _) in enumerate(ordered) if each == token), kept)
    if place is not None and place >= kept and not unknown:
        place = kept - 1 if own >= ordered[kept - 1][1] else None
    if unknown and known + unknown > VAGUE * whole:
        if place == kept:
            return NOTHING_TO_BET
        unknown, whole = 0.0, min(whole, known)
    total = math.log(known + unknown)
    chances = [(score - largest) / heat - total for _, score in ordered[:kept]]
    if unknown:
        chances.append(math.log(unknown) - total)
    if place is None:
        most = IMPOSSIBLE
    elif place == kept:
        most = unknown / (known + unknown)
    else:
        most = weights[place] / max(whole, math.fsum(weights[: place + 1]))
    if heat < COLD_BELOW:
        most = max(most, math.exp(min(own - largest, 0.0) / heat))
    return Outcomes(chances, bool(unknown), place, min(max(most, RAREST), 1.0))


def _cut(weights: Sequence[float], few: float, many: float, choosing: Choosing) -> tuple[int, float, float]:
    """How many of the known tokens may be chosen, what the others may weigh at most, and what all that may be chosen weighs at
    least. weights: largest first. few, many: what the others weigh at least and at most without any cut.
    """
    kept, known = len(weights), math.fsum(weights)
    if choosing.min_p > 0:
        floor = choosing.min_p * weights[0]
        kept = max(1, sum(weight >= floor for weight in weights))
        few, many = 0.0, many if kept == len(weights) else 0.0
    if choosing.top_k > 0:
        kept, further = min(kept, choosing.top_k), max(0, choosing.top_k - kept)
        few, many = 0.0, min(many, further * weights[kept - 1])
    known = math.fsum(weights[:kept])
    whole = known + few
    if choosing.top_p < 1:
        margin = NUCLEUS_MARGIN * max(1.0, 1 / choosing.temperature)
        nucleus = min(1.0, choosing.top_p + margin) * (known + many)
        whole *= choosing.top_p
        before = 0.0
        for index in range(kept):
            if before >= nucleus:
                return index, 0.0, whole
            before += weights[index]
        many = min(many, nucleus - before + weights[kept - 1]) if before < nucleus else 0.0
    return kept, many, whole


def _bets(found: Outcomes, astray: float) -> list[float]:
    """How much of 1 each wager puts on what stands there. astray: the power that makes of chances those of unlikely tokens."""
    least = RESERVE * IMPOSSIBLE
    if found.place is None:
        return [OUTSIDE if wager.wilder or wager.astray else least for wager in WAGERS]
    own = math.exp(found.chances[found.place])
    unlikely = _raised(found, astray)
    raised = {power: _raised(found, power) for power in _POWERS}
    return [
        max(
            RESERVE * own
            + (1 - RESERVE - (OUTSIDE if wager.wilder or wager.astray else 0.0))
            * ((1 - wager.astray) * raised[wager.power] + wager.astray * unlikely),
            least,
        )
        for wager in WAGERS
    ]


def _raised(found: Outcomes, power: float) -> float:
    """The chance of what stands there if all chances are raised to a power. The others are taken for tokens as likely as the last
    known one, or for one token if together they are less likely; but they get half of what the known ones have by right, at most.
    """
    largest = power * max(found.chances)
    shares = [math.exp(power * chance - largest) for chance in found.chances]
    if found.another:
        others, last, known = found.chances[-1], found.chances[-2], math.fsum(shares[:-1])
        right = math.exp(min(others, 0.0))
        most = known * (1 + right) / max(1 - right, LEAST_KNOWN)
        shares[-1] = min(math.exp(min(others + (power - 1) * min(others, last) - largest, LARGEST_EXPONENT)), most)
    return shares[found.place or 0] / math.fsum(shares)
