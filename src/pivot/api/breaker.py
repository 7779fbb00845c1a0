"""A circuit breaker: whoever fails is spared for ever longer while it goes on failing; then one request tries it."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

MAX_DOUBLINGS = 32


@dataclass
class Breaker:
    """Whether something may be asked. Times are seconds of a clock that never goes back.

    It opens with a failure. One in doubt, where the request may be at fault and not who was asked, opens it only as number
    `opens_after` in a row, and if nothing went well for `trusted_s`. It is open for `first_open_s`, and twice as long each
    further time, up to `longest_open_s`. Then it is half open: one request tries, and nobody else asks until it is answered. Only a
    request that went well to its end closes it.
    """

    first_open_s: float
    longest_open_s: float
    opens_after: int = 1
    trusted_s: float = 0.0
    failures: int = 0
    """In a row."""
    openings: int = 0
    """Since something last went well."""
    open_until_s: float = -math.inf
    succeeded_s: float = -math.inf
    """When something last went well."""
    failed_s: float = -math.inf
    """When something last failed."""
    trial: bool = False
    """Whether a request is under way that finds out if it works again."""

    def is_open(self, now_s: float) -> bool:
        """Whether it is to be spared."""
        return self.openings > 0 and (self.trial or now_s < self.open_until_s)

    def begin(self) -> bool:
        """A request begins. Whether it is the one that tries."""
        is_trial = self.openings > 0 and not self.trial
        self.trial = self.trial or is_trial
        return is_trial

    def end(self, *, is_trial: bool) -> None:
        """It has ended. Without a word on success or failure it has found nothing out."""
        if is_trial:
            self.trial = False

    @contextmanager
    def asked(self) -> Iterator[None]:
        """A request is under way, from `begin` to `end`."""
        is_trial = self.begin()
        try:
            yield
        finally:
            self.end(is_trial=is_trial)

    def answering(self) -> None:
        """An answer has begun: nobody needs to wait for how it ends, but only its end closes."""
        self.trial = False

    def succeeded(self, now_s: float) -> None:
        """A request went well: it closes."""
        self.failures, self.openings, self.succeeded_s = 0, 0, now_s

    def failed(self, now_s: float, *, in_doubt: bool = False) -> bool:
        """A request failed. Whether that opens it; what fails while it is open was asked before, and says nothing new."""
        self.failures += 1
        self.failed_s = now_s
        trusted = self.failures < self.opens_after or now_s < self.succeeded_s + self.trusted_s
        if now_s < self.open_until_s or (in_doubt and trusted):
            return False
        open_s = self.first_open_s * 2 ** min(self.openings, MAX_DOUBLINGS)
        self.open_until_s = now_s + min(open_s, self.longest_open_s)
        self.openings += 1
        return True
