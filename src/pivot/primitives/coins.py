"""Coins. The network has one denomination; other denominations on input are refused with its name."""

import re
from dataclasses import dataclass

from pivot.primitives.numbers import Amount

BASE_DENOM = "ngonka"
DISPLAY_DENOM = "gonka"
NGONKA_PER_GONKA = 10**9
MAX_AMOUNT = 2**63 - 1
_COIN = re.compile(r"([0-9]{1,19})([a-z][a-z0-9/:._-]{2,127})")


class InvalidCoin(ValueError):
    """A coin that the network does not have, or an amount that is not a whole number above 0."""


@dataclass(frozen=True)
class Coin:
    """An amount of one denomination."""

    amount: Amount
    denom: str = BASE_DENOM

    def __str__(self) -> str:
        return f"{self.amount}{self.denom}"


def parse_coin(text: str) -> Coin:
    """`12ngonka` as a coin. Raises InvalidCoin."""
    match = _COIN.fullmatch(text.strip())
    if match is None:
        raise InvalidCoin(f"{text!r} is not a coin like 1000{BASE_DENOM}")
    return Coin(parse_amount(match[1]), match[2])


def parse_amount(text: str) -> Amount:
    """A positive whole number that fits 63 bits, as messages carry it. Raises InvalidCoin."""
    if not text.isascii() or not text.isdigit() or len(text) > len(str(MAX_AMOUNT)) or not 0 < int(text) <= MAX_AMOUNT:
        raise InvalidCoin(f"{text[:40]!r} is not an amount between 1 and {MAX_AMOUNT}")
    return Amount(int(text))
