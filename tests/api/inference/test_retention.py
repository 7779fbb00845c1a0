"""Artifacts go oldest first, and only as many as their room asks for."""

import pytest
from sqlalchemy import Table, select

from pivot.api.database import Database
from pivot.api.inference import artifacts, retention
from pivot.api.inference.tables import Artifact


async def kept(database: Database) -> list[str]:
    async with database.session() as session:
        return list(await session.scalars(select(Artifact.inference_id).order_by(Artifact.inference_id)))


async def keep(database: Database, *sizes: int) -> None:
    """Artifacts a, b, c, … of these compressed sizes, the first one the oldest."""
    table = Artifact.__table__
    assert isinstance(table, Table)
    for place, size in enumerate(sizes):
        name = "abcdefgh"[place]
        row = {"inference_id": name, "epoch": 1, "hash": "", "compressed": b"x" * size}
        await database.writer.add(table, {**row, "size": size, "kept_ns": place + 1})


async def test_the_oldest_go_until_the_rest_has_room(each_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "ROWS_AT_A_TIME", 2)
    await keep(each_database, 100, 100, 100, 100)
    assert await retention.shrink(each_database, 400) == 0
    assert await retention.shrink(each_database, 0) == 0
    assert await retention.shrink(each_database, 150) == 3
    assert await kept(each_database) == ["d"]
    assert await retention.shrink(each_database, 1) == 1
    assert await kept(each_database) == []


async def test_size_and_age_are_noted_when_an_artifact_is_kept(each_database: Database) -> None:
    await artifacts.keep(each_database.writer, "i", 1, artifacts.packed(b"contents " * 100))
    async with each_database.session() as session:
        session.add(Artifact(inference_id="j", epoch=1, hash="", compressed=b"12345"))
    async with each_database.session() as session:
        rows = (await session.execute(select(Artifact).order_by(Artifact.inference_id))).scalars().all()
    assert [row.size for row in rows] == [len(rows[0].compressed), 5]
    assert all(row.kept_ns > 10**18 for row in rows)
