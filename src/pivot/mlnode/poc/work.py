"""What is to be computed, until it is: leaves wait in the order in which they came, and workers take them from here.

A worker takes as many leaves as fit its batch, of several jobs and hosts where one job has fewer; what it could not do
it gives back, and the next that is free does it. So nothing is lost or done twice, whatever becomes of a worker.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from pivot.protocol.sprint import FINGERPRINT_BYTES

RATE_WINDOW_S = 10.0
"""Over how long the rate is measured."""
LEAST_WINDOW_S = 1.0


class WorkerFailed(Exception):
    """No worker is left: each failed several times in a row and was given up."""


@dataclass(eq=False)
class _Wanted:
    """One job."""

    host_address: str
    nonces: Sequence[int]
    answer: asyncio.Future[bytes]
    computed: bytearray
    left: int


@dataclass(frozen=True)
class Slice:
    """Consecutive leaves of one job."""

    wanted: _Wanted
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def host_address(self) -> str:
        """Whose leaves they are."""
        return self.wanted.host_address

    @property
    def nonces(self) -> tuple[int, ...]:
        """Which leaves they are."""
        return tuple(self.wanted.nonces[self.start : self.stop])


@dataclass
class Meter:
    """Leaves per second over the last seconds."""

    now: Callable[[], float]
    _begun: float = field(init=False)
    _counts: deque[tuple[float, int]] = field(init=False, default_factory=deque)

    def __post_init__(self) -> None:
        self._begun = self.now()

    def count(self, leaves: int) -> None:
        """So many were computed just now."""
        self._counts.append((self.now(), leaves))
        self._forget()

    def rate(self) -> float:
        """Leaves per second."""
        self._forget()
        window = min(RATE_WINDOW_S, max(LEAST_WINDOW_S, self.now() - self._begun))
        return sum(leaves for _, leaves in self._counts) / window

    def _forget(self) -> None:
        while self._counts and self._counts[0][0] < self.now() - RATE_WINDOW_S:
            self._counts.popleft()


class Work:
    """The jobs of one sprint's workers."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._slices: deque[Slice] = deque()
        self._meter = Meter(loop.time)
        self._error: str | None = None
        self.waiting = 0
        """Leaves that can be taken."""
        self.growth: asyncio.Future[None] = loop.create_future()
        """Done when there is more to take; then there is a new one."""

    @property
    def rate(self) -> float:
        """Leaves computed per second, lately."""
        return self._meter.rate()

    def add(self, host_address: str, nonces: Sequence[int]) -> asyncio.Future[bytes]:
        """Have a host's nonces computed.

        Answers their fingerprints, 32 bytes each, in order, or WorkerFailed. Cancelling the answer takes the job away.
        """
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        if self._error is not None:
            _fail(answer, self._error)
            return answer
        wanted = _Wanted(host_address, nonces, answer, bytearray(FINGERPRINT_BYTES * len(nonces)), len(nonces))
        self._slices.append(Slice(wanted, 0, len(nonces)))
        self.waiting += len(nonces)
        self._grow()
        return answer

    def take(self, most: int) -> list[Slice]:
        """The next leaves, at most so many; none when there is nothing to do."""
        taken: list[Slice] = []
        while most and self._slices:
            first = self._slices.popleft()
            self.waiting -= len(first)
            if first.wanted.answer.done():
                continue
            cut = min(first.start + most, first.stop)
            if cut < first.stop:
                self._slices.appendleft(Slice(first.wanted, cut, first.stop))
                self.waiting += first.stop - cut
            taken.append(Slice(first.wanted, first.start, cut))
            most -= cut - first.start
        return taken

    def give_back(self, slices: Iterable[Slice]) -> None:
        """What was taken and not done is the next to be taken."""
        returned = list(slices)
        self._slices.extendleft(reversed(returned))
        self.waiting += sum(map(len, returned))
        self._grow()

    def done(self, slices: Iterable[Slice], fingerprints: bytes) -> None:
        """The fingerprints of what was taken, in the order of the slices."""
        begin = 0
        for each in slices:
            wanted, size = each.wanted, FINGERPRINT_BYTES * len(each)
            wanted.computed[FINGERPRINT_BYTES * each.start : FINGERPRINT_BYTES * each.stop] = fingerprints[
                begin : begin + size
            ]
            begin += size
            wanted.left -= len(each)
            if not wanted.left and not wanted.answer.done():
                wanted.answer.set_result(bytes(wanted.computed))
        self._meter.count(begin // FINGERPRINT_BYTES)

    def fail(self, error: str) -> None:
        """Nobody is left who could do anything: every job fails, now and later."""
        self._error = error
        for each in self._slices:
            if not each.wanted.answer.done():
                _fail(each.wanted.answer, error)
        self._slices.clear()
        self.waiting = 0

    def drop(self) -> None:
        """Nothing is wanted any more: what waits is cancelled."""
        for each in self._slices:
            each.wanted.answer.cancel()
        self._slices.clear()
        self.waiting = 0

    def _grow(self) -> None:
        self.growth.set_result(None)
        self.growth = asyncio.get_running_loop().create_future()


def _fail(answer: asyncio.Future[bytes], error: str) -> None:
    answer.set_exception(WorkerFailed(error))
    answer.exception()  # whoever has stopped waiting for it need not hear of it
