"""What wagers make over many answers of one host: cheating too slight for any single answer adds up (docs/protocol/checking.md, 7).

Every wager begins anew before each answer, beside all that began before it, so a host that answers honestly for long earns no credit
for later. For an honest host the sum of what they have rises by 1 with every answer and otherwise only by luck: it takes HELD answers
on average until it is above HELD (Shiryaev and Roberts).
"""

import math
from collections import OrderedDict
from collections.abc import Sequence

from pivot.api.validation.wagers import shared

HELD = math.log(1e6)
"""An honest host is suspected once in so many of its answers: e to this power."""
MOST = HELD + 5.0
"""No purse has more, so that a host that has mended its ways is believed again soon."""
MAX_PURSES = 10_000
"""Hosts and models of which purses are kept; the one longest without an answer goes first."""


class Purses:
    """The purses of this checker, by host and model. They are not kept over a restart: it only makes the checker forgetful."""

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[str, str], list[float]] = OrderedDict()

    def add(self, host: str, model: str, made: Sequence[float]) -> None:
        """Take what the wagers made of another answer. Only answers that nobody could choose for this belong here: duties."""
        before = self._made.pop((host, model), [-math.inf] * len(made))
        after = [min(_log1p_exp(had) + each, MOST) for had, each in zip(before, made, strict=True)]
        self._made[host, model] = after
        if len(self._made) > MAX_PURSES:
            self._made.popitem(last=False)

    def suspicion(self, host: str, model: str) -> float:
        """What all wagers on a host's answers have together, as a logarithm; above HELD it has not chosen tokens as it was asked."""
        made = self._made.get((host, model))
        return -math.inf if made is None else shared(made)


def _log1p_exp(value: float) -> float:
    """The logarithm of 1 + e**value."""
    return max(value, 0.0) + math.log1p(math.exp(-abs(value)))
