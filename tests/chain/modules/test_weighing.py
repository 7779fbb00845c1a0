"""From proven weight to weight: what collateral covers, and how much one host may have at most."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivot.chain.modules.members.weighing import KEPT_DIVISOR, LIMITS_OF_FEW, backed, cap
from pivot.primitives.fixed_point import ONE

QUARTER = ONE // 4
FIFTH = ONE // 5
UNIT = 42 * ONE // 10


def capped(*weights: int, limit: int = QUARTER) -> list[int]:
    most = cap(weights, limit)
    return [min(weight, most) for weight in weights]


# ---- Collateral ----


@pytest.mark.parametrize(
    ("collateral", "weight"),
    [(0, 20), (41, 29), (42, 30), (336, 100), (10**15, 100)],
)
def test_a_fifth_of_a_weight_is_free_and_the_rest_is_worth_its_collateral(collateral: int, weight: int) -> None:
    assert backed(100, collateral, FIFTH, UNIT) == weight


def test_a_unit_that_costs_nothing_is_always_covered() -> None:
    assert backed(100, 0, FIFTH, 0) == 100


def test_w14_proven_work_never_falls_to_nothing_for_want_of_collateral() -> None:
    assert backed(3, 0, FIFTH, UNIT) == backed(3, 0, 0, UNIT) == 1
    assert backed(0, 0, FIFTH, UNIT) == 0


@given(st.integers(0, 2**62), st.integers(0, 2**62), st.integers(0, ONE), st.integers(0, 10**30))
def test_more_collateral_never_counts_less_and_never_more_than_what_was_proven(
    weight: int, collateral: int, ratio: int, unit: int
) -> None:
    found = backed(weight, collateral, ratio, unit)
    assert 0 <= found <= weight
    assert found <= backed(weight, collateral + 1, ratio, unit)
    assert found <= backed(weight + 1, collateral, ratio, unit)


# ---- The cap ----


def test_the_heaviest_has_at_most_its_share() -> None:
    assert capped(1000, 10, 10, 10, 10) == [13, 10, 10, 10, 10]
    assert capped(50, 40, 30, 20, 10, 10, 10) == [40, 40, 30, 20, 10, 10, 10]
    assert capped(25, 25, 25, 25) == [25, 25, 25, 25]


def test_one_alone_and_a_limit_of_nothing_or_all_are_no_limit() -> None:
    assert capped(1000) == [1000]
    assert cap([], QUARTER) == 0
    assert capped(1000, 1, 1, 1, 1, limit=0) == [1000, 1, 1, 1, 1]
    assert capped(1000, 1, 1, 1, 1, limit=ONE) == [1000, 1, 1, 1, 1]


def test_two_and_three_have_the_published_limits() -> None:
    assert capped(1000, 10) == [10, 10]
    assert capped(1000, 10, 10) == [13, 10, 10]
    assert capped(1000, 10, 10, limit=ONE * 45 // 100) == [16, 10, 10]


def test_w15_a_dust_host_does_not_pull_four_down_to_its_own_weight() -> None:
    """The published rule clips everybody to the smallest of four: a total of 301 becomes 4."""
    found = capped(100, 100, 100, 1)
    assert found == [50, 50, 50, 1]
    assert found[0] * 3 > sum(found) * 33 // 34


@pytest.mark.parametrize("dust", range(1, 6))
def test_w15_however_many_bring_dust_the_shares_of_the_others_stay(dust: int) -> None:
    """Two hosts of dust beside three of substance did as much harm as one: with five members a cap of 25 % seems to be possible."""
    found = capped(10**6, 10**6, 10**6, *[1] * dust)
    assert min(found[:3]) * 1000 > sum(found) * 333
    assert sum(found) * 2 >= 3 * 10**6


def test_w15_published_limits_of_three_fall_to_dust_no_more_than_those_of_four() -> None:
    assert capped(10**6, 10**6, 1) == [500_000, 500_000, 1]


WEIGHTS = st.lists(st.one_of(st.integers(1, 20), st.integers(1, 2**60)), min_size=1, max_size=12)
LIMITS = st.one_of(st.just(QUARTER), st.integers(1, ONE))


def limit_of(count: int, limit: int) -> int:
    return max(limit, LIMITS_OF_FEW.get(count, 0)) if count > 1 else ONE


@given(WEIGHTS, LIMITS)
def test_the_cap_keeps_small_hosts_and_the_order_and_never_lets_the_total_collapse(
    weights: list[int], limit: int
) -> None:
    most = cap(weights, limit)
    found = [min(weight, most) for weight in weights]
    assert most >= 1
    assert all(after in (before, most) for before, after in zip(weights, found, strict=True))
    second = sorted(weights)[-2] if len(weights) > 1 else weights[0]
    assert sum(found) * KEPT_DIVISOR >= sum(min(weight, second) for weight in weights)


@given(WEIGHTS, LIMITS)
def test_nobody_has_more_than_the_limit_unless_half_would_be_lost_by_it(weights: list[int], limit: int) -> None:
    most = cap(weights, limit)
    total, allowed = sum(min(weight, most) for weight in weights), limit_of(len(weights), limit)
    if min(max(weights), most) * ONE > allowed * total:
        second = sorted(weights)[-2]
        less = sum(min(weight, most - 1) for weight in weights)
        assert less * KEPT_DIVISOR < sum(min(weight, second) for weight in weights)
    elif most < max(weights):
        more = sum(min(weight, most + 1) for weight in weights)
        assert (most + 1) * ONE > allowed * more


@given(WEIGHTS, LIMITS, st.data())
def test_more_weight_never_counts_less(weights: list[int], limit: int, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(weights) - 1))
    raised = list(weights)
    raised[place] += data.draw(st.integers(1, 2**60))
    assert min(raised[place], cap(raised, limit)) >= min(weights[place], cap(weights, limit))
