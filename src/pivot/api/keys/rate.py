"""So many requests a minute, evenly refilled: whoever was quiet for a minute may ask a minute's worth at once."""

MINUTE_SECONDS = 60.0


class Rate:
    """What is left of a limit. Time is passed in, in seconds of a clock that never goes back."""

    def __init__(self, per_minute: int, now_s: float) -> None:
        self.per_minute = per_minute
        self._left = float(per_minute)
        self._at_s = now_s

    def take(self, now_s: float) -> float:
        """Take one. Returns 0, or if none is left, after how many seconds there will be one."""
        wait_s = self.wait_s(now_s)
        if wait_s == 0:
            self._left -= 1
        return wait_s

    def wait_s(self, now_s: float) -> float:
        """After how many seconds one is left; 0: now."""
        self._left = min(self.per_minute, self._left + (now_s - self._at_s) * self.per_minute / MINUTE_SECONDS)
        self._at_s = now_s
        return 0.0 if self._left >= 1 else (1 - self._left) * MINUTE_SECONDS / self.per_minute
