"""The integer exponential and logarithm against the library of decimals."""

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivot.primitives import fixed_point


@given(st.integers(min_value=-40 * 10**18, max_value=40 * 10**18))
def test_exp_is_within_one_last_place_of_the_true_value_below_one_and_relative_above(x: int) -> None:
    with localcontext() as context:
        context.prec = 60
        true = int((Decimal(x) / 10**18).exp() * 10**18)
    found = fixed_point.exp(x)
    assert abs(found - true) <= 1 + true // 10**27


def test_exp_has_its_published_vectors() -> None:
    assert fixed_point.exp(0) == 10**18
    assert fixed_point.exp(10**18) == 2718281828459045235
    assert fixed_point.exp(-475 * 10**12) == 999525112794640141


def test_exp_far_out_is_refused() -> None:
    with pytest.raises(ValueError, match="outside"):
        fixed_point.exp(41 * 10**18)


@given(st.integers(min_value=1, max_value=10**40))
def test_ln_is_within_two_last_places_of_the_true_value(x: int) -> None:
    with localcontext() as context:
        context.prec = 80
        true = int(((Decimal(x) / 10**18).ln() * 10**18).to_integral_value("ROUND_FLOOR"))
    assert abs(fixed_point.ln(x) - true) <= 2


def test_ln_has_its_vectors() -> None:
    assert fixed_point.ln(10**18) == 0
    assert fixed_point.ln(2 * 10**18) == 693147180559945309
    assert fixed_point.ln(5 * 10**16) == -2995732273553990994


def test_ln_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="does not exist"):
        fixed_point.ln(0)
