from __future__ import annotations

from collections.abc import Sequence

import pytest

from pivot.mlnode.poc.crew import Crew, one_worker
from pivot.mlnode.poc.work import Work, WorkerFailed
from pivot.mlnode.poc.worker import BATCHES_IN_HAND, Worker
from pivot.protocol.sprint import SPRINT_PRESETS

PRESET = SPRINT_PRESETS["devnet"]
SEED = bytes(32)


class Failing(Worker):
    """Has no process; is given up on demand."""

    def start(self) -> None:
        pass

    def give_up(self, reason: str) -> None:
        self.error = reason
        self.failed.set()


def failing(*batches: int) -> tuple[Crew, Sequence[Failing]]:
    work = Work()
    made = [Failing(work, PRESET, SEED, devices=[f"cuda:{i}"]) for i in range(len(batches))]
    for worker, batch in zip(made, batches, strict=True):
        worker._most = batch
    return Crew(PRESET, SEED, work, made), made


async def test_it_breaks_when_the_last_worker_is_given_up() -> None:
    crew, (first, second) = failing(8, 8)
    crew.start()
    answer = crew.compute("gonka1host", [1, 2])
    first.give_up("GPU 0 is lost")
    assert not crew.failed.is_set()
    second.give_up("GPU 1 is lost")
    await crew.failed.wait()
    for each in (answer, crew.compute("gonka1host", [3])):
        with pytest.raises(WorkerFailed, match="GPU 0 is lost; GPU 1 is lost"):
            await each
    await crew.stop()


async def test_jobs_fill_the_largest_batch() -> None:
    crew, _ = failing(8, 24)
    assert (crew.batch, crew.jobs_at_once, crew.ready, crew.restarts) == (24, 2 * BATCHES_IN_HAND, False, 0)


async def test_each_worker_is_told_of() -> None:
    crew, (_, second) = failing(8, 24)
    second.give_up("GPU 1 is lost")
    second.restarts = 4
    assert [worker.model_dump(exclude_none=True) for worker in crew.report()] == [
        {"devices": ["cuda:0"], "batch": 8, "ready": False, "given_up": False, "restarts": 0},
        {
            "devices": ["cuda:1"],
            "batch": 24,
            "ready": False,
            "given_up": True,
            "restarts": 4,
            "error": "GPU 1 is lost",
        },
    ]


async def test_a_machine_without_devices_has_one_worker() -> None:
    workers = await one_worker(Work(), PRESET, SEED)
    assert [worker.devices for worker in workers] == [()]


async def test_stopping_cancels_what_is_not_computed() -> None:
    crew, _ = failing(8)
    answer = crew.compute("gonka1host", [1])
    await crew.stop()
    assert answer.cancelled()
