"""New blocks are seen whatever happens to the websocket."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from pivot.api.ledger.follower import Follower, Patience
from pivot.api.ledger.interface import Head
from pivot.api.ledger.rpc import Rpc
from tests.api.ledger.engine import FakeEngine

PATIENCE = Patience(heartbeat=0.5, silence=0.05, doubt=0.02, first_retry=0.01, longest_retry=0.05)
CALM = Patience(heartbeat=30, silence=30, doubt=30, first_retry=0.01, longest_retry=0.05)
"""Waits so long that only the websocket can have told of a block."""


@pytest.fixture
async def started(http: aiohttp.ClientSession, engine: FakeEngine) -> AsyncIterator[list[Follower]]:
    """Followers that the test appends are closed at its end."""
    followers: list[Follower] = []
    yield followers
    for follower in followers:
        await follower.close()


async def follow(
    http: aiohttp.ClientSession, engine: FakeEngine, started: list[Follower], patience: Patience
) -> Follower:
    follower = Follower(http, Rpc(http, engine.url), patience)
    started.append(follower)
    await follower.start()
    return follower


async def soon(follower: Follower, height: int) -> Head:
    async with asyncio.timeout(10):
        while (head := await follower.next()).height < height:
            pass
    return head


async def subscribed(engine: FakeEngine) -> None:
    async with asyncio.timeout(10):
        while not engine.sockets:
            await asyncio.sleep(0.005)


async def test_every_block_is_told_by_the_websocket(
    http: aiohttp.ClientSession, engine: FakeEngine, started: list[Follower]
) -> None:
    follower = await follow(http, engine, started, CALM)
    await subscribed(engine)
    for height in range(1, 6):
        await engine.add_blocks()
        head = await soon(follower, height)
        assert head.height == height
        assert len(head.hash) == 32


async def test_a_node_that_starts_late_begins_at_the_newest_block(
    http: aiohttp.ClientSession, engine: FakeEngine, started: list[Follower]
) -> None:
    engine.height = 40
    follower = await follow(http, engine, started, CALM)
    assert (await soon(follower, 1)).height == 40
    assert follower.synced


async def test_a_slow_reader_gets_the_newest_block_and_no_queue(
    http: aiohttp.ClientSession, engine: FakeEngine, started: list[Follower]
) -> None:
    follower = await follow(http, engine, started, CALM)
    await subscribed(engine)
    await engine.add_blocks(500)
    async with asyncio.timeout(10):
        while follower.newest is None or follower.newest.height < 500:
            await asyncio.sleep(0.005)
    assert (await follower.next()).height == 500


async def test_a13_a_half_open_websocket_is_found_out(
    http: aiohttp.ClientSession, engine: FakeEngine, started: list[Follower]
) -> None:
    follower = await follow(http, engine, started, PATIENCE)
    await subscribed(engine)
    engine.mute = True
    for height in (1, 2, 3):
        await engine.add_blocks()
        await soon(follower, height)
        await asyncio.sleep(0.1)
    engine.mute = False
    async with asyncio.timeout(10):
        while engine.subscriptions < 2 or not engine.sockets:
            await asyncio.sleep(0.005)
    await engine.add_blocks()
    await soon(follower, 4)


async def test_a13_a_chain_that_stands_still_is_no_reason_to_reconnect(
    http: aiohttp.ClientSession, engine: FakeEngine, started: list[Follower]
) -> None:
    engine.height = 3
    follower = await follow(http, engine, started, PATIENCE)
    await soon(follower, 3)
    async with asyncio.timeout(10):
        while engine.asked.count("status") < 6:
            await asyncio.sleep(0.005)
    assert engine.subscriptions == 1


async def test_a13_blocks_of_a_gap_are_seen_at_once_after_a_reconnect(
    http: aiohttp.ClientSession, engine: FakeEngine, started: list[Follower]
) -> None:
    follower = await follow(http, engine, started, CALM)
    await subscribed(engine)
    await engine.add_blocks()
    await soon(follower, 1)
    engine.mute = True
    await engine.add_blocks(9)
    engine.mute = False
    await engine.drop()
    assert (await soon(follower, 10)).height == 10


async def test_an_engine_that_restarts_is_found_again(
    http: aiohttp.ClientSession, engine: FakeEngine, started: list[Follower]
) -> None:
    follower = await follow(http, engine, started, PATIENCE)
    await subscribed(engine)
    await engine.add_blocks(2)
    await soon(follower, 2)
    await engine.stop()
    await asyncio.sleep(0.1)
    engine.height = 7
    await engine.start()
    await soon(follower, 7)


async def test_heights_only_rise(http: aiohttp.ClientSession, engine: FakeEngine, started: list[Follower]) -> None:
    follower = await follow(http, engine, started, CALM)
    await subscribed(engine)
    engine.height = 9
    await engine.add_blocks()
    await soon(follower, 10)
    engine.height = 4
    await engine.add_blocks()
    engine.height = 10
    await engine.add_blocks()
    assert (await follower.next()).height == 11


async def test_where_the_subscription_is_refused_the_engine_is_asked_and_the_reason_told_once(
    http: aiohttp.ClientSession, engine: FakeEngine, started: list[Follower], caplog: pytest.LogCaptureFixture
) -> None:
    engine.refuse_subscription = True
    follower = await follow(http, engine, started, PATIENCE)
    for height in (1, 2, 3):
        await engine.add_blocks()
        assert (await soon(follower, height)).height == height
    async with asyncio.timeout(10):
        while engine.asked.count("status") < 8:
            await asyncio.sleep(0.005)
    assert caplog.text.count("no websocket to the chain node") == 1


async def test_a_node_that_catches_up_is_not_synced(
    http: aiohttp.ClientSession, engine: FakeEngine, started: list[Follower]
) -> None:
    engine.catching_up = True
    follower = await follow(http, engine, started, PATIENCE)
    await subscribed(engine)
    await engine.add_blocks()
    await soon(follower, 1)
    assert not follower.synced
    engine.catching_up = False
    async with asyncio.timeout(10):
        while not follower.synced:
            await engine.add_blocks()
            await asyncio.sleep(0.01)
