"""Generating: dense leaves from a first index on, no faster than the cap, as far ahead as the sender allows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pivot.mlnode.poc.batches import batch_size
from pivot.mlnode.poc.sender import Sender
from pivot.mlnode.poc.worker import Worker
from pivot.protocol.mlnode_api import PowInit
from pivot.protocol.sprint import MAX_INDEX, nonce_of

JOBS_IN_FLIGHT = 2
"""So that the worker never waits for the node."""
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

    def __init__(self, worker: Worker, init: PowInit, sender: Sender) -> None:
        self.init = init
        self.sender = sender
        self._worker = worker
        self._producing = asyncio.create_task(self._produce())
        self._sending = asyncio.create_task(sender.run())
        self._sending.add_done_callback(lambda _: self._producing.cancel())

    def stop_producing(self) -> None:
        """Compute nothing more; what is computed is still sent."""
        self._producing.cancel()
        self.sender.close()

    async def flush(self, limit_s: float) -> None:
        """Stop, after giving what is computed at most `limit_s` seconds to be taken."""
        self.stop_producing()
        await asyncio.wait({self._sending}, timeout=limit_s)
        self._sending.cancel()
        await asyncio.gather(self._producing, self._sending, return_exceptions=True)

    async def _produce(self) -> None:
        pace = Pace(self.init.max_rate, asyncio.get_running_loop().time)
        size = batch_size(self._worker.preset)
        if self.init.max_rate:
            size = max(1, min(size, self.init.max_rate // JOBS_PER_SECOND_UNDER_A_CAP))
        index = self.init.first_index
        jobs: list[asyncio.Task[bytes]] = []
        try:
            while index <= MAX_INDEX or jobs:
                count = min(size, MAX_INDEX + 1 - index)
                if count:
                    await self.sender.room(count * (len(jobs) + 1))
                    await asyncio.sleep(pace.reserve(count))
                    jobs.append(asyncio.create_task(self._compute(index, count)))
                    index += count
                if len(jobs) == JOBS_IN_FLIGHT or not count:
                    self.sender.put(await jobs[0])
                    del jobs[0]
        finally:
            for job in jobs:
                job.cancel()

    async def _compute(self, index: int, count: int) -> bytes:
        first = nonce_of(self.init.node_id, index)
        return await self._worker.compute(self.init.host_address, range(first, first + count))
