"""How a request has its tokens chosen, and whether the likeliest were taken where it wants them (docs/protocol/checking.md, 7)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pivot.api.validation.positions import Replayed

GREEDY_BELOW = 1e-5
"""Temperatures below this mean: always the most likely token."""
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
    "best_of": 1,
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
    """Whether nothing else decides. Otherwise the real choice may be tamer, and only what is too wild tells."""
    foreseen: bool = False
    """Whether the developer has named the seed, and may have tried many before, to find one that brings forth a strange text."""

    @property
    def greedy(self) -> bool:
        """Whether always the most likely token is taken."""
        return self.temperature < GREEDY_BELOW

    @property
    def penalised(self) -> bool:
        """Whether what was said before is less likely to be said again."""
        return (self.presence_penalty, self.frequency_penalty) != (0, 0)


def choosing_of(request: Mapping[str, Any], defaults: Choosing) -> Choosing | None:
    """How this request's tokens are chosen; None when that cannot be told from likely tokens alone.

    request: the body as the developer sent it. defaults: of the model, for what it does not name.
    """
    for name, value in request.items():
        if name not in JUDGED_WITHOUT and value is not None and value != _NEUTRAL.get(name):
            return None
    if not defaults.exact and request.get("repetition_penalty") is None:
        return None  # the model's files may name one, with which even the likeliest token is not always taken at temperature 0
    named = {name: request[name] for name in TAKEN_BY_ENGINES if request.get(name) is not None}
    for name, value in named.items():
        least, most = TAKEN_BY_ENGINES[name]
        if not isinstance(value, int | float) or not math.isfinite(value) or not least <= value <= most:
            return None
    found = replace(defaults, **named)
    if found.presence_penalty < 0 or found.frequency_penalty < 0:
        return None  # what was said before may be likely again from far below the likely tokens that are known
    return replace(found, top_k=max(0, int(found.top_k)), foreseen=request.get("seed") is not None)


def greedy_gap(positions: Sequence[Replayed], choosing: Choosing) -> float:
    """How far, at most, a chosen token stood below the most likely one, in nats."""
    widest, counts = 0.0, dict[int, int]()
    for position in positions:
        best = max(score(logprob, counts.get(token, 0), choosing) for token, _, logprob in position.top)
        chosen = score(position.logprob, counts.get(position.token, 0), choosing)
        widest = max(widest, best - chosen)
        counts[position.token] = counts.get(position.token, 0) + 1
    return widest


def score(logprob: float, count: int, choosing: Choosing) -> float:
    """The score of a token that was said `count` times before."""
    return logprob - choosing.frequency_penalty * count - choosing.presence_penalty * (count > 0)
