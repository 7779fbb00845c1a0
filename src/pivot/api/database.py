"""The API node's own state: one database, whose tables are declared where they are used (`tables.py` of each room)."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import cast

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, Connection, NullPool, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

from pivot.api.appending import PostgresqlAppender, SqliteAppender
from pivot.api.group_writer import GroupWriter

DATABASE_FILE = "api.sqlite"
BUSY_TIMEOUT_MS = 5_000
SQLITE_DRIVER = "sqlite+aiosqlite"
POSTGRESQL_DRIVER = "postgresql+asyncpg"
DRIVERS = {"sqlite": SQLITE_DRIVER, "postgres": POSTGRESQL_DRIVER, "postgresql": POSTGRESQL_DRIVER}
"""By how URLs begin that name no driver."""
SECRET_PARAMETERS = ("password", "sslpassword")
"""Parameters of a URL that are told to nobody, like the password before its host."""
CONNECT_SECONDS = 30.0
"""How long a connection to a server may take, unless the URL says otherwise (`connect_timeout`)."""
UNREACHABLE = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError)
"""What a database raises that cannot be opened, or not as its URL wants it. OSError has TimeoutError in it."""
MIGRATIONS = Path(__file__).parent / "migrations"
NEWEST = "head"


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

    @property
    def told_name(self) -> str:
        """The URL without what is secret in it, for sentences."""
        url = self.engine.url.difference_update_query(SECRET_PARAMETERS)
        return url.render_as_string(hide_password=True)

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
    return url or f"{SQLITE_DRIVER}:///{home / DATABASE_FILE}"


def connect(url: str) -> Database:
    """A database by its SQLAlchemy URL. Raises DatabaseUnusable for one that names no driver of ours.

    For PostgreSQL the URL is read as PostgreSQL's own programs read it: `postgresql://user:password@host/name?sslmode=require`.
    Errors name statements without their values, which nobody may read in a log.
    SQLite runs in WAL mode on a file, waits for its lock instead of failing at once,
    and has every transaction on disk when it is committed.
    """
    try:
        parsed = _with_driver(make_url(url))
        postgresql = {"async_creator": partial(_postgresql_connection, parsed)}
        engine = create_async_engine(
            parsed,
            pool_pre_ping=parsed.get_backend_name() != "sqlite",  # a file does not hang up
            hide_parameters=True,
            **postgresql if parsed.drivername == POSTGRESQL_DRIVER else {},
        )
    except (SQLAlchemyError, ImportError, ValueError) as error:
        raise DatabaseUnusable(f"DATABASE_URL: {error}") from None  # what it came from may hold the password
    if engine.dialect.name != "sqlite":
        return Database(engine, GroupWriter(PostgresqlAppender(engine)))
    if not engine.url.database or ":memory:" in engine.url.database:
        raise DatabaseUnusable("DATABASE_URL: a database in memory forgets what this node has promised; name a file")
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    return Database(engine, GroupWriter(SqliteAppender(partial(_sqlite_connection, engine.url))))


def _with_driver(url: URL) -> URL:
    return url.set(drivername=DRIVERS.get(url.drivername, url.drivername))


async def _postgresql_connection(url: URL) -> asyncpg.Connection:
    """A connection by what all of the URL says: TLS, several hosts, settings of the session."""
    timeout_s = float(str(url.query.get("connect_timeout", CONNECT_SECONDS)))
    plain = url.set(drivername="postgresql").difference_update_query(["connect_timeout"])
    return await asyncpg.connect(plain.render_as_string(hide_password=False), timeout=timeout_s)


async def migrate(database: Database) -> None:
    """Bring the schema up to this version of the program. Raises DatabaseUnusable."""
    try:
        async with database.engine.begin() as connection:
            await connection.run_sync(upgrade)
    except (CommandError, *UNREACHABLE) as error:
        raise unusable(database, error) from error


def unusable(database: Database, error: Exception) -> DatabaseUnusable:
    """The sentence for a database that has raised one of UNREACHABLE."""
    cause = getattr(error, "orig", None) or error
    return DatabaseUnusable(f"the database {database.told_name} cannot be used: {cause or type(cause).__name__}")


def upgrade(connection: Connection, revision: str = NEWEST) -> None:
    """Bring the schema up to a revision."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


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
