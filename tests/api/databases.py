"""Databases with all tables, as tests want them: a SQLite file in a node's home, or a database of a PostgreSQL server.

Making tables takes much longer than most tests. A file is a copy of one that was migrated once; a server's database is emptied
after a test and given to another one.
"""

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from pivot.api.database import DATABASE_FILE, Database, connect, database_url, migrate

DatabaseAt = Callable[[Path], AbstractAsyncContextManager[Database]]
"""The database of the node that lives in a folder: the same one again for the same folder."""
KINDS = ("sqlite", "postgresql")
ON_BOTH = pytest.mark.both_databases
"""On a test, or as a module's `pytestmark`: what it asks of `database_at` and `database` is of each kind once."""

TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
END_OTHERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()"""
EMPTY = """
    DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' LOOP
        EXECUTE format('DELETE FROM %I', name);
    END LOOP; END $$"""


_migrated: list[bytes] = []
"""The SQLite file with all tables, once it was made."""


@asynccontextmanager
async def sqlite_at(home: Path) -> AsyncIterator[Database]:
    """A file, like the one that a node without further settings makes."""
    home.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240  nothing else waits for the loop meanwhile
    if not _migrated:
        with tempfile.TemporaryDirectory(prefix="pivot-sqlite-") as folder:
            async with _opened(database_url("", Path(folder))) as database:
                await migrate(database)
            _migrated.append((Path(folder) / DATABASE_FILE).read_bytes())
    if not (home / DATABASE_FILE).exists():
        (home / DATABASE_FILE).write_bytes(_migrated[0])
    async with _opened(database_url("", home)) as database:
        yield database


class PostgresqlDatabases:
    """The databases of one server, and which of them nobody uses."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._made = 0
        self._tables = 0
        """Of a database that no test has changed."""
        self._free: list[str] = []

    @asynccontextmanager
    async def by_home(self) -> AsyncIterator[DatabaseAt]:
        """A database for each folder that is asked for."""
        urls: dict[Path, str] = {}
        async with AsyncExitStack() as stack:

            @asynccontextmanager
            async def at(home: Path) -> AsyncIterator[Database]:
                if home not in urls:
                    urls[home] = await stack.enter_async_context(self.lent())
                async with _opened(urls[home]) as database:
                    yield database

            yield at

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[str]:
        """The URL of a database with all tables, whose rows go afterwards."""
        url = self._free.pop() if self._free else await self._migrated()
        yield url
        async with _opened(url) as database, database.session() as session:
            await session.execute(text(END_OTHERS))
            if await session.scalar(text(TABLES)) == self._tables:
                await session.execute(text(EMPTY))
                self._free.append(url)

    @asynccontextmanager
    async def empty(self) -> AsyncIterator[str]:
        """The URL of a database without tables, which goes afterwards."""
        url = await self._create()
        yield url
        name = url.partition("?")[0].rpartition("/")[2]
        async with _opened(self._server_url) as server, _outside(server) as connection:
            await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))

    async def _migrated(self) -> str:
        url = await self._create()
        async with _opened(url) as database:
            await migrate(database)
            async with database.session() as session:
                self._tables = await session.scalar(text(TABLES)) or 0
        return url

    async def _create(self) -> str:
        self._made += 1
        name = f"test_{self._made}"
        async with _opened(self._server_url) as server, _outside(server) as connection:
            await connection.execute(text(f"CREATE DATABASE {name}"))
            return server.engine.url.set(database=name).render_as_string(hide_password=False)


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Database]:
    database = connect(url)
    try:
        yield database
    finally:
        await database.close()


def _outside(database: Database) -> AsyncConnection:
    """A connection that works outside of transactions, as what concerns whole databases must."""
    return database.engine.execution_options(isolation_level="AUTOCOMMIT").connect()
