"""Rows of several tables get to disk together or not at all, on each database."""

import asyncio
from typing import Any, cast

import pytest
from sqlalchemy import Table, func, select, text

from pivot.api.appending import ROWS_PER_STATEMENT, Rows
from pivot.api.database import Database
from pivot.api.inference.tables import UsedSignature
from pivot.api.ledger.entries import ENTRIES, new_row
from pivot.api.ledger.tables import Kind
from pivot.api.poc.tables import VotesRow

VOTES = cast("Table", VotesRow.__table__)
SIGNATURES = cast("Table", UsedSignature.__table__)


async def append(database: Database, rows: Rows) -> None:
    """In one group."""
    await asyncio.gather(*(database.writer.add(table, row) for table, of_table in rows.items() for row in of_table))


async def counted(database: Database, table: Table) -> int:
    async with database.session() as session:
        return (await session.execute(select(func.count()).select_from(table))).scalar_one()


async def test_any_number_of_rows_of_several_tables(each_database: Database) -> None:
    many = 2 * ROWS_PER_STATEMENT + 3
    votes = [{"epoch": epoch, "votes": b"v"} for epoch in range(many)]
    entries = [new_row(f"start:{number}", number, Kind.START, b"message", 0) for number in range(many)]
    await append(each_database, {VOTES: votes, ENTRIES: entries})
    assert [await counted(each_database, table) for table in (VOTES, ENTRIES)] == [many, many]
    async with each_database.session() as session:
        row = (await session.execute(select(ENTRIES).where(ENTRIES.c.sequence == 7))).mappings().one()
    assert dict(row) == entries[7]


async def test_a_row_that_is_there_already_changes_nothing(each_database: Database) -> None:
    await append(each_database, {VOTES: [{"epoch": 1, "votes": b"first"}]})
    await append(each_database, {VOTES: [{"epoch": epoch, "votes": b"second"} for epoch in (1, 2)]})
    async with each_database.session() as session:
        found = (await session.execute(select(VOTES.c.votes).order_by(VOTES.c.epoch))).scalars().all()
    assert found == [b"first", b"second"]


async def test_one_impossible_row_leaves_nothing_of_its_group_and_the_next_one_is_written(
    each_database: Database,
) -> None:
    signature = {"signature": b"s" * 64, "role": 1, "timestamp_ns": 5}
    impossible: dict[str, Any] = {"epoch": 1, "votes": None}
    with pytest.raises(Exception, match=r"(?i)not.null"):
        await append(each_database, {SIGNATURES: [signature], VOTES: [impossible]})
    assert await counted(each_database, SIGNATURES) == 0
    await append(each_database, {SIGNATURES: [signature]})
    assert await counted(each_database, SIGNATURES) == 1


async def test_a_row_without_one_of_its_columns_is_refused(each_database: Database) -> None:
    with pytest.raises(Exception, match="votes"):
        await append(each_database, {VOTES: [{"epoch": 1}]})


async def test_rows_wait_for_a_transaction_that_holds_the_lock(each_database: Database) -> None:
    async with each_database.session() as session:
        await session.execute(text("INSERT INTO poc_votes (epoch, votes) VALUES (1, :votes)").bindparams(votes=b"\0"))
        written = each_database.writer.add(VOTES, {"epoch": 2, "votes": b""})
        await asyncio.sleep(0.05)
    await written
    assert await counted(each_database, VOTES) == 2
