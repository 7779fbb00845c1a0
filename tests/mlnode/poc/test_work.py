from __future__ import annotations

import asyncio

import pytest

from pivot.mlnode.poc.work import Meter, Slice, Work, WorkerFailed


def computed(slices: list[Slice]) -> bytes:
    """Each nonce as its own fingerprint."""
    return b"".join(nonce.to_bytes(32, "little") for each in slices for nonce in each.nonces)


def numbers(answer: bytes) -> list[int]:
    return [int.from_bytes(answer[i : i + 32], "little") for i in range(0, len(answer), 32)]


def shown(slices: list[Slice]) -> list[tuple[str, tuple[int, ...]]]:
    return [(each.host_address, each.nonces) for each in slices]


async def test_jobs_are_taken_in_order_and_together_where_they_are_small() -> None:
    work = Work()
    first, second = work.add("a", [1, 2]), work.add("b", [3, 4, 5])
    taken = work.take(4)
    assert shown(taken) == [("a", (1, 2)), ("b", (3, 4))]
    work.done(taken, computed(taken))
    assert numbers(await first) == [1, 2]
    assert not second.done()
    rest = work.take(4)
    assert shown(rest) == [("b", (5,))]
    work.done(rest, computed(rest))
    assert numbers(await second) == [3, 4, 5]
    assert work.take(4) == []


async def test_the_parts_of_a_job_may_be_done_in_any_order() -> None:
    work = Work()
    answer = work.add("a", range(10))
    parts = [work.take(3), work.take(3), work.take(9)]
    for part in reversed(parts):
        work.done(part, computed(part))
    assert numbers(await answer) == list(range(10))


async def test_what_is_given_back_is_taken_next() -> None:
    work = Work()
    work.add("a", [1, 2, 3])
    work.add("b", [4])
    taken = work.take(2)
    work.give_back(taken)
    assert shown(work.take(9)) == [("a", (1, 2)), ("a", (3,)), ("b", (4,))]


async def test_what_waits_is_counted() -> None:
    work = Work()
    work.add("a", range(10))
    work.add("a", range(5)).cancel()
    taken = work.take(4)
    assert work.waiting == 11
    work.give_back(taken)
    assert work.waiting == 15
    work.take(99)
    assert work.waiting == 0
    work.add("a", range(3))
    work.drop()
    assert work.waiting == 0


async def test_a_job_that_is_cancelled_is_not_taken_any_more() -> None:
    work = Work()
    work.add("a", [1, 2, 3]).cancel()
    work.add("b", [4])
    assert shown(work.take(9)) == [("b", (4,))]


async def test_an_answer_to_a_cancelled_job_disturbs_nobody() -> None:
    work = Work()
    answer = work.add("a", [1])
    taken = work.take(1)
    answer.cancel()
    work.done(taken, computed(taken))
    assert answer.cancelled()


async def test_when_nobody_is_left_every_job_fails() -> None:
    work = Work()
    before, cancelled = work.add("a", [1]), work.add("a", [2])
    cancelled.cancel()
    work.fail("no device")
    for answer in (before, work.add("a", [2])):
        with pytest.raises(WorkerFailed, match="no device"):
            await answer


async def test_growth_tells_of_more_work() -> None:
    work = Work()
    growth = work.growth
    work.add("a", [1])
    await growth
    growth = work.growth
    await asyncio.sleep(0)
    assert not growth.done()
    work.give_back(work.take(1))
    await growth
    work.drop()
    assert work.take(1) == []


def test_the_rate_is_that_of_the_last_seconds() -> None:
    now = 100.0
    meter = Meter(lambda: now)
    assert meter.rate() == 0
    meter.count(10)
    assert meter.rate() == 10
    now = 105.0
    meter.count(10)
    assert meter.rate() == 4
    now = 112.0
    assert meter.rate() == 1
    now = 200.0
    assert meter.rate() == 0
