"""A clock that is off is told while the node runs, by the times of the blocks that come."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from pivot.node.chain_node import ChainNode
from pivot.node.clock import watch_clock
from tests.node.fake_chain_node import FakeChainNode, chain_node

SOON = 0.01


@pytest.fixture
async def node() -> AsyncIterator[FakeChainNode]:
    async with chain_node() as node:
        node.growth = 1
        yield node


async def heard(node: FakeChainNode, looks: int = 5) -> list[str]:
    """What is said in so many looks and a few."""
    told: list[str] = []
    begin = node.asked
    async with aiohttp.ClientSession() as http:
        watching = asyncio.create_task(watch_clock(ChainNode(http, node.url, "clock"), told.append, SOON))
        while node.asked < begin + looks:
            await asyncio.sleep(SOON)
        watching.cancel()
        await asyncio.wait((watching,))
    return told


@pytest.mark.parametrize(
    ("age_s", "sentence"),
    [
        (-200, "clock: this machine's clock is 200 s behind the network's newest block: set it by NTP"),
        (310, "clock: this machine's clock is 300 s ahead of the network's newest block: set it by NTP"),
    ],
)
async def test_a_clock_that_is_off_is_told_once(age_s: float, sentence: str, node: FakeChainNode) -> None:
    node.block_age_s = age_s
    [told] = await heard(node)
    assert told.startswith(sentence)


@pytest.mark.parametrize("age_s", [-5, 0, 15])
async def test_a_clock_that_agrees_is_not_told(age_s: float, node: FakeChainNode) -> None:
    node.block_age_s = age_s
    assert await heard(node) == []


@pytest.mark.parametrize("fault", [{"growth": 0}, {"catching_up": True}])
async def test_old_blocks_of_a_chain_that_stands_still_or_is_replayed_say_nothing_of_the_clock(
    fault: dict[str, int], node: FakeChainNode
) -> None:
    node.block_age_s = 10_000
    for name, value in fault.items():
        setattr(node, name, value)
    assert await heard(node) == []


async def test_a_node_that_does_not_answer_is_asked_again(node: FakeChainNode) -> None:
    chain_id, node.node_id = node.node_id, "x"
    assert await heard(node) == []
    node.node_id, node.block_age_s = chain_id, -200
    assert len(await heard(node)) == 1
