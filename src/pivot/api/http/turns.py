"""So many requests at a time; the next ones wait in a line that is bounded in length and in time."""

import asyncio
from collections import deque

from pivot.api.http.errors import TooManyRequests, Unavailable

FULL = "as many requests as this node may carry out are under way; try again, or another of /v1/epochs/current/participants"


class Turns:
    """First come, first served. A place that falls free goes to whoever has waited longest, and to nobody in between."""

    def __init__(self, at_a_time: int, *, waiting: int, patience_s: float) -> None:
        self._left = at_a_time
        self._longest_line = waiting
        self._patience_s = patience_s
        self._line: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many stand in the line."""
        return len(self._line)

    async def __aenter__(self) -> None:
        """Take a place among those under way. Raises TooManyRequests if the line is full, Unavailable after the patience."""
        if self._left > 0:
            self._left -= 1
        else:
            await self._wait()

    async def __aexit__(self, *_: object) -> None:
        self._pass_on()

    async def _wait(self) -> None:
        if len(self._line) >= self._longest_line:
            raise TooManyRequests(FULL)
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(waiter)
        try:
            async with asyncio.timeout(self._patience_s):
                await waiter
        except BaseException as error:
            if waiter in self._line:
                self._line.remove(waiter)
            else:
                self._pass_on()  # the place came too late
            if isinstance(error, TimeoutError):
                raise Unavailable(f"this node was busy for {self._patience_s:g} s; try again, or another one") from None
            raise

    def _pass_on(self) -> None:
        while self._line:
            waiter = self._line.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._left += 1
