"""The API node's database in the tests: SQLite, and PostgreSQL where this machine has it."""

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from pivot.api.database import Database, connect, database_url, migrate
from tests.api.postgresql import account, postgresql, programs

TEMPLATE = "migrated"
_names = (f"test_{number}" for number in itertools.count())


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a running server's own database."""
    folder, who = programs(), account()
    if folder is None or who is None:
        pytest.skip("no PostgreSQL here: neither pg_ctl on the PATH nor Debian's package postgresql")
    with postgresql(folder, who) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
async def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of an empty database, once of each kind."""
    if request.param == "sqlite":
        yield database_url("", tmp_path)
        return
    async with created(request.getfixturevalue("postgresql_server"), next(_names)) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
async def each_database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """A database with all tables, once of each kind."""
    if request.param == "sqlite":
        async with migrated(database_url("", tmp_path)) as database:
            yield database
        return
    server: str = request.getfixturevalue("postgresql_server")
    if not await has_template(server):
        async with created(server, TEMPLATE, keep=True) as url, migrated(url):
            pass
    async with created(server, f"{next(_names)} TEMPLATE {TEMPLATE}") as url, migrated(url) as database:
        yield database


@asynccontextmanager
async def migrated(url: str) -> AsyncIterator[Database]:
    database = connect(url)
    await migrate(database)
    yield database
    await database.close()


async def has_template(server_url: str) -> bool:
    """Whether a database with all tables is there to be copied: a copy is made faster than tables."""
    server = connect(server_url)
    async with server.engine.connect() as connection:
        found = await connection.scalar(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": TEMPLATE})
    await server.close()
    return found is not None


@asynccontextmanager
async def created(server_url: str, name: str, *, keep: bool = False) -> AsyncIterator[str]:
    """A database of a server, and its URL. `name` may go on with clauses of CREATE DATABASE."""
    server, bare = connect(server_url), name.split(maxsplit=1)[0]
    outside = server.engine.execution_options(isolation_level="AUTOCOMMIT")
    async with outside.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name}"))
    yield server.engine.url.set(database=bare).render_as_string(hide_password=False)
    if not keep:
        async with outside.connect() as connection:
            await connection.execute(text(f"DROP DATABASE {bare} WITH (FORCE)"))
    await server.close()
