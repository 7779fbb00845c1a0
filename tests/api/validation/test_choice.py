"""Surprisal of chosen tokens under a request's way to choose."""

import math
import random
from collections.abc import Sequence
from typing import Any

import pytest

from pivot.api.validation.choice import Choosing, choosing_of, greedy_gap, surprise
from pivot.api.validation.positions import Replayed

CHANCES = (0.4, 0.25, 0.15, 0.1, 0.05, 0.03, 0.02)
KNOWN = 5


def position(token: int, chances: Sequence[float] = CHANCES, known: int = KNOWN) -> Replayed:
    top = tuple((index, str(index), math.log(chance)) for index, chance in enumerate(chances[:known]))
    return Replayed(token, str(token), math.log(chances[token]), top)


def chosen(choosing: Choosing, count: int, seed: int) -> list[Replayed]:
    """What an engine would choose, as engines do it."""
    source = random.Random(seed)
    weights = [chance ** (1 / choosing.temperature) for chance in CHANCES]
    floor = choosing.min_p * max(weights)
    weights = [weight if weight >= floor else 0.0 for weight in weights]
    if choosing.top_k:
        weights = [weight if index < choosing.top_k else 0.0 for index, weight in enumerate(weights)]
    total, before = sum(weights), 0.0
    for index, weight in enumerate(weights):
        if before >= choosing.top_p * total:
            weights[index] = 0.0
        before += weight
    return [position(token) for token in source.choices(range(len(CHANCES)), weights, k=count)]


def z_of(positions: list[Replayed], choosing: Choosing) -> tuple[float, float]:
    """By how many deviations, at least, the text is too surprising, and too tame."""
    found = surprise(positions, choosing)
    return tuple(min(sign * each.excess / math.sqrt(each.variance) for each in found) for sign in (1, -1))  # type: ignore[return-value]


def least_excess(positions: list[Replayed], choosing: Choosing) -> float:
    return min(each.excess for each in surprise(positions, choosing))


WAYS = [
    Choosing(),
    Choosing(temperature=0.6),
    Choosing(temperature=1.6),
    Choosing(top_p=0.7),
    Choosing(temperature=0.7, top_p=0.8),
    Choosing(top_k=3),
    Choosing(min_p=0.2),
]


@pytest.mark.parametrize("choosing", WAYS, ids=str)
def test_what_was_chosen_as_asked_is_as_surprising_as_expected(choosing: Choosing) -> None:
    excess, deviation = z_of(chosen(choosing, 2_000, seed=1), choosing)
    assert excess < 4
    assert deviation < 5


@pytest.mark.parametrize("choosing", WAYS, ids=str)
def test_text_that_ignores_what_is_likely_is_too_surprising(choosing: Choosing) -> None:
    source = random.Random(2)
    text = [position(source.randrange(len(CHANCES))) for _ in range(400)]
    if choosing.temperature < 1.5:  # hot enough, and everything is as likely
        assert z_of(text, choosing)[0] > 6


def test_always_the_likeliest_is_too_tame() -> None:
    assert z_of([position(0)] * 400, Choosing())[1] > 6


def test_a_token_outside_the_nucleus_is_very_surprising() -> None:
    assert least_excess([position(0)], Choosing(top_p=0.5)) < 1
    assert least_excess([position(4)], Choosing(top_p=0.5)) > 7
    assert least_excess([position(6)], Choosing(top_k=2)) > 7


def test_a_nucleus_that_ends_among_unknown_tokens_leaves_them_some_chance() -> None:
    assert least_excess([position(6)], Choosing(top_p=0.98)) < 7


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
        ({"temperature": 0.5, "top_p": 0.9, "top_k": -1, "seed": 3}, Choosing(temperature=0.5, top_p=0.9)),
        ({"presence_penalty": 0.5, "stop": ["x"], "messages": []}, Choosing(presence_penalty=0.5)),
        ({"repetition_penalty": 1.0, "logit_bias": {}, "tools": []}, Choosing()),
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
    defaults = Choosing(temperature=0.7, top_p=0.8, exact=False)
    assert choosing_of({"top_p": 1.0}, defaults) == Choosing(temperature=0.7, top_p=1.0, exact=False)


def test_log_probabilities_that_add_up_to_more_than_1_by_rounding_are_no_fault() -> None:
    sure = Replayed(0, "0", 0.0, ((0, "0", 0.0), (1, "1", -20.0), (2, "2", -9_999.0)))
    for temperature in (0.5, 1.0, 2.0):
        for found in surprise([sure] * 50, Choosing(temperature=temperature)):
            assert math.isfinite(found.excess)
            assert found.variance >= 0


@pytest.mark.parametrize(
    "choosing",
    [
        Choosing(temperature=1e-4),
        Choosing(temperature=1e-3, top_p=0.5),
        Choosing(temperature=1e300),
        Choosing(frequency_penalty=2.0),
        Choosing(temperature=1e-3, frequency_penalty=2.0, presence_penalty=2.0),
    ],
    ids=str,
)
def test_ways_to_choose_that_leave_no_weight_to_tokens_or_all_of_it_can_be_judged(choosing: Choosing) -> None:
    found = surprise([position(1)] * 1_000, choosing)
    assert all(math.isfinite(each.excess) and math.isfinite(each.variance) for each in found)


def test_a_cold_text_of_likely_tokens_is_as_surprising_as_expected() -> None:
    assert max(abs(each.excess) for each in surprise([position(0)] * 100, Choosing(temperature=1e-3))) < 0.1
    assert least_excess([position(1)] * 100, Choosing(temperature=1e-3)) > 100


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


@pytest.mark.parametrize("choosing", [Choosing(top_k=1), Choosing(min_p=1.0), Choosing(top_p=0.01)], ids=str)
def test_two_tokens_that_rounding_may_have_exchanged_at_a_cut_surprise_nobody(choosing: Choosing) -> None:
    alike = [position(1, (0.4, 0.39, 0.1, 0.05, 0.03, 0.03))] * 3
    assert surprise(alike, choosing)[0].excess > 40
    assert surprise(alike, choosing, gap=0.25)[0].excess == 0
    unknown = [Replayed(9, "9", math.log(0.395), alike[0].top)] * 3
    assert surprise(unknown, choosing, gap=0.25)[0].excess == 0
    far = [position(1)] * 3
    assert surprise(far, choosing, gap=0.25)[0].excess > 40


def test_two_tokens_that_rounding_may_have_exchanged_in_the_cold_surprise_nobody() -> None:
    cold = Choosing(temperature=0.01)
    alike = [position(1, (0.4, 0.36, 0.1, 0.05, 0.04, 0.03))] * 3
    assert least_excess(alike, cold) > 30
    assert max(each.excess for each in surprise(alike, cold, gap=0.25)) < 0.01
    assert min(each.excess for each in surprise([position(1)] * 3, cold, gap=0.25)) > 30


@pytest.mark.parametrize("name", ["presence_penalty", "frequency_penalty"])
def test_what_makes_repetitions_likely_is_not_judged(name: str) -> None:
    assert choosing_of({"model": "m", name: -0.5}, Choosing()) is None
    assert choosing_of({"model": "m", name: 0.5}, Choosing()) is not None
