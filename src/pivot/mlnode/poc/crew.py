"""All workers of one sprint: one per group of devices, each with a model of its own, all at the same work.

One that is given up falls out and the others do its part; the sprint breaks when none is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from pivot.mlnode.poc.work import Work
from pivot.mlnode.poc.worker import BATCHES_IN_HAND, Worker
from pivot.protocol.mlnode_api import PowWorker
from pivot.protocol.sprint import SprintPreset

WorkersMaker = Callable[[Work, SprintPreset, bytes], Awaitable[Sequence[Worker]]]


async def one_worker(work: Work, preset: SprintPreset, seed: bytes) -> Sequence[Worker]:
    """A machine that is one group."""
    return [Worker(work, preset, seed)]


class Crew:
    """The workers of a sprint."""

    def __init__(self, preset: SprintPreset, seed: bytes, work: Work, workers: Sequence[Worker]) -> None:
        self.preset = preset
        self.seed = seed
        self.workers = workers
        self.failed = asyncio.Event()
        """Set when the last worker was given up."""
        self._work = work
        self._watching: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether any worker's model stands."""
        return any(worker.ready for worker in self.workers)

    @property
    def batch(self) -> int:
        """How many leaves a job should have to fill any worker's batch."""
        return max(worker.batch for worker in self.workers)

    @property
    def jobs_at_once(self) -> int:
        """How many such jobs keep all workers busy."""
        return BATCHES_IN_HAND * len(self.workers)

    @property
    def rate(self) -> float:
        """Leaves computed per second, lately."""
        return self._work.rate

    @property
    def restarts(self) -> int:
        """How often worker processes had to be started again."""
        return sum(worker.restarts for worker in self.workers)

    @property
    def errors(self) -> list[str]:
        """Why workers last failed."""
        return list(dict.fromkeys(worker.error for worker in self.workers if worker.error))

    def start(self) -> None:
        """Start all processes; returns at once, `ready` tells when there is a model."""
        for worker in self.workers:
            worker.start()
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """End all processes at once; what is not computed is cancelled."""
        if self._watching:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await asyncio.gather(*(worker.stop() for worker in self.workers))
        self._work.drop()

    def compute(self, host_address: str, nonces: Sequence[int]) -> asyncio.Future[bytes]:
        """As `Work.add`."""
        return self._work.add(host_address, nonces)

    def report(self) -> list[PowWorker]:
        """How each worker stands."""
        return [_report(worker) for worker in self.workers]

    async def _watch(self) -> None:
        await asyncio.gather(*(worker.failed.wait() for worker in self.workers))
        self._work.fail("; ".join(self.errors))
        self.failed.set()


def _report(worker: Worker) -> PowWorker:
    return PowWorker(
        devices=list(worker.running_on.devices if worker.running_on else worker.devices),
        backend=worker.running_on.backend if worker.running_on else None,
        batch=worker.batch,
        ready=worker.ready,
        given_up=worker.failed.is_set(),
        restarts=worker.restarts,
        error=worker.error,
    )
