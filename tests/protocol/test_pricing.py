"""Prices: nobody pays more than was set aside, and nothing overflows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivot.primitives.fixed_point import ONE
from pivot.primitives.numbers import MAX_INT64
from pivot.protocol import pricing

tokens = st.integers(0, pricing.MAX_TOKENS_PER_REQUEST)
prices = st.integers(1, pricing.MAX_PRICE)


def test_an_escrow_covers_prompt_and_answer_at_the_locked_price() -> None:
    assert pricing.escrow(prompt_tokens=120, max_tokens=30, price=7) == 1050


def test_a_request_costs_the_tokens_that_were_used() -> None:
    assert pricing.cost(prompt_tokens=20, completion_tokens=5, price=7, escrowed=1050) == 175


def test_the_escrow_is_a_hard_cap_on_the_cost() -> None:
    assert pricing.cost(prompt_tokens=1000, completion_tokens=1000, price=7, escrowed=1050) == 1050


@given(tokens, tokens, prices)
def test_w6_no_escrow_within_the_limits_overflows_63_bits(prompt: int, most: int, price: int) -> None:
    assert 0 <= pricing.escrow(prompt, most, price) <= MAX_INT64


def test_the_largest_request_at_the_highest_price_just_fits() -> None:
    most = pricing.MAX_TOKENS_PER_REQUEST
    assert (
        pricing.escrow(most, most, pricing.MAX_PRICE) <= MAX_INT64 < pricing.escrow(most, most, pricing.MAX_PRICE + 1)
    )


def test_the_developer_pays_before_the_gateway_account() -> None:
    assert pricing.refunds(escrowed=100, gateway_paid=40, spent=50) == (10, 40)
    assert pricing.refunds(escrowed=100, gateway_paid=40, spent=60) == (0, 40)
    assert pricing.refunds(escrowed=100, gateway_paid=40, spent=75) == (0, 25)
    assert pricing.refunds(escrowed=100, gateway_paid=100, spent=1) == (0, 99)


@given(st.data())
def test_refunds_and_cost_add_up_and_nobody_gets_back_more_than_it_gave(data: st.DataObject) -> None:
    escrowed = data.draw(st.integers(0, MAX_INT64))
    gateway_paid = data.draw(st.integers(0, escrowed))
    spent = data.draw(st.integers(0, escrowed))
    developer, gateway = pricing.refunds(escrowed, gateway_paid, spent)
    assert developer + gateway + spent == escrowed
    assert 0 <= developer <= escrowed - gateway_paid
    assert 0 <= gateway <= gateway_paid


# ---- Prices that follow their use ----

PUBLISHED = pricing.Zone(lower=4 * 10**17, upper=6 * 10**17, elasticity=5 * 10**16, least=1)


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        (0, 98),  # the published step: 2 % at most
        (2 * 10**17, 99),
        (4 * 10**17, 100),
        (5 * 10**17, 100),
        (6 * 10**17, 100),
        (8 * 10**17, 101),
        (10**18, 102),
        (50 * 10**18, 102),
    ],
)
def test_a_price_moves_by_the_published_steps(used: int, expected: int) -> None:
    assert pricing.next_price(100 * ONE, used, PUBLISHED) == expected * ONE


def test_w17_a_price_of_one_coin_rises_under_load() -> None:
    """The published price was cut to whole coins in every step, so 2 % of less than 50 was nothing, for ever."""
    price = ONE
    for _ in range(36):
        price = pricing.next_price(price, ONE, PUBLISHED)
    assert price // ONE == 2


@given(st.integers(1, pricing.MAX_PRICE), st.integers(6 * 10**17 + 20, 10**20))
def test_w17_no_price_sticks_above_the_zone(price: int, used: int) -> None:
    later = pricing.next_price(price * ONE, used, PUBLISHED)
    assert later > price * ONE or price == pricing.MAX_PRICE


@given(st.integers(1, pricing.MAX_PRICE), st.integers(0, 4 * 10**17 - 20))
def test_d18_a_price_falls_below_the_zone_and_never_below_its_least(price: int, used: int) -> None:
    later = pricing.next_price(price * ONE, used, PUBLISHED)
    assert ONE <= later < price * ONE or later == price * ONE == ONE


@given(st.lists(st.integers(0, 3 * 10**18), max_size=300))
def test_a_price_stays_within_its_bounds_whatever_happens(history: list[int]) -> None:
    price = 100 * ONE
    for used in history:
        price = pricing.next_price(price, used, PUBLISHED)
        assert ONE <= price <= pricing.MAX_PRICE * ONE


def test_a_price_ends_at_the_highest_that_an_escrow_can_hold() -> None:
    assert pricing.next_price(pricing.MAX_PRICE * ONE, 10**19, PUBLISHED) == pricing.MAX_PRICE * ONE


def test_utilisation_is_tokens_over_capacity_in_the_window() -> None:
    assert pricing.utilisation(tokens=30_000, capacity=1_000, window_ns=60 * 10**9) == ONE // 2
    assert pricing.utilisation(tokens=0, capacity=1, window_ns=1) == 0
