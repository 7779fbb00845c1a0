"""Coins. The network has one denomination."""

from pivot.primitives.numbers import Amount

BASE_DENOM = "ngonka"
NGONKA_PER_GONKA = 10**9
MAX_AMOUNT = 2**63 - 1


class InvalidCoin(ValueError):
    """An amount that is not a whole number above 0, or too large."""


def parse_amount(text: str) -> Amount:
    """A positive whole number that fits 63 bits, as messages carry it. Raises InvalidCoin."""
    if not text.isascii() or not text.isdigit() or len(text) > len(str(MAX_AMOUNT)) or not 0 < int(text) <= MAX_AMOUNT:
        raise InvalidCoin(f"{text[:40]!r} is not an amount between 1 and {MAX_AMOUNT}")
    return Amount(int(text))
