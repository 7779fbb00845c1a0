"""Whether tokens were chosen as the request wanted it: their surprisal against its expectation (docs/protocol/checking.md, 7).

A replay tells the most likely tokens of a position and, by what is missing to 1, how likely all others are together. So the
possible outcomes are each known token and *another one*; their chances follow from temperature, cuts and penalties. At a
temperature other than 1 the chance of *another one* lies between two bounds, so it is tried at several places between them: text
counts as too surprising, or as too tame, only if it is so at all of them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from pivot.api.validation.positions import Replayed

GREEDY_BELOW = 1e-5
"""Temperatures below this mean: always the most likely token."""
COLD_BELOW = 0.1
"""Temperatures below this make so much of what rounding shifts that a token is given the benefit of it, as at 0."""
RAREST = 1e-6
"""Chances below this count as this, so that one token's surprisal is bounded."""
NUCLEUS_MARGIN = 0.02
"""The nucleus is taken so much larger, more when it is cold: where it ends depends on the last digits."""
LARGEST_VOCABULARY = 2**18
PLACES = 5
LEAST_KNOWN = 1e-12
ROUNDING = 1e-5
"""So far may be off what is missing to 1."""
LARGEST_EXPONENT = 700.0
"""Of e, in what is still a number."""
TAKEN_BY_ENGINES: Mapping[str, tuple[float, float]] = {
    "temperature": (0.0, math.inf),
    "top_p": (math.ulp(0.0), 1.0),
    "min_p": (0.0, 1.0),
    "top_k": (-1, math.inf),
    "presence_penalty": (-2.0, 2.0),
    "frequency_penalty": (-2.0, 2.0),
}
"""Least and most of what says how tokens are chosen."""
JUDGED_WITHOUT = frozenset(
    {
        "model",
        "messages",
        "prompt",
        "add_special_tokens",
        "stream",
        "stream_options",
        "max_tokens",
        "max_completion_tokens",
        "logprobs",
        "top_logprobs",
        "return_token_ids",
        "seed",
        "stop",
        "stop_token_ids",
        "include_stop_str_in_output",
        "ignore_eos",
        "skip_special_tokens",
        "spaces_between_special_tokens",
        "add_generation_prompt",
        "chat_template_kwargs",
        "n",
        "best_of",
        "user",
        "metadata",
        "store",
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "presence_penalty",
        "frequency_penalty",
    }
)
"""Fields with which the chances are known. With any other (guided decoding, biases, tools) the choice is not judged."""
_NEUTRAL: Mapping[str, Any] = {
    "repetition_penalty": 1,
    "min_tokens": 0,
    "logit_bias": {},
    "tools": [],
    "tool_choice": "none",
}


