"""Rows of many callers share transactions, and each caller hears of its own."""

import asyncio
from typing import Any, cast

import pytest
from sqlalchemy import Table

from pivot.api.appending import Rows
from pivot.api.group_writer import GroupWriter
from pivot.api.poc.tables import VotesRow

VOTES = cast("Table", VotesRow.__table__)


class Database:
    """Remembers its transactions, and refuses those with a row of epoch 0."""

    closed = False

    def __init__(self) -> None:
        self.transactions: list[list[int]] = []

    async def append(self, rows: Rows) -> None:
        self.transactions.append([row["epoch"] for row in rows[VOTES]])
        await asyncio.sleep(0)
        if 0 in self.transactions[-1]:
            raise OSError("the disk is full")

    async def close(self) -> None:
        self.closed = True


def vote(epoch: int) -> dict[str, Any]:
    return {"epoch": epoch, "votes": b""}


async def test_rows_that_come_while_others_are_written_share_a_transaction_in_their_order() -> None:
    database = Database()
    writer = GroupWriter(database)
    first = writer.add(VOTES, vote(1))
    await asyncio.sleep(0)
    await asyncio.gather(*(writer.add(VOTES, vote(epoch)) for epoch in range(2, 100)))
    assert first.done()
    assert database.transactions == [[1], [*range(2, 100)]]


async def test_a_row_that_is_in_no_hurry_goes_with_the_next_one_that_is() -> None:
    database = Database()
    writer = GroupWriter(database)
    at_leisure = [writer.add(VOTES, vote(epoch), hurried=False) for epoch in (1, 2)]
    await asyncio.sleep(0)
    assert database.transactions == []
    await writer.add(VOTES, vote(3))
    assert database.transactions == [[1, 2, 3]]
    assert all(written.done() for written in at_leisure)


async def test_a_row_that_is_in_no_hurry_and_comes_during_a_transaction_has_no_one_of_its_own_at_once() -> None:
    database = Database()
    writer = GroupWriter(database)
    first = writer.add(VOTES, vote(1))
    await asyncio.sleep(0)
    second = writer.add(VOTES, vote(2), hurried=False)
    await first
    assert database.transactions == [[1]]
    await second
    assert database.transactions == [[1], [2]]


@pytest.mark.parametrize("rows", [1, 3])
async def test_rows_that_are_in_no_hurry_do_not_wait_for_one_that_is(rows: int) -> None:
    database = Database()
    writer = GroupWriter(database)
    await asyncio.gather(*(writer.add(VOTES, vote(epoch + 1), hurried=False) for epoch in range(rows)))
    assert database.transactions == [[*range(1, rows + 1)]]


async def test_who_waits_hears_of_the_error_and_the_next_rows_are_written() -> None:
    database = Database()
    writer = GroupWriter(database)
    with pytest.raises(OSError, match="disk is full"):
        await writer.add(VOTES, vote(0))
    await writer.add(VOTES, vote(2))
    assert database.transactions == [[0], [2]]


async def test_an_error_that_nobody_waits_for_is_no_loose_end() -> None:
    writer = GroupWriter(Database())
    writer.add(VOTES, vote(0)).cancel()
    writer.add(VOTES, vote(0))
    await writer.flush()


async def test_closing_waits_for_rows_that_nobody_waits_for() -> None:
    database = Database()
    writer = GroupWriter(database)
    writer.add(VOTES, vote(1))
    await asyncio.sleep(0)
    writer.add(VOTES, vote(2), hurried=False).cancel()
    await writer.close()
    assert database.transactions == [[1], [2]]
    assert database.closed
