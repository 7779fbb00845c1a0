import asyncio

import pytest

from pivot.api.each_moment import EachMoment
from pivot.api.ledger.interface import ChainUnavailable
from pivot.api.phases import Moment
from tests.api.fleet.chain import FakeChain, FakePhases, until


async def test_a_slow_step_skips_to_the_newest_moment() -> None:
    phases, seen, go = FakePhases(FakeChain()), [], asyncio.Event()

    async def step(moment: Moment) -> None:
        seen.append(moment.head.height)
        await go.wait()

    each = EachMoment("test", phases, step)
    each.start()
    for height in (1, 2, 3, 4):
        await phases.at(height)
    go.set()
    await until(lambda: seen == [1, 4])
    await each.close()


async def test_nothing_is_done_while_the_chain_catches_up() -> None:
    phases, seen = FakePhases(FakeChain()), []

    async def step(moment: Moment) -> None:
        seen.append(moment.head.height)

    each = EachMoment("test", phases, step)
    each.start()
    await phases.at(1, synced=False)
    await phases.at(2)
    assert seen == [2]
    await each.close()


async def test_a_failed_step_is_taken_again(caplog: pytest.LogCaptureFixture) -> None:
    phases, seen = FakePhases(FakeChain()), []
    failures = iter([ChainUnavailable("away"), ZeroDivisionError("a fault")])

    async def step(moment: Moment) -> None:
        failure = next(failures, None)
        if failure:
            raise failure
        seen.append(moment.head.height)

    each = EachMoment("test", phases, step)
    each.start()
    for height in (1, 2, 3):
        await phases.at(height)
    assert seen == [3]
    assert "test: block 1: away" in caplog.text
    assert "test failed at block 2" in caplog.text
    await each.close()
    await EachMoment("unstarted", phases, step).close()
