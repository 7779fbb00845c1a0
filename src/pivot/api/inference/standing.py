"""How hosts have done lately, as this transfer agent saw it: who is quick, who has room, who fails.

Of the hosts that the draw allows, those from which an answer is expected soonest are asked first. Hosts that are about as quick as
each other keep the order of the draw, so that the work of a network of like hosts stays as evenly spread as the draw spreads it.
A host that fails is asked only after all others, for ever longer while it goes on failing; then one request tries it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pivot.api.breaker import Breaker

FIRST_OPEN_SECONDS = 10.0
"""So long a host that has failed is asked after the others; twice as long after each further failure in a row."""
LONGEST_OPEN_SECONDS = 300.0
REFUSALS_TO_OPEN = 3
"""In a row. A single request may be at fault itself."""
TRUSTED_SECONDS = 10.0
"""Whoever has answered so lately works, whatever it refuses."""
BUSY_SECONDS = 2.0
"""A host that had no free node is asked after those that may have one for this long."""
NEWEST_SHARE = 0.3
"""Weight of the newest measurement in a host's latency."""
HALF_LIFE_SECONDS = 30.0
"""A latency that nobody measures again counts half after this long, so that a host that was slow once is tried again."""
ALIKE_FACTOR = 2.0
ALIKE_SECONDS = 0.05
"""Hosts are as quick as the quickest up to so many times its seconds, and so many more."""
MAX_KNOWN_HOSTS = 4_096


@dataclass
class Latency:
    """Seconds to the first token of a stream. A whole answer's time tells of its length and not of its host: it is not measured."""

    seconds: float
    measured_s: float

    def at(self, now_s: float) -> float:
        """What it still says at a time."""
        return float(self.seconds * 0.5 ** ((now_s - self.measured_s) / HALF_LIFE_SECONDS))


def _breaker() -> Breaker:
    return Breaker(FIRST_OPEN_SECONDS, LONGEST_OPEN_SECONDS, opens_after=REFUSALS_TO_OPEN, trusted_s=TRUSTED_SECONDS)


@dataclass
class Standing:
    """One host."""

    under_way: int = 0
    """Requests of this transfer agent."""
    latency: Latency | None = None
    breaker: Breaker = field(default_factory=_breaker)
    busy_until_s: float = 0.0

    def expected_s(self, now_s: float) -> float:
        """Seconds until the first token of one more answer; 0 for a host that was never measured."""
        return self.latency.at(now_s) * (1 + self.under_way) if self.latency else 0.0


class Standings:
    """All hosts that were asked lately."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._hosts: dict[str, Standing] = {}

    def in_order(self, drawn: list[str]) -> list[tuple[int, str]]:
        """Attempt and address of the drawn hosts, the best first."""
        now_s = self._monotonic_s()
        hosts = [self._hosts.get(address) or Standing() for address in drawn]
        expected = [host.expected_s(now_s) for host in hosts]
        held_back = [(host.breaker.is_open(now_s), now_s < host.busy_until_s) for host in hosts]
        best = min((seconds for seconds, held in zip(expected, held_back, strict=True) if not any(held)), default=0.0)
        alike = ALIKE_FACTOR * best + ALIKE_SECONDS

        def rank(attempt: int) -> tuple[tuple[bool, bool], float]:
            return held_back[attempt], expected[attempt] if expected[attempt] > alike else 0.0

        return [(attempt, drawn[attempt]) for attempt in sorted(range(len(drawn)), key=rank)]

    @contextmanager
    def asked(self, address: str) -> Iterator[None]:
        """A request to a host is under way."""
        host = self._known(address)
        host.under_way += 1
        try:
            with host.breaker.asked():
                yield
        finally:
            host.under_way -= 1

    def begun(self, address: str, first_token_s: float | None = None) -> None:
        """An answer has begun, a stream with its first token after so many seconds."""
        host, now_s = self._known(address), self._monotonic_s()
        host.breaker.answering()
        host.busy_until_s = 0.0
        if first_token_s is None:
            return
        known = host.latency
        mixed = first_token_s if known is None else NEWEST_SHARE * first_token_s + (1 - NEWEST_SHARE) * known.at(now_s)
        host.latency = Latency(mixed, now_s)

    def answered(self, address: str) -> None:
        """A whole answer has come."""
        self._known(address).breaker.succeeded(self._monotonic_s())

    def was_busy(self, address: str) -> None:
        """A host had no free node in the time that it was given."""
        self._known(address).busy_until_s = self._monotonic_s() + BUSY_SECONDS

    def failed(self, address: str, *, refused: bool = False) -> None:
        """A host could not be reached, fell silent, broke its answer off, or has refused.

        Refusals count when there are several in a row and nothing else: nobody makes other hosts look broken by asking what they
        must refuse.
        """
        self._known(address).breaker.failed(self._monotonic_s(), in_doubt=refused)

    def _known(self, address: str) -> Standing:
        host = self._hosts.setdefault(address, Standing())
        if len(self._hosts) > MAX_KNOWN_HOSTS:
            self._hosts = {known: each for known, each in self._hosts.items() if each.under_way or each is host}
        return host
