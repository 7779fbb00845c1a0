"""The API node's database in the tests: SQLite, and PostgreSQL where this machine has it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pivot.api.database import Database, database_url
from tests.api.databases import KINDS, ON_BOTH, DatabaseAt, PostgresqlDatabases, sqlite_at
from tests.api.postgresql import account, postgresql, programs


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "database_kind" in metafunc.fixturenames and metafunc.definition.get_closest_marker(ON_BOTH.name):
        metafunc.parametrize("database_kind", KINDS)


@pytest.fixture(scope="session")
def postgresql_databases() -> Iterator[PostgresqlDatabases]:
    """Of a server that runs for all tests."""
    folder, who = programs(), account()
    if folder is None or who is None:
        pytest.skip("no PostgreSQL here: neither pg_ctl on the PATH nor Debian's package postgresql")
    with postgresql(folder, who) as url:
        yield PostgresqlDatabases(url)


@pytest.fixture(params=KINDS)
async def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of an empty database, once of each kind."""
    if request.param == "sqlite":
        yield database_url("", tmp_path)
        return
    databases: PostgresqlDatabases = request.getfixturevalue("postgresql_databases")
    async with databases.empty() as url:
        yield url


@pytest.fixture
def database_kind() -> str:
    """Of what `database_at` gives; `ON_BOTH` says otherwise."""
    return "sqlite"


@pytest.fixture
async def database_at(request: pytest.FixtureRequest, database_kind: str) -> AsyncIterator[DatabaseAt]:
    """Databases with all tables, of one kind."""
    if database_kind == "sqlite":
        yield sqlite_at
        return
    databases: PostgresqlDatabases = request.getfixturevalue("postgresql_databases")
    async with databases.by_home() as at:
        yield at


@pytest.fixture
async def database(database_at: DatabaseAt, tmp_path: Path) -> AsyncIterator[Database]:
    """A node's, with all tables."""
    async with database_at(tmp_path) as database:
        yield database


@pytest.fixture(params=KINDS)
async def each_database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """A database with all tables, once of each kind."""
    if request.param == "sqlite":
        async with sqlite_at(tmp_path) as database:
            yield database
        return
    databases: PostgresqlDatabases = request.getfixturevalue("postgresql_databases")
    async with databases.by_home() as at, at(tmp_path) as database:
        yield database
