"""Rows of many callers in one transaction: while one is being written, the next one gathers."""

import asyncio
from functools import cache
from typing import Any

from sqlalchemy import Insert, Table
from sqlalchemy.dialects import postgresql, sqlite

from pivot.api.database import Database

MAX_ROWS_PER_TRANSACTION = 2_000


class GroupWriter:
    """Adds rows to tables. A row whose primary key is there already changes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[tuple[Table, dict[str, Any], asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    def add(self, table: Table, row: dict[str, Any]) -> asyncio.Future[None]:
        """Queue a row. The future is done when the row is on disk, and raises what the database raised."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((table, row, written))
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._write_all())
        return written

    async def close(self) -> None:
        """Wait until all that was added is on disk."""
        if self._task is not None:
            await self._task

    async def _write_all(self) -> None:
        while self._waiting:
            group = self._waiting[:MAX_ROWS_PER_TRANSACTION]
            del self._waiting[: len(group)]
            try:
                await self._write(group)
            except Exception as error:  # noqa: BLE001  whoever waits for a row gets it
                for _, _, written in group:
                    if not written.done():
                        written.set_exception(error)
                        written.exception()  # a row that nobody waits for is no loose end

    async def _write(self, group: list[tuple[Table, dict[str, Any], asyncio.Future[None]]]) -> None:
        rows: dict[Table, list[dict[str, Any]]] = {}
        for table, row, _ in group:
            rows.setdefault(table, []).append(row)
        async with self._database.engine.connect() as connection:
            for table, of_table in rows.items():
                await connection.execute(_insert_new(connection.dialect.name, table), of_table)
            await connection.commit()
            for _, _, written in group:  # they need not wait for the connection to go back to its pool
                if not written.done():
                    written.set_result(None)


@cache
def _insert_new(dialect: str, table: Table) -> Insert:
    insert = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    return insert.on_conflict_do_nothing()
