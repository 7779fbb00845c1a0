"""The judgement of an answer: its log-probabilities and the choice of its tokens against a replay (docs/protocol/checking.md, 7).

Pure: what was told and what was found go in, a verdict comes out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import starmap
from statistics import median_low

from pivot.api.validation.choice import Choosing, greedy_gap
from pivot.api.validation.positions import Replayed, Told
from pivot.api.validation.thresholds import CONFIDENCE, Spread, Thresholds
from pivot.api.validation.wagers import returns, together
from pivot.protocol.engine_arguments import LEAST_LOGPROBS

SHORTEST_DIVISOR = 100
"""The published distance divides by at least so many positions (spec api.md, 6.3)."""
NEAR_ZERO = 1e-6
MILLION = 10**6
LEAST_FOR_USUAL = 4
"""Positions of which half say what is usual."""
FORESEEN_CONFIDENCE = math.log(1e9)
"""What wagers must make of 1 where the developer has named the seed. Who tries so many texts has paid for more than it can spoil."""
UNREADABLE = "\ufffd"
"""Stands for bytes that are no whole character: such texts tell tokens apart only by their rank."""


@dataclass(frozen=True)
class Judgement:
    """What a checker found."""

    passed: bool
    value_e6: int
    """The published similarity, in millionths."""
    reason: str = ""
    """Why it did not pass."""
    made: tuple[float, ...] = ()
    """What each wager against the choice of tokens has made of 1, as a logarithm: to be added up over a host's answers. Empty when
    nothing was left to chance, the model's defaults are not known, or the developer may have foreseen the text."""


def judge(
    told: Sequence[Told],
    replayed: Sequence[Replayed],
    choosing: Choosing | None,
    thresholds: Thresholds,
    *,
    least_similarity: float = 0.0,
) -> Judgement:
    """The judgement of one answer. An answer of one token is judged as strictly as its length allows, not let through (M-34).

    choosing: None when the request's way to choose cannot be judged. least_similarity: of the model's registration; 0 for none.
    """
    if len(told) != len(replayed):
        return Judgement(passed=False, value_e6=0, reason=f"{len(told)} positions, the replay has {len(replayed)}")
    count = len(replayed)
    if not count:
        return Judgement(passed=True, value_e6=MILLION)
    for index, (position, found) in enumerate(zip(told, replayed, strict=True)):
        if not same_text(position[0], found.text):
            return Judgement(passed=False, value_e6=0, reason=f"token {index} is {found.text!r}, not {position[0]!r}")
    tops = [(position[2], found) for position, found in zip(told, replayed, strict=True)]
    total = math.fsum(starmap(position_distance, tops))
    similarity = max(0.0, 1 - total / (max(SHORTEST_DIVISOR, count) * LEAST_LOGPROBS))
    value_e6 = int(similarity * MILLION)
    reason, made = "", tuple[float, ...]()
    shifts = list(starmap(position_shift, tops))
    if (
        (fault := _beyond(total / (count * LEAST_LOGPROBS), thresholds.distance, count))
        or (fault := _beyond(math.fsum(shifts) / count, thresholds.shift, count))
        or (fault := _unusual(shifts, thresholds.usual_shift))
    ):
        reason = f"log-probabilities lie {fault}"
    elif similarity < least_similarity:
        reason = f"the similarity is {similarity:.4f}, the model's registration wants {least_similarity:.4f}"
    elif choosing is not None:
        reason, made = choice_fault(replayed, choosing, thresholds)
    return Judgement(passed=not reason, value_e6=value_e6, reason=reason, made=made)


def position_distance(told: Sequence[tuple[str, float]], found: Replayed) -> float:
    """The published distance of one position, summed over the replay's top tokens (spec api.md, 6.3).

    Some engines put the chosen token in the place of the last top one when it is not among them; the replay is read likewise.
    """
    known = dict(told)
    ordered = sorted(known.values())
    smallest = ordered[0]
    second = ordered[1] if len(ordered) > 1 else smallest - 100
    absent = 2 * smallest - second
    total = 0.0
    for text, value in _comparable(known, found):
        other = known.get(text, absent)
        total += abs(value - other) / (NEAR_ZERO + abs(value) + abs(other)) / 2
    return total


def position_shift(told: Sequence[tuple[str, float]], found: Replayed) -> float:
    """How far the log-probabilities of one position lie apart, in nats, over the top tokens that both know."""
    known = dict(told)
    shifts = [abs(value - known[text]) for text, value in _comparable(known, found) if text in known]
    return math.fsum(shifts) / len(shifts) if shifts else 0.0


def _beyond(mean: float, spread: Spread, count: int) -> str:
    limit = spread.limit(count)
    return f"{mean:.4f} apart, at most {limit:.4f} for {count} tokens" if mean > limit else ""


def _unusual(shifts: Sequence[float], most: float) -> str:
    usual = median_low(shifts)
    return (
        f"{usual:.4f} apart at half of {len(shifts)} tokens, at most {most:.4f}"
        if usual > most and len(shifts) >= LEAST_FOR_USUAL
        else ""
    )


def choice_fault(
    replayed: Sequence[Replayed], choosing: Choosing, thresholds: Thresholds
) -> tuple[str, tuple[float, ...]]:
    """What is wrong with the choice of tokens, empty when nothing is, and `Judgement.made`."""
    if choosing.greedy:
        gap = greedy_gap(replayed, choosing)
        if gap > thresholds.greedy_gap:
            return f"at temperature 0 a token stood {gap:.3f} nats below the most likely one", ()
        return "", ()
    made = returns(replayed, choosing, drift=thresholds.drift, gap=thresholds.greedy_gap)
    won = together(made, exact=choosing.exact)
    most = FORESEEN_CONFIDENCE if choosing.foreseen else CONFIDENCE
    reason = "" if won <= most else f"the tokens were not chosen as asked: odds of {won:.1f} nats, at most {most:.1f}"
    return reason, tuple(made) if choosing.exact and not choosing.foreseen else ()


def same_text(told: str, found: str) -> bool:
    """Whether two texts can be the same token's."""
    return told == found or UNREADABLE in told or UNREADABLE in found


def _comparable(known: dict[str, float], found: Replayed) -> list[tuple[str, float]]:
    """The replay's top tokens as the executor may have listed them; unreadable ones take the names of the same rank."""
    top = [(text, logprob) for _, text, logprob in found.top[:LEAST_LOGPROBS]]
    listed = {token for token, _, _ in found.top[:LEAST_LOGPROBS]}
    if found.token not in listed and found.text in known:
        top[-1] = (found.text, found.logprob)
    texts = {text for text, _ in top}
    nameless = sorted(
        (text for text in known if text not in texts and UNREADABLE in text), key=lambda text: -known[text]
    )
    for index, (text, logprob) in enumerate(top):
        if nameless and text not in known and UNREADABLE in text:
            top[index] = (nameless.pop(0), logprob)
    return top
