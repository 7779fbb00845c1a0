"""Turns: bounded in number, in the line's length, and in time, whatever happens to those who wait."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from pivot.api.http.errors import TooManyRequests, Unavailable
from pivot.api.http.turns import Turns


async def held(turns: Turns, begun: list[int], number: int, until: asyncio.Event) -> None:
    async with turns:
        begun.append(number)
        await until.wait()


async def test_places_go_to_those_who_waited_longest() -> None:
    turns = Turns(1, waiting=5, patience_s=5)
    begun: list[int] = []
    ends = [asyncio.Event() for _ in range(4)]
    tasks = [asyncio.ensure_future(held(turns, begun, number, end)) for number, end in enumerate(ends)]
    for number, end in enumerate(ends):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert begun == list(range(number + 1))
        end.set()
        await tasks[number]
    async with turns:
        with pytest.raises(TooManyRequests):
            await Turns(0, waiting=0, patience_s=5).__aenter__()


async def test_whoever_goes_away_leaves_the_line_and_takes_no_place() -> None:
    turns, end = Turns(1, waiting=2, patience_s=5), asyncio.Event()
    begun: list[int] = []
    tasks = [asyncio.ensure_future(held(turns, begun, number, end)) for number in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.gather(tasks[1], return_exceptions=True)
    end.set()
    await asyncio.gather(tasks[0], tasks[2])
    assert begun == [0, 2]
    async with turns:
        pass


async def test_a_place_that_comes_to_somebody_who_has_just_gone_is_passed_on() -> None:
    turns = Turns(1, waiting=2, patience_s=5)
    begun: list[int] = []
    end = asyncio.Event()
    async with AsyncExitStack() as first:
        await first.enter_async_context(turns)
        gone, other = (asyncio.ensure_future(held(turns, begun, number, end)) for number in range(2))
        await asyncio.sleep(0)
        await first.aclose()  # the place is given to `gone`, which is cancelled before it hears of it
        gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    end.set()
    await other
    assert begun == [1]


async def test_nobody_waits_for_ever() -> None:
    turns = Turns(1, waiting=2, patience_s=0.01)
    async with turns:
        with pytest.raises(Unavailable):
            await turns.__aenter__()
    async with turns:
        pass
