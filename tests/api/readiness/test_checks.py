"""A node is ready while it follows its chain, can write, and is registered."""

import dataclasses
from types import SimpleNamespace

from sqlalchemy import text

from pivot.api.database import Database
from pivot.api.readiness.checks import SILENCE_SECONDS, WRITE_EVERY_SECONDS, ChainFollowed, DatabaseWritten, Registered
from tests.api.inference.network import FakePhases, moment_at


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_a_chain_that_is_silent_or_behind_is_not_followed() -> None:
    clock, phases = Clock(), FakePhases()
    followed = ChainFollowed(phases, clock)
    assert await followed() == ""
    clock.now += SILENCE_SECONDS + 1
    assert await followed() == "no new block for 61 s; the last one is 1000"
    await phases.set(moment_at(height=1001))
    assert await followed() == ""
    phases.moment = dataclasses.replace(moment_at(), synced=False)
    assert "catches up" in await followed()
    phases.moment = None
    assert await followed() == "no block has been seen yet"


async def test_a_database_that_takes_no_row_is_told_and_asked_again_a_little_later(each_database: Database) -> None:
    clock = Clock()
    written = DatabaseWritten(each_database, clock)
    assert await written() == ""
    async with each_database.session() as session:
        await session.execute(text("DROP TABLE heartbeat"))
    assert await written() == ""
    clock.now += WRITE_EVERY_SECONDS
    assert (await written()).startswith("the database cannot be written to: ")


async def test_who_is_not_registered_is_not_ready() -> None:
    registration = SimpleNamespace(done=False)
    registered = Registered(registration)
    assert "not registered" in await registered()
    registration.done = True
    assert await registered() == ""
