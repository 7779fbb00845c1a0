"""The API node's own state: one database, whose tables are declared where they are used (`tables.py` of each room)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

DATABASE_FILE = "api.sqlite"
BUSY_TIMEOUT_MS = 5_000


class Base(DeclarativeBase):
    """All tables of the API node."""


class Database:
    """Sessions on the API node's database."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """One transaction: committed at the end, rolled back if the body raises."""
        async with self._sessions() as session, session.begin():
            yield session

    async def close(self) -> None:
        await self.engine.dispose()


def database_url(url: str, home: Path) -> str:
    """The configured URL, or SQLite in the node's home."""
    return url or f"sqlite+aiosqlite:///{home / DATABASE_FILE}"


def connect(url: str) -> Database:
    """A database by its SQLAlchemy URL. SQLite runs in WAL mode, waits for its lock instead of failing at once,
    and has every transaction on disk when it is committed."""
    engine = create_async_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    return Database(engine)


def _prepare_sqlite(connection: object, _: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]  # the driver's own connection
    for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_TIMEOUT_MS}", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
