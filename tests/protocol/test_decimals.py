"""Decimal numbers are taken exactly or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivot.primitives.fixed_point import ONE
from pivot.protocol.decimals import InvalidDecimal, fixed_point, parse, sdk_text, text
from pivot.protocol.generated.inference.inference.params_pb2 import Decimal


@pytest.mark.parametrize(
    ("value", "exponent", "expected"),
    [
        (5, -2, 5 * 10**16),
        (42, -1, 42 * 10**17),
        (1, 0, ONE),
        (-475, -6, -475 * 10**12),
        (1, -18, 1),
        (1000, -21, 1),
        (3, 18, 3 * 10**36),
        (0, -36, 0),
    ],
)
def test_a_decimal_is_value_times_a_power_of_ten(value: int, exponent: int, expected: int) -> None:
    assert fixed_point(Decimal(value=value, exponent=exponent)) == expected


@pytest.mark.parametrize(("value", "exponent"), [(1, -19), (1001, -21), (-1, -36)])
def test_more_than_18_decimals_are_refused(value: int, exponent: int) -> None:
    with pytest.raises(InvalidDecimal, match="more than 18 decimals"):
        fixed_point(Decimal(value=value, exponent=exponent))


@pytest.mark.parametrize("exponent", [-37, 19, 2**31 - 1, -(2**31)])
def test_an_exponent_that_would_fill_the_memory_is_refused(exponent: int) -> None:
    with pytest.raises(InvalidDecimal, match=f"exponent {exponent}"):
        fixed_point(Decimal(value=0, exponent=exponent))


@pytest.mark.parametrize(
    ("written", "value"), [("0.334000000000000000", 334 * 10**15), ("1", ONE), ("-0.5", -ONE // 2)]
)
def test_a_text_is_read_exactly(written: str, value: int) -> None:
    assert parse(written) == value


@pytest.mark.parametrize("written", ["", ".5", "1.", "1e3", "0.1234567890123456789", "٣", "+1", "1\n", "9" * 41, "NaN"])
def test_what_is_no_decimal_is_refused(written: str) -> None:
    with pytest.raises(InvalidDecimal):
        parse(written)


def test_a_number_is_shown_short_and_as_the_sdk_does() -> None:
    assert [text(value) for value in (0, ONE, 5 * 10**16, -ONE // 4, 10 * ONE)] == ["0", "1", "0.05", "-0.25", "10"]
    assert sdk_text(-ONE // 4) == "-0.250000000000000000"


@given(st.integers(1 - 10**58, 10**58 - 1))
def test_what_is_shown_is_read_as_the_same(value: int) -> None:
    assert parse(text(value)) == parse(sdk_text(value)) == value
