"""Rows of many callers share transactions, and each caller hears of its own."""

import asyncio
from typing import Any, cast

import pytest
from sqlalchemy import Table, event, func, select
from sqlalchemy.exc import IntegrityError

from pivot.api.database import Database
from pivot.api.group_writer import GroupWriter
from pivot.api.poc.tables import VotesRow

VOTES = cast("Table", VotesRow.__table__)


@pytest.fixture
def database(each_database: Database) -> Database:
    return each_database


async def rows(database: Database) -> int:
    async with database.session() as session:
        return (await session.execute(select(func.count()).select_from(VOTES))).scalar_one()


async def test_rows_that_come_together_share_a_transaction(database: Database) -> None:
    commits: list[Any] = []
    event.listen(database.engine.sync_engine, "commit", commits.append)
    writer = GroupWriter(database)
    await asyncio.gather(*(writer.add(VOTES, {"epoch": epoch, "votes": b""}) for epoch in range(100)))
    assert await rows(database) == 100
    assert len(commits) < 10


async def test_a_row_that_is_there_already_changes_nothing(database: Database) -> None:
    writer = GroupWriter(database)
    await writer.add(VOTES, {"epoch": 1, "votes": b"first"})
    await writer.add(VOTES, {"epoch": 1, "votes": b"second"})
    async with database.session() as session:
        assert (await session.execute(select(VOTES.c.votes))).scalars().all() == [b"first"]


async def test_who_waits_hears_of_the_error_and_the_next_rows_are_written(database: Database) -> None:
    writer = GroupWriter(database)
    impossible = writer.add(VOTES, {"epoch": 1, "votes": None})
    with pytest.raises(IntegrityError):
        await impossible
    await writer.add(VOTES, {"epoch": 2, "votes": b""})
    assert await rows(database) == 1


async def test_closing_waits_for_rows_that_nobody_waits_for(database: Database) -> None:
    writer = GroupWriter(database)
    writer.add(VOTES, {"epoch": 1, "votes": b""})
    given_up = writer.add(VOTES, {"epoch": 2, "votes": b""})
    given_up.cancel()
    await writer.close()
    assert await rows(database) == 2
    await GroupWriter(database).close()


async def test_an_error_that_nobody_waits_for_is_no_loose_end(database: Database) -> None:
    writer = GroupWriter(database)
    writer.add(VOTES, {"epoch": 1, "votes": None}).cancel()
    writer.add(VOTES, {"epoch": 2, "votes": None})
    await writer.close()
    assert await rows(database) == 0
