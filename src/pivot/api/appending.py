"""How new rows get to disk: those of several tables in one transaction, in as few steps as each database allows.

A row whose primary key is there already changes nothing. Rows name all columns of their table.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import chain
from operator import itemgetter
from typing import Any, Protocol

from sqlalchemy import Insert, Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine

Row = Mapping[str, Any]
Rows = Mapping[Table, Sequence[Row]]

ROWS_PER_STATEMENT = 100
"""Of SQLite, which keeps a statement prepared for each number of rows."""


class Appender(Protocol):
    """One database."""

    async def append(self, rows: Rows) -> None:
        """Have all rows on disk, or none. Raises what the database raises."""

    async def close(self) -> None: ...


class SqliteAppender:
    """Through a connection and a thread of its own.

    One trip to the thread for a transaction, and one statement for all rows of a table: a thread gives the interpreter away at
    every statement, and has to wait until a busy loop gives it back. A row costs some 3 µs.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, "rows")

    async def append(self, rows: Rows) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._append, rows)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _append(self, rows: Rows) -> None:
        connection = self._connection or self._open()
        try:
            connection.execute("BEGIN IMMEDIATE")
            for table, of_table in rows.items():
                for start in range(0, len(of_table), ROWS_PER_STATEMENT):
                    some = of_table[start : start + ROWS_PER_STATEMENT]
                    connection.execute(_sqlite_insert(table, len(some)), _values(table, some))
            connection.execute("COMMIT")
        except BaseException:
            self._close()  # which rolls back; the next rows have a new connection
            raise

    def _open(self) -> sqlite3.Connection:
        connection = self._connection = self._connect()
        connection.isolation_level = None  # transactions begin where it is written
        return connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class PostgresqlAppender:
    """Through a connection of the engine's pool."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def append(self, rows: Rows) -> None:
        async with self._engine.begin() as connection:
            for table, of_table in rows.items():
                await connection.execute(_postgresql_insert(table), of_table)

    async def close(self) -> None:
        """The engine is another's."""


@cache
def _columns(table: Table) -> tuple[str, ...]:
    return tuple(table.columns.keys())


def _values(table: Table, rows: Sequence[Row]) -> list[Any]:
    """Of all rows, one after the other."""
    return list(chain.from_iterable(map(itemgetter(*_columns(table)), rows)))


@cache
def _sqlite_insert(table: Table, count: int) -> str:
    """Names are quoted, because some are words of SQL."""
    columns = _columns(table)
    names = ", ".join(f'"{name}"' for name in columns)
    row = f"({', '.join('?' * len(columns))})"
    return f'INSERT INTO "{table.name}" ({names}) VALUES {", ".join([row] * count)} ON CONFLICT DO NOTHING'  # noqa: S608  our own names


@cache
def _postgresql_insert(table: Table) -> Insert:
    return postgresql.insert(table).on_conflict_do_nothing()
