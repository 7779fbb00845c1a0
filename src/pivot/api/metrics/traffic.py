"""What passes the public port, in numbers. They are counted on the path of every request, so nothing here looks anything up twice."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

ADDED_LATENCY_BOUNDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)
FIRST_TOKEN_BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the buckets, in seconds."""


class Distribution:
    """How many values lay below each bound."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def buckets(self) -> list[tuple[str, int]]:
        """Each bound, and how many values are not above it; the last one is without a bound."""
        found, below = [], 0
        for bound, count in zip([*map(str, self._bounds), "+Inf"], self._counts, strict=True):
            below += count
            found.append((bound, below))
        return found


class Traffic:
    """Counts since the process began."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, int]] = Counter()
        """By method, route and status."""
        self.under_way = 0
        self.added_latency = Distribution(ADDED_LATENCY_BOUNDS)
        self.first_token = Distribution(FIRST_TOKEN_BOUNDS)
