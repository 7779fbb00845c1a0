from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from pivot.mlnode.engines.embedded.batch import Batch, Sequence
from pivot.mlnode.engines.embedded.sampling import Sampling
from pivot.mlnode.engines.embedded.scheduler import Overloaded, Scheduler
from pivot.mlnode.engines.embedded.served import ServedModel
from tests.mlnode.fakes import until

MAX_WAITING = 6


@pytest.fixture
async def batch(served: ServedModel) -> Batch:
    return Batch(served.decoder, 2)


@pytest.fixture
async def scheduler(batch: Batch) -> AsyncIterator[Scheduler]:
    scheduler = Scheduler(batch, MAX_WAITING)
    running = asyncio.create_task(scheduler.run())
    yield scheduler
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def sequence(max_tokens: int = 8) -> Sequence:
    return Sequence([1, 2, 3], max_tokens, Sampling(temperature=0))


async def collect(scheduler: Scheduler, *sequences: Sequence) -> list[int]:
    return [place async for place, _ in scheduler.generate(sequences)]


async def test_every_step_reaches_its_caller(scheduler: Scheduler) -> None:
    callers = [(sequence(5), sequence(9)), (sequence(3),), (sequence(7),)]
    places = await asyncio.gather(*(collect(scheduler, *sequences) for sequences in callers))
    assert [sorted(each) for each in places] == [[0] * 5 + [1] * 9, [0] * 3, [0] * 7]


async def test_a_caller_that_goes_away_frees_its_slots(scheduler: Scheduler, batch: Batch) -> None:
    gone = asyncio.create_task(collect(scheduler, endless := sequence(90), sequence(90)))
    await until(lambda: endless.tokens)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    assert await collect(scheduler, sequence(4)) == [0] * 4
    await until(lambda: batch.idle)
    assert len(endless.tokens) < 90


async def test_a_caller_may_end_one_sequence_and_keep_the_others(scheduler: Scheduler) -> None:
    first, second = sequence(90), sequence(10)
    places = []
    async for place, _ in scheduler.generate([first, second]):
        places.append(place)
        first.cancelled = True
    assert places.count(1) == 10
    assert places.count(0) <= 1


async def test_more_than_may_wait_are_refused_and_nothing_is_lost(scheduler: Scheduler) -> None:
    busy = [asyncio.create_task(collect(scheduler, sequence(30))) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match=f"more than {MAX_WAITING} sequences wait"):
        await collect(scheduler, sequence())
    assert await asyncio.gather(*busy) == [[0] * 30] * MAX_WAITING
    assert await collect(scheduler, sequence(2)) == [0, 0]


async def test_a_bug_in_a_step_ends_the_run(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = Scheduler(batch, MAX_WAITING)
    running = asyncio.create_task(scheduler.run())
    listening = asyncio.create_task(collect(scheduler, Sequence([10**6], 1)))
    with pytest.raises(IndexError):
        await running
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
