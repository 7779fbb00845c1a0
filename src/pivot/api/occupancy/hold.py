"""A node's hold on its home and on its database.

Two nodes on one database would send each other's messages and do each other's duties; two in one home would write to the same
leaves. So a node locks both as long as it runs, and the database has the address of its host written into it.
Locks are the operating system's (`flock`) and PostgreSQL's (advisory, held by one session): both end with the process, however it ends.
"""

import asyncio
import fcntl
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from pivot.api.database import UNREACHABLE, Database, DatabaseUnusable, unusable
from pivot.api.occupancy.tables import Host

HOME_LOCK = "api.lock"
LOCK_SUFFIX = ".lock"
ADVISORY_LOCK = int.from_bytes(b"pivotapi", "big")
"""Among the locks of one PostgreSQL database."""
LOOK_SECONDS = 5.0
"""How often a node makes sure that its session with PostgreSQL, and with it the lock, is still there."""

log = structlog.get_logger(__name__)


class DatabaseTaken(DatabaseUnusable):
    """Another node uses the home or the database, or another host's node has used it."""


class Hold:
    """A node's hold on its home and its database, from `start` to `close`."""

    def __init__(self, database: Database, home: Path, on_loss: Callable[[DatabaseTaken], None]) -> None:
        """on_loss: called at most once, when another node has come into the database while this one's session was gone."""
        self._database = database
        self._home = home
        self._on_loss = on_loss
        self._held = AsyncExitStack()
        self._session: AsyncConnection | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take home and database. Raises DatabaseTaken, DatabaseUnusable."""
        self._home.mkdir(parents=True, exist_ok=True)
        self._lock_file(self._home / HOME_LOCK, f"the home {self._home}")
        url = self._database.engine.url
        if self._database.engine.dialect.name == "sqlite":
            if url.database:
                self._lock_file(Path(url.database + LOCK_SUFFIX), f"the database {url.database}")
            return
        try:
            self._session = await self._locked_session()
        except UNREACHABLE as error:
            raise unusable(self._database, error) from error
        self._watch = asyncio.create_task(self._keep(), name="hold on the database")

    async def own(self, address: str) -> None:
        """Write the host's address into the database, whose tables are there. Raises DatabaseTaken for another host's."""
        async with self._database.session() as session:
            host = await session.get(Host, 1)
            if host is None:
                session.add(Host(id=1, address=address))
            elif host.address != address:
                raise DatabaseTaken(
                    f"the database {self._database.told_name} is that of host {host.address}, and this is {address}: "
                    "give this host a home, or a DATABASE_URL, of its own"
                )

    async def close(self) -> None:
        """Let go of both."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        if self._session is not None:
            await self._session.invalidate()
            await self._session.close()
        await self._held.aclose()

    def _lock_file(self, path: Path, what: str) -> None:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DatabaseUnusable(f"{path} cannot be opened: {error.strerror or error}") from error
        self._held.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _taken(what) from None

    async def _locked_session(self) -> AsyncConnection:
        """A session with PostgreSQL that holds the lock. Raises DatabaseTaken."""
        session = await self._database.engine.connect()
        try:
            await session.execution_options(isolation_level="AUTOCOMMIT")
            if await session.scalar(text("SELECT pg_try_advisory_lock(:number)"), {"number": ADVISORY_LOCK}):
                return session
        except BaseException:
            await session.close()
            raise
        await session.close()
        raise _taken(f"the database {self._database.told_name}")

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._look()
            except DatabaseTaken as taken:
                self._on_loss(taken)
                return
            except UNREACHABLE as error:
                log.warning("database_away", reason=f"{type(error).__name__} {getattr(error, 'orig', error)}")

    async def _look(self) -> None:
        """Make sure of the lock, or take it again. Raises DatabaseTaken, SQLAlchemyError, OSError."""
        if self._session is not None:
            try:
                await self._session.execute(text("SELECT 1"))
            except UNREACHABLE:
                lost, self._session = self._session, None
                await lost.invalidate()
                await lost.close()
            else:
                return
        self._session = await self._locked_session()


def _taken(what: str) -> DatabaseTaken:
    return DatabaseTaken(f"{what} is in use by another API node: only one can run on it")
