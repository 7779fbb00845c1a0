"""What a sample proves: the formulas against plain enumeration by the protocol's own rules, and what must come out."""

import itertools
from collections.abc import Sequence
from math import comb

import pytest

from benchmarks.poc_science.statistics import (
    best_inflation,
    chance_of_mean,
    expected_credit,
    refusal,
    refusal_by_one,
    refused_at,
    seen_excess,
    smallest_sample,
    wrong_share,
)
from pivot.protocol.generated.inference.inference.types_pb2 import PocVerdict, PocVote
from pivot.protocol.parameters import preset_params
from pivot.protocol.poc import Electorate, credit
from pivot.protocol.sprint import PROBABILITY_UNIT, SPRINT_PRESETS, verdict

PRESET = SPRINT_PRESETS["mainnet"]
LEAVES = preset_params("mainnet").poc_params.sample_size
ONE_IN_A_MILLION = 1e-6
COUNT = 10**9


def enumerated(checkers: int, checked: int, wrong: float) -> tuple[float, float]:
    """Chance of a refusal and mean credited share, over every number of mismatches that the checkers can see."""
    electorate = Electorate(checkers, checkers, checkers)
    refused = credited = 0.0
    for seen in itertools.product(range(checked + 1), repeat=checkers):
        chance = 1.0
        for k in seen:
            chance *= comb(checked, k) * wrong**k * (1 - wrong) ** (checked - k)
        given = credit(COUNT, 0, electorate, [(1, vote(checked, k)) for k in seen])
        refused += chance * (given == 0)
        credited += chance * given / COUNT
    return refused, credited


def vote(checked: int, mismatched: int) -> PocVote:
    valid = verdict(PRESET, checked, mismatched, 0)
    return PocVote(
        participant="host",
        checked=checked,
        mismatched=mismatched,
        verdict=PocVerdict.POC_VALID if valid else PocVerdict.POC_INVALID,
    )


@pytest.mark.parametrize("checkers", [1, 2, 3, 4])
@pytest.mark.parametrize("inflation", [0.02, 0.2])
def test_refusal_and_credit_are_those_of_the_protocols_rules(checkers: int, inflation: float) -> None:
    checked = 6
    refused, credited = enumerated(checkers, checked, wrong_share(inflation))
    assert refusal(PRESET, checked, checkers, wrong_share(inflation)) == pytest.approx(refused)
    assert expected_credit(PRESET, checked, checkers, inflation) == pytest.approx((1 + inflation) * credited)


@pytest.mark.parametrize("checkers", [1, 2, 3, 16])
def test_an_honest_host_is_refused_less_than_once_in_a_million_epochs(checkers: int) -> None:
    honest = PRESET.mismatch_probability / PROBABILITY_UNIT
    for checked in range(1, LEAVES + 1):
        assert refusal(PRESET, checked, checkers, honest) < ONE_IN_A_MILLION


def test_a_count_inflated_by_five_per_cent_is_caught_by_three_checkers() -> None:
    assert refused_at(PRESET, LEAVES) == 2
    assert refusal(PRESET, LEAVES, 3, wrong_share(0.05)) > 0.99
    assert smallest_sample(PRESET, 3, 0.05, 0.99) <= LEAVES


@pytest.mark.parametrize("checkers", [3, 5, 16])
def test_m_item28_padding_is_not_free(checkers: int) -> None:
    """On the existing network two per cent are flagged by a third of the validators, and a majority has to."""
    assert expected_credit(PRESET, LEAVES, checkers, 0.02) < 0.5
    inflation, earned = best_inflation(PRESET, LEAVES, checkers)
    assert inflation < 0.006
    assert earned < 1.0045


def test_m_item28_a_single_checker_leaves_nothing_to_gain() -> None:
    assert best_inflation(PRESET, LEAVES, 1)[1] < 1


def test_more_checkers_catch_more() -> None:
    chances = [refusal(PRESET, LEAVES, n, wrong_share(0.05)) for n in (1, 3, 5, 9)]
    assert chances == sorted(chances)
    assert chances[0] == refusal_by_one(PRESET, LEAVES, wrong_share(0.05))


def binomial_tail(at_least: int, trials: int) -> float:
    return sum(comb(trials, k) for k in range(at_least, trials + 1)) / 2**trials


@pytest.mark.parametrize("heads", [55, 70, 90])
def test_the_bound_on_a_mean_is_above_the_chance_and_near(heads: int) -> None:
    chance = binomial_tail(heads, 100)
    bound = chance_of_mean([0.0, 1.0], heads / 100, 100)
    assert chance <= bound < 20 * chance


@pytest.mark.parametrize(
    ("values", "limit", "chance"), [([1.0, 2.0], 3.0, 0.0), ([3.0, 4.0], 2.0, 1.0), ([-3.0, -4.0], -2.0, 0.0)]
)
def test_a_mean_that_cannot_be_has_no_chance(values: Sequence[float], limit: float, chance: float) -> None:
    assert chance_of_mean(values, limit, 10) == pytest.approx(chance)


def test_more_leaves_see_a_smaller_excess() -> None:
    squares = [float(k * k) for k in range(4, 14)]
    seen = [seen_excess(squares, leaves, 0.99) for leaves in (5, 20, 100)]
    assert seen == sorted(seen, reverse=True)
    assert 1 < seen[-1] < 1.3
    assert seen_excess([25.0] * 9, 1, 0.99) == pytest.approx(1, abs=0.01)  # without any spread the least excess is seen
