"""The API node's own state: one database, whose tables are declared where they are used (`tables.py` of each room)."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import cast

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, Connection, NullPool, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

from pivot.api.appending import PostgresqlAppender, SqliteAppender
from pivot.api.group_writer import GroupWriter

DATABASE_FILE = "api.sqlite"
BUSY_TIMEOUT_MS = 5_000
POSTGRESQL_NAMES = frozenset({"postgres", "postgresql"})
"""How URLs for PostgreSQL begin that name no driver."""
POSTGRESQL_DRIVER = "postgresql+asyncpg"
MIGRATIONS = Path(__file__).parent / "migrations"


class DatabaseUnusable(Exception):
    """The database cannot be opened, or is of a newer version of the program."""


class Base(DeclarativeBase):
    """All tables of the API node."""


class Database:
    """Sessions on the API node's database, and a writer for the rows of the request path."""

    def __init__(self, engine: AsyncEngine, writer: GroupWriter) -> None:
        self.engine = engine
        self.writer = writer
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """One transaction: committed at the end, rolled back if the body raises."""
        async with self._sessions() as session, session.begin():
            yield session

    async def close(self) -> None:
        await self.writer.close()
        await self.engine.dispose()


def database_url(url: str, home: Path) -> str:
    """The configured URL, or SQLite in the node's home."""
    return url or f"sqlite+aiosqlite:///{home / DATABASE_FILE}"


def connect(url: str) -> Database:
    """A database by its SQLAlchemy URL. Raises DatabaseUnusable for one that names no driver of ours.

    For PostgreSQL every URL serves that its own programs take: `postgresql://user:password@host/name?sslmode=require`.
    SQLite runs in WAL mode on a file, waits for its lock instead of failing at once,
    and has every transaction on disk when it is committed.
    """
    try:
        engine = create_async_engine(_with_driver(make_url(url)), pool_pre_ping=True)
    except (ArgumentError, ImportError) as error:
        raise DatabaseUnusable(f"DATABASE_URL: {error}") from error
    if engine.dialect.name != "sqlite":
        return Database(engine, GroupWriter(PostgresqlAppender(engine)))
    if not engine.url.database or ":memory:" in engine.url.database:
        raise DatabaseUnusable("DATABASE_URL: a database in memory forgets what this node has promised; name a file")
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    return Database(engine, GroupWriter(SqliteAppender(partial(_sqlite_connection, engine.url))))


def _with_driver(url: URL) -> URL:
    """A URL as PostgreSQL's own programs take it, as our driver does."""
    if url.drivername in POSTGRESQL_NAMES:
        url = url.set(drivername=POSTGRESQL_DRIVER)
    if url.drivername == POSTGRESQL_DRIVER and "sslmode" in url.query:
        mode = url.query["sslmode"]
        url = url.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
    return url


async def migrate(database: Database) -> None:
    """Bring the schema up to this version of the program. Raises DatabaseUnusable."""
    try:
        async with database.engine.begin() as connection:
            await connection.run_sync(_upgrade)
    except (CommandError, SQLAlchemyError, OSError) as error:
        url = database.engine.url.render_as_string(hide_password=True)
        raise DatabaseUnusable(f"the database {url} cannot be used: {error}") from error


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _sqlite_connection(url: URL) -> sqlite3.Connection:
    """A connection without an event loop, as the engine's own are."""
    engine = create_engine(url.set(drivername="sqlite"), poolclass=NullPool)
    event.listen(engine, "connect", _prepare_sqlite)
    pooled = engine.raw_connection()
    connection = cast("sqlite3.Connection", pooled.driver_connection)
    pooled.detach()
    return connection


def _prepare_sqlite(connection: DBAPIConnection, _: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_TIMEOUT_MS}", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
