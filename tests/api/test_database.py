"""The API node's database: migrated at the start, durable, and refused with a sentence when it cannot be used."""

import asyncio
import traceback
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from pivot.api.database import Database, DatabaseUnusable, connect, database_url, migrate
from tests.api.databases import PostgresqlDatabases
from tests.api.schema import differences


@pytest.fixture
async def database(new_database: str) -> AsyncIterator[Database]:
    """Empty, of each kind."""
    database = connect(new_database)
    yield database
    await database.close()


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[Database]:
    """Empty, SQLite."""
    database = connect(database_url("", tmp_path))
    yield database
    await database.close()


async def test_the_migrated_schema_is_the_declared_one(database: Database) -> None:
    await migrate(database)
    await migrate(database)
    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_a_body_that_raises_leaves_nothing(database: Database) -> None:
    await migrate(database)
    insert = text("INSERT INTO poc_votes (epoch, votes) VALUES (1, :votes)").bindparams(votes=b"\0")

    async def fail() -> None:
        async with database.session() as session:
            await session.execute(insert)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    async with database.session() as session:
        assert (await session.execute(text("SELECT count(*) FROM poc_votes"))).scalar_one() == 0
        await session.execute(insert)
    async with database.session() as session:
        assert (await session.execute(text("SELECT count(*) FROM poc_votes"))).scalar_one() == 1


async def test_many_writers_wait_for_each_other(database: Database) -> None:
    await migrate(database)

    async def write(number: int) -> None:
        async with database.session() as session:
            await session.execute(
                text("INSERT INTO poc_votes (epoch, votes) VALUES (:epoch, :votes)"), {"epoch": number, "votes": b"\0"}
            )

    await asyncio.gather(*(write(number) for number in range(40)))
    async with database.session() as session:
        assert (await session.execute(text("SELECT count(*) FROM poc_votes"))).scalar_one() == 40


async def test_sqlite_has_on_disk_what_was_committed(file: Database) -> None:
    async with file.session() as session:
        modes = [
            (await session.execute(text(f"PRAGMA {name}"))).scalar_one() for name in ("journal_mode", "synchronous")
        ]
    assert modes == ["wal", 2]


async def test_a_database_of_a_newer_version_is_refused(database: Database) -> None:
    await migrate(database)
    async with database.session() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseUnusable, match="cannot be used: Can't locate revision"):
        await migrate(database)


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "api.sqlite").write_bytes(b"no database at all" * 100)
    database = connect(database_url("", tmp_path))
    with pytest.raises(DatabaseUnusable, match="not a database"):
        await migrate(database)
    await database.close()


@pytest.mark.parametrize(
    "url", ["nonsense", "mysql+nodriver://host/db", "sqlite+aiosqlite://", "sqlite+aiosqlite:///:memory:"]
)
def test_a_url_without_a_driver_or_a_file_is_refused(url: str) -> None:
    with pytest.raises(DatabaseUnusable, match="DATABASE_URL"):
        connect(url)


def test_a_file_needs_no_drivers_name(tmp_path: Path) -> None:
    assert connect(f"sqlite:///{tmp_path}/other.sqlite").engine.dialect.name == "sqlite"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_postgresqls_own_urls_are_taken(scheme: str) -> None:
    url = connect(f"{scheme}://user:secret@host:5433/name?sslmode=require").engine.url
    assert url.drivername == "postgresql+asyncpg"
    assert (url.host, url.port, url.database, url.query) == ("host", 5433, "name", {"sslmode": "require"})


async def test_postgresqls_own_parameters_count(postgresql_databases: PostgresqlDatabases) -> None:
    async with postgresql_databases.lent() as url:
        database = connect(f"{url}&sslmode=prefer&application_name=pivot-test&connect_timeout=20")
        async with database.session() as session:
            assert (await session.execute(text("SHOW application_name"))).scalar_one() == "pivot-test"
        await database.close()


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ("sslmode=strange", "sslmode"),
        ("keepalives=1", "unrecognized configuration parameter"),
        ("connect_timeout=soon", "could not convert string to float"),
    ],
)
async def test_a_parameter_that_nobody_knows_is_told(
    postgresql_databases: PostgresqlDatabases, parameters: str, reason: str
) -> None:
    async with postgresql_databases.lent() as url:
        database = connect(f"{url}&{parameters}")
        with pytest.raises(DatabaseUnusable, match=reason):
            await migrate(database)
        await database.close()


async def test_a_database_that_is_not_there_is_told(postgresql_databases: PostgresqlDatabases) -> None:
    async with postgresql_databases.lent() as url:
        database = connect(url.replace("/test_", "/none_"))
        with pytest.raises(DatabaseUnusable, match=r'cannot be used: database "none_.*" does not exist'):
            await migrate(database)
        await database.close()


async def test_an_error_names_no_values(each_database: Database) -> None:
    statement = text("INSERT INTO poc_sprints (epoch, secret) VALUES (1, :secret)").bindparams(secret=b"treasure")
    with pytest.raises(SQLAlchemyError) as raised:
        async with each_database.session() as session:
            await session.execute(statement)
    assert "treasure" not in str(raised.value)
    assert b"treasure".hex() not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:secret@host:port/name",
        "mysql://user:secret@host/name",
        "mysql+nodriver://user:secret@host/name",
        "://user:secret@host",
        "user:secret@host/name",
        "sqlite+pysqlite:///secret.sqlite",
    ],
)
def test_a_url_that_is_wrong_is_told_without_its_password(url: str) -> None:
    with pytest.raises(DatabaseUnusable, match=r"^DATABASE_URL: ") as refused:
        connect(url)
    assert "secret" not in "".join(traceback.format_exception(refused.value))


async def test_a_server_that_is_away_is_told_without_its_password(tmp_path: Path) -> None:
    database = connect(f"postgresql://user:secret@/name?host={tmp_path}&password=secret&sslpassword=secret")
    with pytest.raises(DatabaseUnusable, match="cannot be used") as refused:
        await migrate(database)
    assert "secret" not in str(refused.value)
    await database.close()


async def test_a_connection_that_the_server_has_ended_is_made_again(database: Database) -> None:
    await migrate(database)
    if database.engine.dialect.name == "postgresql":
        async with database.session() as session:
            pid = (await session.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        other = connect(database.engine.url.render_as_string(hide_password=False))
        async with other.session() as session:
            await session.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        await other.close()
    async with database.session() as session:
        assert (await session.execute(text("SELECT count(*) FROM poc_votes"))).scalar_one() == 0


def test_the_configured_database_wins(tmp_path: Path) -> None:
    assert database_url("postgresql+asyncpg://host/db", tmp_path) == "postgresql+asyncpg://host/db"
