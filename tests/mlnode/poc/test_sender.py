"""Leaves reach the API node in order, without gaps, once, whatever happens on the way."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import aiohttp
import pytest

from pivot.mlnode.poc.callback import Callbacks
from pivot.mlnode.poc.journal import Journal
from pivot.mlnode.poc.sender import MAX_BACKLOG_LEAVES, Sender
from pivot.protocol.mlnode_api import MAX_BATCH_LEAVES, GeneratedBatch
from tests.mlnode.fakes import FakeApiNode, sprint, until


def leaf(index: int) -> bytes:
    return index.to_bytes(32, "little")


def taken(api: FakeApiNode) -> list[bytes]:
    """All leaves that the API node has, in the order of their indices, which must have no gaps."""
    batches = sorted(api.generated.values(), key=lambda batch: batch.first_index)
    assert all(a.first_index + a.count == b.first_index for a, b in itertools.pairwise(batches))
    return [each for batch in batches for each in batch.leaves()]


@pytest.fixture
async def sender(api: FakeApiNode, session: aiohttp.ClientSession) -> AsyncIterator[Sender]:
    init = sprint(api.url, first_index=10, token="t0ken")
    callbacks = Callbacks(session, init.url, init.token, first_pause_s=0.005)
    sender = Sender(init, callbacks, Journal(None, init), gather_s=0.01)
    running = asyncio.create_task(sender.run())
    yield sender
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_leaves_arrive_in_order_from_the_first_index_on(sender: Sender, api: FakeApiNode) -> None:
    for i in range(5):
        sender.put(leaf(2 * i) + leaf(2 * i + 1))
        await asyncio.sleep(0.004)
    await until(lambda: api.leaves == 10)
    assert taken(api) == [leaf(i) for i in range(10)]
    assert sender.acknowledged == 20
    batch = min(api.generated.values(), key=lambda each: each.first_index)
    assert (batch.first_index, batch.node_id, batch.epoch, batch.host_address) == (10, 3, 7, "gonka1host")
    assert api.tokens == {"Bearer t0ken"}


async def test_a_batch_that_was_refused_comes_again_unchanged(sender: Sender, api: FakeApiNode) -> None:
    api.status = 500
    sender.put(leaf(0))
    await until(lambda: api.calls >= 3)
    assert sender.error == f"{api.url}/generated answered 500"
    sender.put(leaf(1))
    api.status = 200
    await until(lambda: api.leaves == 2)
    assert taken(api) == [leaf(0), leaf(1)]
    assert [batch.count for batch in api.generated.values()] == [1, 1]
    await until(lambda: sender.error is None)


async def test_an_api_node_that_cannot_be_reached_is_tried_until_it_can(session: aiohttp.ClientSession) -> None:
    callbacks = Callbacks(session, "http://127.0.0.1:1", "", first_pause_s=0.001)
    sender = Sender(sprint(), callbacks, Journal(None, sprint()), gather_s=0)
    running = asyncio.create_task(sender.run())
    sender.put(leaf(0))
    await until(lambda: sender.error)
    assert "http://127.0.0.1:1/generated cannot be reached" in str(sender.error)
    assert (sender.waiting, sender.acknowledged) == (1, 0)
    running.cancel()


async def test_when_the_sprint_is_over_sending_ends(sender: Sender, api: FakeApiNode) -> None:
    api.status = 410
    sender.put(leaf(0))
    await until(lambda: sender.error)
    assert sender.error == "the API node takes nothing more for this sprint"
    assert api.calls == 1


@pytest.mark.parametrize("status", [400, 401, 409, 422])
async def test_when_what_is_sent_will_never_be_taken_sending_ends_and_the_reason_is_told(
    sender: Sender, api: FakeApiNode, status: int
) -> None:
    api.status = status
    sender.put(leaf(0))
    await until(lambda: sender.error)
    assert sender.error == f"{api.url}/generated answered {status}"
    assert (sender.waiting, api.calls) == (1, 1)


async def test_what_the_journal_holds_is_sent_first(api: FakeApiNode, session: aiohttp.ClientSession) -> None:
    init = sprint(api.url, first_index=11)
    journal = Journal(None, sprint(first_index=10))
    journal.append(leaf(10) + leaf(11) + leaf(12))
    sender = Sender(init, Callbacks(session, api.url, ""), journal, gather_s=0)
    running = asyncio.create_task(sender.run())
    await until(lambda: api.leaves == 2)
    sender.put(leaf(13))
    sender.close()
    await running
    assert (taken(api), sender.taken, sender.waiting) == ([leaf(11), leaf(12), leaf(13)], 3, 0)


async def test_m_item10_the_last_leaves_are_sent_at_once_when_the_sprint_ends(
    api: FakeApiNode, session: aiohttp.ClientSession
) -> None:
    sender = Sender(sprint(api.url), Callbacks(session, api.url, ""), Journal(None, sprint()), gather_s=1_000)
    running = asyncio.create_task(sender.run())
    sender.put(leaf(0))
    await asyncio.sleep(0.01)
    sender.close()
    await running
    assert taken(api) == [leaf(0)]


async def test_no_batch_is_larger_than_the_limit(sender: Sender, api: FakeApiNode) -> None:
    count = MAX_BATCH_LEAVES + 7
    sender.put(b"".join(leaf(i) for i in range(count)))
    await until(lambda: api.leaves == count)
    assert sorted(batch.count for batch in api.generated.values()) == [7, MAX_BATCH_LEAVES]
    assert taken(api)[-1] == leaf(count - 1)


async def test_m_item23_unsent_leaves_are_bounded(sender: Sender, api: FakeApiNode) -> None:
    api.status = 500
    await sender.room(MAX_BACKLOG_LEAVES)
    sender.put(bytes(32 * MAX_BACKLOG_LEAVES))
    waiting = asyncio.create_task(sender.room(1))
    await until(lambda: api.calls)
    assert not waiting.done()
    api.status = 200
    await waiting


def test_batch_ids_tell_sprint_node_and_range() -> None:
    def batch_id(first: int, **changes: object) -> str:
        init = sprint("http://127.0.0.1:1", first_index=first, **changes)
        callbacks = Callbacks(None, "", "")  # type: ignore[arg-type]  # never posts
        sender = Sender(init, callbacks, Journal(None, init))
        sender.put(leaf(0))
        batch: GeneratedBatch = sender._batch()
        return batch.batch_id

    ids = {batch_id(0), batch_id(1), batch_id(0, node_id=4), batch_id(0, sprint_seed="00" * 32)}
    assert len(ids | {batch_id(0, host_address="gonka1other")}) == 5
    assert batch_id(0) in ids
