"""How requests have tokens chosen, and tokens that are not the likeliest."""

import math
from collections.abc import Sequence
from typing import Any

import pytest

from pivot.api.validation.choice import Choosing, choosing_of, greedy_gap
from pivot.api.validation.positions import Replayed

CHANCES = (0.4, 0.25, 0.15, 0.1, 0.05, 0.03, 0.02)
KNOWN = 5


def position(token: int, chances: Sequence[float] = CHANCES, known: int = KNOWN) -> Replayed:
    top = tuple((index, str(index), math.log(chance)) for index, chance in enumerate(chances[:known]))
    return Replayed(token, str(token), math.log(chances[token]), top)


def test_the_gap_to_the_likeliest_counts_penalties() -> None:
    assert greedy_gap([position(0)], Choosing(temperature=0)) == 0
    gap = math.log(0.4 / 0.25)
    assert greedy_gap([position(1)], Choosing(temperature=0)) == pytest.approx(gap)
    repeated = [position(0), position(1)]
    assert greedy_gap(repeated, Choosing(temperature=0)) == pytest.approx(gap)
    assert greedy_gap(repeated, Choosing(temperature=0, presence_penalty=1.0)) == 0
    assert greedy_gap(repeated, Choosing(temperature=0, frequency_penalty=1.0)) == 0


@pytest.mark.parametrize(
    ("request_fields", "expected"),
    [
        ({}, Choosing()),
        ({"temperature": 0}, Choosing(temperature=0)),
        ({"temperature": 0.5, "top_p": 0.9, "top_k": -1}, Choosing(temperature=0.5, top_p=0.9)),
        ({"seed": 3}, Choosing(foreseen=True)),
        ({"seed": None}, Choosing()),
        ({"presence_penalty": 0.5, "stop": ["x"], "messages": []}, Choosing(presence_penalty=0.5)),
        ({"repetition_penalty": 1.0, "logit_bias": {}, "tools": [], "best_of": 1}, Choosing()),
        ({"best_of": 4}, None),
        ({"repetition_penalty": 1.1}, None),
        ({"logit_bias": {"5": 3}}, None),
        ({"response_format": {"type": "json_object"}}, None),
        ({"guided_json": {}}, None),
        ({"tools": [{"type": "function"}]}, None),
        ({"temperature": "hot"}, None),
        ({"temperature": math.nan}, None),
    ],
)
def test_only_what_is_understood_is_judged(request_fields: dict[str, Any], expected: Choosing | None) -> None:
    assert choosing_of(request_fields, Choosing()) == expected


def test_defaults_of_the_model_hold_for_what_a_request_does_not_name() -> None:
    defaults = Choosing(temperature=0.7, top_p=0.8)
    assert choosing_of({"top_p": 1.0}, defaults) == Choosing(temperature=0.7, top_p=1.0)


def test_where_the_models_defaults_are_not_known_a_request_must_say_that_repetitions_are_not_made_less_likely() -> None:
    """Qwen2.5's files do it by a factor of 1.05, and honest hosts serve it so unless its registration says otherwise."""
    unknown = Choosing(exact=False)
    assert choosing_of({"temperature": 0}, unknown) is None
    assert choosing_of({"temperature": 0, "repetition_penalty": 1.0}, unknown) == Choosing(temperature=0, exact=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -1),
        ("top_p", 0),
        ("top_p", -5),
        ("top_p", 1.5),
        ("min_p", 1e300),
        ("presence_penalty", -1e308),
        ("frequency_penalty", 1e308),
        ("frequency_penalty", 2**70),
    ],
)
def test_what_no_engine_takes_is_not_judged(name: str, value: float) -> None:
    assert choosing_of({"model": "m", name: value}, Choosing()) is None


@pytest.mark.parametrize("name", ["presence_penalty", "frequency_penalty"])
def test_what_makes_repetitions_likely_is_not_judged(name: str) -> None:
    assert choosing_of({"model": "m", name: -0.5}, Choosing()) is None
    assert choosing_of({"model": "m", name: 0.5}, Choosing()) is not None
