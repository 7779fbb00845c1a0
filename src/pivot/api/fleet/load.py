"""What one inference port carries: the requests that it answers now, and whether it answers them at all.

A node may be seen healthy and fail whatever it is asked. Its requests tell, so each machine has a circuit breaker.
"""

from dataclasses import dataclass, field

from pivot.api.breaker import Breaker

FAILURES_TO_OPEN = 3
"""In a row. A single request may be at fault itself."""
TRUSTED_S = 10.0
"""Whoever has answered something so lately works: nobody takes a busy node away from others by asking what it fails at."""
FIRST_OPEN_S = 5.0
LONGEST_OPEN_S = 60.0


def _breaker() -> Breaker:
    return Breaker(FIRST_OPEN_S, LONGEST_OPEN_S, opens_after=FAILURES_TO_OPEN, trusted_s=TRUSTED_S)


@dataclass(eq=False)
class Load:
    """Of one inference port, whatever its host declares anew about the node meanwhile."""

    leases: int = 0
    """Requests under way."""
    breaker: Breaker = field(default_factory=_breaker)
    last_failure: str = ""
    """What the last failed request found."""

    @property
    def failing(self) -> bool:
        """Whether its requests fail, so that it is lent to nobody, or tried with one request at a time."""
        return self.breaker.openings > 0
