"""API keys: their terms, what outlives a restart, and what of them is on disk."""

import pytest
from sqlalchemy import select

from pivot.api.database import Database
from pivot.api.http.errors import Conflict, NotFound, TooManyRequests, Unauthorized
from pivot.api.keys import issued
from pivot.api.keys.issued import IssuedKeys, Terms
from pivot.api.keys.rate import Rate
from pivot.api.keys.tables import ApiKey
from pivot.primitives.hashes import sha256

NOW_S = 1_800_000_000.0


class Clock:
    """Seconds that tests set."""

    def __init__(self) -> None:
        self.now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def database(each_database: Database) -> Database:
    return each_database


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(database: Database, clock: Clock) -> IssuedKeys:
    return IssuedKeys(database, wall_s=clock, monotonic_s=clock)


async def test_only_the_hash_of_a_key_is_kept(keys: IssuedKeys, database: Database) -> None:
    key, secret = await keys.issue(Terms("Ada", budget=7))
    assert keys.find(secret) is key
    assert len(secret) > 40
    async with database.session() as session:
        row = (await session.scalars(select(ApiKey))).one()
    assert (row.name, row.budget, len(row.digest)) == ("Ada", 7, 32)
    assert secret not in str([getattr(row, column.name) for column in ApiKey.__table__.columns])


async def test_a_key_is_good_after_a_restart_with_its_terms(keys: IssuedKeys, database: Database) -> None:
    terms = Terms("Ada", budget=7, rate=8, concurrency=9, expires_s=int(NOW_S) + 10)
    _, secret = await keys.issue(terms)
    again = IssuedKeys(database)
    await again.load()
    [key] = again.all()
    assert key.terms == terms
    assert again._by_digest[sha256(secret.encode())] is key


async def test_a_revoked_key_is_refused_at_once_and_after_a_restart(keys: IssuedKeys, database: Database) -> None:
    key, secret = await keys.issue(Terms("Ada"))
    await keys.revoke(key.id)
    await keys.revoke(key.id)
    again = IssuedKeys(database)
    await again.load()
    for each in (keys, again):
        with pytest.raises(Unauthorized, match="revoked"):
            each.find(secret)
    with pytest.raises(NotFound):
        await keys.revoke("key-none")


async def test_a_revocation_that_the_database_did_not_take_is_made_good_by_the_next(
    keys: IssuedKeys, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, secret = await keys.issue(Terms("Ada"))
    with monkeypatch.context() as full:
        full.setattr(keys, "_database", None)
        with pytest.raises(AttributeError):
            await keys.revoke(key.id)
    with pytest.raises(Unauthorized, match="revoked"):
        keys.find(secret)
    await keys.revoke(key.id)
    again = IssuedKeys(database)
    await again.load()
    with pytest.raises(Unauthorized, match="revoked"):
        again.find(secret)


async def test_a_key_is_refused_when_it_has_expired(keys: IssuedKeys, clock: Clock) -> None:
    _, secret = await keys.issue(Terms("Ada", expires_s=int(NOW_S) + 10))
    keys.find(secret)
    clock.now_s += 10
    with pytest.raises(Unauthorized, match="expired"):
        keys.find(secret)


async def test_a_key_that_was_made_elsewhere_is_taken_once(keys: IssuedKeys) -> None:
    key, secret = await keys.issue(Terms("Ada"), "pk-made-elsewhere-0123456789")
    assert keys.find(secret) is key
    with pytest.raises(Conflict):
        await keys.issue(Terms("Bob"), secret)


async def test_the_number_of_keys_has_a_limit(keys: IssuedKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issued, "MAX_KEYS", 1)
    await keys.issue(Terms("Ada"))
    with pytest.raises(Conflict):
        await keys.issue(Terms("Bob"))


async def test_a_key_has_so_many_requests_under_way(keys: IssuedKeys) -> None:
    key, _ = await keys.issue(Terms("Ada", concurrency=2))
    with key.place():
        with key.place(), pytest.raises(TooManyRequests, match="2 requests under way"), key.place():
            pass
        with key.place():
            pass


async def test_a_key_sends_so_many_requests_a_minute_and_is_told_when_to_come_again(
    keys: IssuedKeys, clock: Clock
) -> None:
    key, _ = await keys.issue(Terms("Ada", rate=6))
    for _ in range(6):
        with key.place():
            pass
    with pytest.raises(TooManyRequests, match="6 requests a minute") as refused, key.place():
        pass
    assert refused.value.retry_after_s == 10
    clock.now_s += 10
    with key.place():
        pass


def test_a_rate_is_refilled_evenly_and_never_above_a_minutes_worth() -> None:
    rate = Rate(60, 0.0)
    assert [rate.take(0.0) for _ in range(60)] == [0.0] * 60
    assert rate.take(0.0) == pytest.approx(1.0)
    assert rate.take(0.5) == pytest.approx(0.5)
    assert rate.take(1.0) == 0.0
    assert [rate.take(1000.0) for _ in range(60)] == [0.0] * 60
    assert rate.take(1000.0) > 0
