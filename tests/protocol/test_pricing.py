"""Prices: nobody pays more than was set aside, and nothing overflows."""

from hypothesis import given
from hypothesis import strategies as st

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
