"""A database of any earlier release becomes one of this release, with all that is in it."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import JSON, Boolean, Connection, Integer, LargeBinary, MetaData, String, Table, Text, inspect, select
from sqlalchemy.types import TypeEngine

from pivot.api.database import MIGRATIONS, Database, connect, migrate, upgrade
from tests.api.schema import differences

ROWS = 3
Row = dict[str, Any]


def revisions() -> list[str]:
    """Of every release, oldest first."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()][::-1]


@pytest.fixture
async def database(new_database: str) -> AsyncIterator[Database]:
    database = connect(new_database)
    yield database
    await database.close()


def value(kind: TypeEngine[Any], number: int) -> Any:
    """Something that a column of this type can hold, another one for every number."""
    match kind:
        case Boolean():
            return bool(number % 2)
        case Integer():
            return number
        case JSON():
            return {"number": number, "text": "ü"}
        case LargeBinary():
            return bytes(range(number + 20))
        case String() | Text():
            return f"{number}/ü+="[: kind.length]
    raise AssertionError(kind)


def filled(connection: Connection) -> Iterator[tuple[Table, list[Row]]]:
    """Every table of a database, after rows were put into it."""
    schema = MetaData()
    schema.reflect(connection)
    for table in schema.sorted_tables:
        if table.name != "alembic_version":
            rows = [
                {column.name: value(column.type, number) for column in table.columns} for number in range(1, ROWS + 1)
            ]
            connection.execute(table.insert(), rows)
            yield table, rows


def as_text(rows: list[Row]) -> list[str]:
    return sorted(json.dumps(row, default=bytes.hex, sort_keys=True) for row in rows)


def kept(connection: Connection, table: Table) -> list[Row]:
    """What is in the columns that a table had."""
    found = connection.execute(select(*table.columns)).mappings()
    return [dict(row) for row in found]


def test_there_is_one_line_of_releases() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert len(ScriptDirectory.from_config(config).get_heads()) == 1
    assert revisions()[0] == "0001"


@pytest.mark.parametrize("revision", revisions())
async def test_an_earlier_release_is_brought_up_with_its_data(database: Database, revision: str) -> None:
    async with database.engine.begin() as connection:
        await connection.run_sync(upgrade, revision)
        before = await connection.run_sync(lambda sync: list(filled(sync)))
    await migrate(database)
    async with database.engine.connect() as connection:
        for table, rows in before:
            assert as_text(await connection.run_sync(kept, table)) == as_text(rows), table.name
        assert await connection.run_sync(differences) == []
        names = await connection.run_sync(lambda sync: set(inspect(sync).get_table_names()))
    assert {table.name for table, _ in before} <= names


async def test_artifacts_of_the_first_release_get_their_sizes(database: Database) -> None:
    async with database.engine.begin() as connection:
        await connection.run_sync(upgrade, "0001")
        await connection.run_sync(lambda sync: list(filled(sync)))
    await migrate(database)

    def sizes(connection: Connection) -> list[tuple[int, int]]:
        schema = MetaData()
        schema.reflect(connection, only=["artifacts"])
        columns = schema.tables["artifacts"].columns
        return [(size, len(raw)) for size, raw in connection.execute(select(columns["size"], columns["compressed"]))]

    async with database.engine.connect() as connection:
        found = await connection.run_sync(sizes)
    assert len(found) == ROWS
    assert all(size == length for size, length in found)
