"""What each of many askers takes of something that all share: requests at a time, and a minute."""

from collections.abc import Iterator
from contextlib import contextmanager

from pivot.api.keys.rate import Rate


class Share:
    """What one asker has taken."""

    def __init__(self) -> None:
        self.under_way = 0
        self._rate: Rate | None = None

    def take(self, per_minute: int, now_s: float) -> float:
        """Take one of so many requests a minute. Returns 0, or if none is left, after how many seconds there will be one."""
        return self._of(per_minute, now_s).take(now_s)

    def wait_s(self, per_minute: int, now_s: float) -> float:
        """After how many seconds one of so many a minute is left; 0: now."""
        return self._of(per_minute, now_s).wait_s(now_s)

    @contextmanager
    def place(self) -> Iterator[None]:
        """One request is under way."""
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1

    def _of(self, per_minute: int, now_s: float) -> Rate:
        if self._rate is None or self._rate.per_minute != per_minute:
            self._rate = Rate(per_minute, now_s)
        return self._rate


class Shares:
    """Of as many askers as are remembered; who has been away longest is forgotten first, and nobody who has something under way."""

    def __init__(self, remembered: int) -> None:
        self._remembered = remembered
        self._shares: dict[str, Share] = {}

    def __len__(self) -> int:
        return len(self._shares)

    def of(self, asker: str) -> Share:
        """The asker's, who is now the one that has asked last."""
        share = self._shares.pop(asker, None) or Share()
        self._shares[asker] = share
        if len(self._shares) > self._remembered:
            idle = (each for each, share in self._shares.items() if not share.under_way)
            del self._shares[next(idle)]
        return share
