"""`pivot keys api …` against the routes of an admin port."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi import FastAPI

from pivot.api.database import Base, connect
from pivot.api.http.api_keys import serve_api_keys
from pivot.api.http.plain_errors import answer_refusals
from pivot.api.keys.issued import IssuedKeys
from tests.api.serving import serving
from tests.cli.conftest import Pivot


@pytest.fixture
async def keys(tmp_path: Path) -> AsyncIterator[IssuedKeys]:
    database = connect(f"sqlite+aiosqlite:///{tmp_path / 'api.sqlite'}")
    async with database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield IssuedKeys(database)
    await database.close()


@pytest.fixture
async def api(pivot: Pivot, keys: IssuedKeys, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pivot]:
    """`pivot keys api` of a host in this process."""
    app = FastAPI()
    answer_refusals(app, {})
    serve_api_keys(app, keys)
    async with serving(app) as url:
        monkeypatch.setenv("ADMIN_URL", url)
        yield lambda *arguments: pivot("keys", "api", *arguments)


async def test_a_key_is_created_shown_once_listed_and_revoked(api: Pivot, keys: IssuedKeys) -> None:
    assert (await api("list")).err.startswith("There are no API keys yet")
    made = await api("create", "Ada", "--budget", "5gonka", "--rate", "60", "--concurrency", "4", "--expires", "30d")
    assert made.code == 0, made.err
    secret = made.out.strip()
    key = keys.find(secret)
    assert (key.terms.name, key.terms.budget, key.terms.rate, key.terms.concurrency) == ("Ada", 5 * 10**9, 60, 4)
    assert key.terms.expires_s is not None
    assert abs(key.terms.expires_s - datetime.now(UTC).timestamp() - 30 * 86_400) < 60
    listed = await api("list")
    assert (key.id in listed.out, secret in listed.out) == (True, False)
    assert [each["id"] for each in (await api("list", "--json")).json] == [key.id]
    assert (await api("revoke", key.id)).err == f"Revoked: {key.id}.\n"
    assert "revoked" in (await api("list")).out
    assert (await api("revoke", "key-none", "--json")).code == 1


@pytest.mark.parametrize(
    ("budget", "expires", "kept"),
    [
        ("unlimited", "", (None, None)),
        ("700", "2100-01-31", (700, 4_105_036_800)),
        ("700ngonka", "2100-01-31T00:00:00+00:00", (700, 4_105_036_800)),
    ],
)
async def test_amounts_and_dates_are_taken_as_people_write_them(
    api: Pivot, keys: IssuedKeys, budget: str, expires: str, kept: tuple[int | None, int | None]
) -> None:
    made = await api("create", "Ada", "--budget", budget, "--expires", expires, "--json")
    terms = keys.find(made.json["key"]).terms
    assert (terms.budget, terms.expires_s) == kept
    assert (await api("list")).code == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 2),
        (["--budget", "much"], 2),
        (["--budget", "-5"], 2),
        (["--budget", "5", "--expires", "soon"], 2),
        (["--budget", "5", "--rate", "0"], 2),
        (["--budget", "5", "--expires", "2001-01-31"], 1),
    ],
)
async def test_what_cannot_be_is_refused(api: Pivot, keys: IssuedKeys, arguments: list[str], code: int) -> None:
    assert (await api("create", "Ada", *arguments)).code == code
    assert keys.all() == []
