"""Generating: dense leaves from where the journal ends, no faster than the cap, as far ahead as the sender allows.

Any worker may do any of them; they are put together again in order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pivot.mlnode.poc.callback import Callbacks
from pivot.mlnode.poc.crew import Crew
from pivot.mlnode.poc.journal import Journal
from pivot.mlnode.poc.sender import Sender
from pivot.protocol.mlnode_api import PowInit
from pivot.protocol.sprint import MAX_INDEX, nonce_of

JOBS_PER_SECOND_UNDER_A_CAP = 8
"""A capped node works in small jobs, spread evenly."""


class Pace:
    """Says when the next leaves may be computed, so that no more than `rate` a second are.

    Time that was not used is lost: after a pause there is no burst.
    """

    def __init__(self, rate: int, now: Callable[[], float]) -> None:
        self._rate = rate
        self._now = now
        self._free_at = now()

    def reserve(self, leaves: int) -> float:
        """Take a turn for so many leaves. Returns the seconds to wait before it begins."""
        if self._rate == 0:
            return 0.0
        begin = max(self._free_at, self._now())
        self._free_at = begin + leaves / self._rate
        return begin - self._now()


class Generation:
    """One stay in the state GENERATING."""

    def __init__(self, crew: Crew, init: PowInit, callbacks: Callbacks, journal: Journal) -> None:
        self.init = init
        self.sender = Sender(init, callbacks, journal)
        self._crew = crew
        self._begin = journal.end
        self._jobs: asyncio.Queue[asyncio.Future[bytes]] = asyncio.Queue()
        self._free = asyncio.Semaphore(crew.jobs_at_once)
        self._producing = [asyncio.create_task(self._give_out()), asyncio.create_task(self._collect())]
        self._sending = asyncio.create_task(self.sender.run())
        self._sending.add_done_callback(lambda _: self._end_producing())

    @property
    def alive(self) -> bool:
        """Whether leaves are still computed and sent: not after the API node has said that it takes no more."""
        return not self._sending.done()

    def stop_producing(self) -> None:
        """Compute nothing more; what is computed is still sent."""
        self._end_producing()
        self.sender.close()

    async def flush(self, limit_s: float) -> None:
        """Stop, after giving what is computed at most `limit_s` seconds to be taken."""
        self.stop_producing()
        await asyncio.wait({self._sending}, timeout=limit_s)
        self._sending.cancel()
        await asyncio.gather(*self._producing, self._sending, return_exceptions=True)

    async def _give_out(self) -> None:
        """Have leaf after leaf computed, a few jobs ahead."""
        pace = Pace(self.init.max_rate, asyncio.get_running_loop().time)
        index = self._begin
        while index <= MAX_INDEX:
            count = min(self._job_size(), MAX_INDEX + 1 - index)
            await self.sender.room(count)
            await self._free.acquire()
            await asyncio.sleep(pace.reserve(count))
            first = nonce_of(self.init.node_id, index)
            self._jobs.put_nowait(self._crew.compute(self.init.host_address, range(first, first + count)))
            index += count

    async def _collect(self) -> None:
        while True:
            self.sender.put(await (await self._jobs.get()))
            self._free.release()

    def _job_size(self) -> int:
        size = self._crew.batch
        if not self.init.max_rate:
            return size
        return max(1, min(size, self.init.max_rate // JOBS_PER_SECOND_UNDER_A_CAP))

    def _end_producing(self) -> None:
        for task in self._producing:
            task.cancel()
        while not self._jobs.empty():
            self._jobs.get_nowait().cancel()
