"""Decimal numbers as they travel, and the fixed-point integers of 18 decimals that they stand for. Nothing is rounded.

Our own parameters write value × 10^exponent (`Decimal`), those of the Cosmos SDK a text (`0.334000000000000000`).
"""

import re

from pivot.primitives.fixed_point import ONE
from pivot.protocol.generated.inference.inference.params_pb2 import Decimal

DIGITS = 18
"""Decimals of a fixed-point number."""
MAX_EXPONENT = 18
"""A decimal has an exponent between this and its negative double, which every 64-bit value needs to be written in full."""

_TEXT = re.compile(r"(-?)([0-9]{1,40})(?:\.([0-9]{1,18}))?", re.ASCII)


class InvalidDecimal(ValueError):
    """A number with more digits than a fixed-point number has, or none at all."""


def fixed_point(number: Decimal) -> int:
    """The number with 18 decimals in an integer. Raises InvalidDecimal if that is not exact, or the exponent is out of bounds."""
    if not -2 * MAX_EXPONENT <= number.exponent <= MAX_EXPONENT:
        raise InvalidDecimal(f"exponent {number.exponent} is not between {-2 * MAX_EXPONENT} and {MAX_EXPONENT}")
    places: int = number.exponent + DIGITS
    value: int = number.value
    if places >= 0:
        return value * int(10**places)
    whole, lost = divmod(value, int(10**-places))
    if lost:
        raise InvalidDecimal(f"{value} × 10^{number.exponent} has more than {DIGITS} decimals")
    return whole


def parse(text: str) -> int:
    """The number in an SDK's text, with 18 decimals in an integer. Raises InvalidDecimal."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise InvalidDecimal(f"{text[:60]!r} is no decimal number of {DIGITS} decimals at most")
    sign, whole, fraction = found.groups(default="")
    return int(sign + whole + fraction.ljust(DIGITS, "0"))


def text(value: int) -> str:
    """A fixed-point number in the shortest decimal notation (`0.05`)."""
    whole, fraction = divmod(abs(value), ONE)
    return f"{'-' * (value < 0)}{whole}.{fraction:018}".rstrip("0").rstrip(".")


def sdk_text(value: int) -> str:
    """A fixed-point number as the Cosmos SDK writes it, all 18 decimals (`0.050000000000000000`)."""
    whole, fraction = divmod(abs(value), ONE)
    return f"{'-' * (value < 0)}{whole}.{fraction:018}"
