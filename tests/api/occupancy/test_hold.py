"""Only one node runs in a home and on a database, and a database serves the host that it has begun with."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from pivot.api.database import Database, DatabaseUnusable, connect, database_url
from pivot.api.occupancy import hold as module
from pivot.api.occupancy.hold import ADVISORY_LOCK, DatabaseTaken, Hold
from tests.api.databases import ON_BOTH, DatabaseAt

ON_A_SERVER = pytest.mark.parametrize("database_kind", ["postgresql"])
A_HOST, ANOTHER = "gonka1a", "gonka1b"
NODE = """
import fcntl, sys, time
file = open(sys.argv[1], "a")
fcntl.flock(file, fcntl.LOCK_EX)
print("locked", flush=True)
time.sleep(60)
"""


def ignored(_: DatabaseTaken) -> None: ...


@asynccontextmanager
async def held(database: Database, home: Path) -> AsyncIterator[Hold]:
    hold = Hold(database, home, ignored)
    try:
        await hold.start()
        yield hold
    finally:
        await hold.close()


def elsewhere(database: Database) -> Database:
    """The same database, as another process sees it."""
    return connect(database.engine.url.render_as_string(hide_password=False))


@ON_BOTH
async def test_a_second_node_on_a_database_is_refused_until_the_first_has_ended(
    database: Database, tmp_path: Path
) -> None:
    other = elsewhere(database)
    async with held(database, tmp_path):
        for home in (tmp_path, tmp_path / "of another"):
            with pytest.raises(DatabaseTaken, match="is in use by another API node: only one can run on it"):
                async with held(other, home):
                    pass
    async with held(other, tmp_path):
        pass
    await other.close()


@ON_BOTH
async def test_a_second_node_in_a_home_is_refused_whatever_its_database(
    database: Database, database_at: DatabaseAt, tmp_path: Path
) -> None:
    async with held(database, tmp_path), database_at(tmp_path / "another") as another:
        with pytest.raises(DatabaseTaken, match=f"the home {tmp_path} is in use"):
            async with held(another, tmp_path):
                pass


@ON_BOTH
async def test_a_database_belongs_to_the_host_that_it_has_begun_with(database: Database, tmp_path: Path) -> None:
    for _ in range(2):
        async with held(database, tmp_path) as hold:
            await hold.own(A_HOST)
    async with held(database, tmp_path) as hold:
        with pytest.raises(
            DatabaseTaken, match=f"is that of host {A_HOST}, and this is {ANOTHER}: give this host a home"
        ):
            await hold.own(ANOTHER)


async def test_a_lock_ends_with_its_process_however_it_ends(database: Database, tmp_path: Path) -> None:
    process = subprocess.Popen(  # noqa: ASYNC220  started at once, and waited for
        [sys.executable, "-c", NODE, str(tmp_path / module.HOME_LOCK)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "locked\n"
    with pytest.raises(DatabaseTaken):
        async with held(database, tmp_path):
            pass
    process.kill()
    process.wait()
    process.stdout.close()
    async with held(database, tmp_path):
        pass


async def test_a_file_elsewhere_is_locked_too(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    one, other = (connect(database_url("", tmp_path / "shared")) for _ in range(2))
    async with held(one, tmp_path / "one"):
        with pytest.raises(DatabaseTaken, match=r"the database .*shared.* is in use"):
            async with held(other, tmp_path / "other"):
                pass
    await one.close()
    await other.close()


async def test_a_home_that_cannot_be_written_is_told(tmp_path: Path, database: Database) -> None:
    (tmp_path / module.HOME_LOCK).mkdir()
    with pytest.raises(DatabaseUnusable, match=r"api\.lock cannot be opened: Is a directory"):
        async with held(database, tmp_path):
            pass


async def test_a_server_that_is_away_is_told_without_its_password(tmp_path: Path) -> None:
    database = connect(f"postgresql://user:secret@/name?host={tmp_path}")
    with pytest.raises(DatabaseUnusable, match="cannot be used") as refused:
        async with held(database, tmp_path):
            pass
    assert "secret" not in str(refused.value)
    await database.close()


async def end_holder(other: Database) -> None:
    """As a restart of the server does."""
    statement = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
    async with other.session() as session:
        await session.execute(text(statement))


@ON_A_SERVER
async def test_a_lock_that_the_server_has_lost_is_taken_again(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    other = elsewhere(database)
    locks = text(f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = {ADVISORY_LOCK % 2**32}")
    async with held(database, tmp_path):
        await end_holder(other)
        async with asyncio.timeout(20), other.engine.connect() as connection:
            while await connection.scalar(locks) != 1:
                await connection.rollback()
                await asyncio.sleep(0.01)
    await other.close()


@ON_A_SERVER
async def test_a_node_that_finds_another_in_its_place_ends(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = elsewhere(database)
    told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    hold = Hold(database, tmp_path, told.set_exception)
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.5)
    await hold.start()
    await end_holder(other)
    async with held(other, tmp_path / "another"):
        with pytest.raises(DatabaseTaken, match="in use by another API node"):
            await asyncio.wait_for(told, 20)
    await hold.close()
    await other.close()