@dataclass(frozen=True)
class Choosing:
    """How a request has its tokens chosen; the defaults change nothing. top_k: 0 for all."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    exact: bool = True
    """Whether nothing else decides. Otherwise the real choice may be tamer, and only what is too surprising tells."""

    @property
    def greedy(self) -> bool:
        """Whether always the most likely token is taken."""
        return self.temperature < GREEDY_BELOW


class Outcome(NamedTuple):
    """The surprisal of one token, and what was to be expected of it, in nats."""

    surprisal: float
    mean: float
    variance: float


class Surprise(NamedTuple):
    """How much more surprising an answer is than expected, in nats, and the variance of that."""

    excess: float
    variance: float


def choosing_of(request: Mapping[str, Any], defaults: Choosing) -> Choosing | None:
    """How this request's tokens are chosen; None when that cannot be told from likely tokens alone.

    request: the body as the developer sent it. defaults: of the model, for what it does not name.
    """
    for name, value in request.items():
        if name not in JUDGED_WITHOUT and value is not None and value != _NEUTRAL.get(name):
            return None
    named = {name: request[name] for name in TAKEN_BY_ENGINES if request.get(name) is not None}
    for name, value in named.items():
        least, most = TAKEN_BY_ENGINES[name]
        if not isinstance(value, int | float) or not math.isfinite(value) or not least <= value <= most:
            return None
    found = replace(defaults, **named)
    if found.presence_penalty < 0 or found.frequency_penalty < 0:
        return None  # what was said before may be likely again from far below the likely tokens that are known
    return replace(found, top_k=max(0, int(found.top_k)))


def greedy_gap(positions: Sequence[Replayed], choosing: Choosing) -> float:
    """How far, at most, a chosen token stood below the most likely one, in nats."""
    widest, counts = 0.0, dict[int, int]()
    for position in positions:
        best = max(_penalised(logprob, counts.get(token, 0), choosing) for token, _, logprob in position.top)
        chosen = _penalised(position.logprob, counts.get(position.token, 0), choosing)
        widest = max(widest, best - chosen)
        counts[position.token] = counts.get(position.token, 0) + 1
    return widest


def surprise(positions: Sequence[Replayed], choosing: Choosing, *, gap: float = 0.0) -> list[Surprise]:
    """How surprising an answer is, for each way in which the unknown tokens may share what is left to them.

    gap: nats that rounding may have shifted a token by, so that a cut let it through, or a low temperature made it likely.
    Temperature 0 has no chance in it: see `greedy_gap`.
    """
    counts: dict[int, int] = {}
    places = 1 if choosing.temperature == 1 else PLACES
    excess, variance = [0.0] * places, [0.0] * places
    for position in positions:
        scores = [(token, _penalised(logprob, counts.get(token, 0), choosing)) for token, _, logprob in position.top]
        most = _penalised(position.logprob, counts.get(position.token, 0), choosing) + gap
        for place, others in enumerate(_others(position, choosing.temperature, places)):
            found = _outcome(position.token, scores, others, choosing, most)
            excess[place] += found.surprisal - found.mean
            variance[place] += found.variance
        counts[position.token] = counts.get(position.token, 0) + 1
    return [Surprise(*each) for each in zip(excess, variance, strict=True)]


def _penalised(logprob: float, count: int, choosing: Choosing) -> float:
    return logprob - choosing.frequency_penalty * count - choosing.presence_penalty * (count > 0)


def _others(position: Replayed, temperature: float, places: int) -> list[float]:
    """Logarithms of the weights that all unknown tokens may have together, where a known one of log-probability x weighs
    exp(x / temperature).

    Together they are as likely as is missing to 1, and each is at most as likely as the last known one. From few tokens that share
    it to as many as there can be, in steps of the same factor.
    """
    missing = math.log(max(0.0, 1 - math.fsum(math.exp(logprob) for _, _, logprob in position.top)) + ROUNDING)
    if places == 1:
        return [missing]
    power = 1 / temperature
    last = min(*(logprob for _, _, logprob in position.top), missing)
    few = missing + max(last, math.log(LEAST_KNOWN)) * (power - 1)
    many = math.log(LARGEST_VOCABULARY) * (1 - power) + missing * power
    return [few + (many - few) * place / (places - 1) for place in range(places)]


def _outcome(
    token: int, scores: Sequence[tuple[int, float]], others: float, choosing: Choosing, most: float
) -> Outcome:
    """The outcome `token` among the known ones and all others, of whose weight `others` is the logarithm.

    most: the score that the token may have had, but for rounding. Where it reaches the last one that is kept, the token may have
    been that one.
    All weights are told relative to the largest known one: by themselves they may be too large or too small for a number.
    """
    ordered = sorted(scores, key=lambda score: -score[1])
    largest = ordered[0][1]
    weights = [math.exp((score - largest) / choosing.temperature) for _, score in ordered]
    others = math.exp(min(others - largest / choosing.temperature, LARGEST_EXPONENT))
    kept, others = _cut(weights, others, choosing)
    total = math.fsum(weights[:kept]) + others
    chances = [max(weight / total, RAREST) for weight in weights[:kept]]
    if others:
        chances.append(max(others / total, RAREST))
    place = next((index for index, (known, _) in enumerate(ordered) if known == token), None)
    chance = RAREST
    if place is None and others:
        chance = chances[-1]
    elif place is not None and place < kept:
        chance = chances[place]
    elif most >= ordered[kept - 1][1]:
        chance = chances[kept - 1]
    if choosing.temperature < COLD_BELOW:
        chance = max(chance, math.exp(min(most - largest, 0.0) / choosing.temperature) / total)
    whole = math.fsum(chances)
    mean = math.fsum(-p * math.log(p) for p in chances) / whole
    square = math.fsum(p * math.log(p) ** 2 for p in chances) / whole
    return Outcome(-math.log(chance), mean, max(square - mean * mean, 0.0))


def _cut(weights: Sequence[float], others: float, choosing: Choosing) -> tuple[int, float]:
    """How many of the known tokens may be chosen, and what is left of the others. weights: largest first."""
    kept = len(weights)
    if choosing.min_p > 0:
        floor = choosing.min_p * weights[0]
        kept = max(1, sum(weight >= floor for weight in weights))
        others = others if kept == len(weights) else 0.0
    if 0 < choosing.top_k <= kept:
        kept, others = choosing.top_k, 0.0
    if choosing.top_p < 1:
        margin = NUCLEUS_MARGIN * max(1.0, 1 / choosing.temperature)
        nucleus = min(1.0, choosing.top_p + margin) * (math.fsum(weights[:kept]) + others)
        before = 0.0
        for index in range(kept):
            if before >= nucleus:
                return index, 0.0
            before += weights[index]
        others = min(others, max(0.0, nucleus - before))
    return kept, others
