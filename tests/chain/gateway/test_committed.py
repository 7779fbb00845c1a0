"""Queries beside the event loop: bounded, cached for one block."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from cosmos.bank.v1beta1 import query_pb2 as bank_query
from cosmos.base.v1beta1.coin_pb2 import Coin

from pivot.chain.gateway.committed import CommittedState
from pivot.chain.gateway.refusals import Refusal
from pivot.chain.handlers import QueryHandler, query
from pivot.chain.store.memory import MemoryDatabase
from pivot.chain.types import View
from tests.chain.gateway.conftest import BANK


class Counting:
    """A query that counts how often it was really asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.gate = threading.Event()
        self.gate.set()

    def handler(self) -> QueryHandler:
        def supply(view: View, _: bank_query.QuerySupplyOfRequest) -> bank_query.QuerySupplyOfResponse:
            self.asked += 1
            self.gate.wait(10)
            return bank_query.QuerySupplyOfResponse(amount=Coin(amount=str(view.height)))

        return query(BANK, "SupplyOf", supply)


def state_over(database: MemoryDatabase, **limits: int) -> CommittedState:
    @contextmanager
    def opened() -> Iterator[View]:
        with database.view() as snapshot:
            yield View(snapshot, "chain-1", snapshot.height)

    return CommittedState(opened, **limits)


async def test_an_answer_is_remembered_until_the_next_block() -> None:
    database, counting = MemoryDatabase(["bank"]), Counting()
    state, handler, request = state_over(database), counting.handler(), bank_query.QuerySupplyOfRequest(denom="ngonka")
    for _ in range(3):
        await state.answer(handler, request, None)
    assert counting.asked == 1
    database.stage(1, {})
    database.commit()
    assert (await state.answer(handler, request, None)).height == 1
    assert counting.asked == 2
    state.close()


async def test_too_many_queries_at_one_time_are_refused() -> None:
    counting = Counting()
    state, handler = state_over(MemoryDatabase(["bank"]), threads=1, max_waiting=1), counting.handler()
    counting.gate.clear()
    requests = [bank_query.QuerySupplyOfRequest(denom=str(n)) for n in range(3)]
    first = [asyncio.create_task(state.answer(handler, request, None)) for request in requests[:2]]
    await asyncio.sleep(0.01)
    with pytest.raises(Refusal) as refusal:
        await state.answer(handler, requests[2], None)
    assert refusal.value.http_status == 429
    counting.gate.set()
    await asyncio.gather(*first)
    state.close()
