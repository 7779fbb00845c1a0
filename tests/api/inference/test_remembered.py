"""Answers that may be used for a moment."""

import asyncio

import pytest

from pivot.api.inference import remembered
from pivot.api.inference.remembered import Remembered


class Source:
    def __init__(self) -> None:
        self.now = 0.0
        self.loads: list[str] = []
        self.failure: Exception | None = None
        self.pause = asyncio.Event()
        self.pause.set()
        self.values = Remembered(self.load, fresh_s=2, stale_s=10, clock=lambda: self.now)

    async def load(self, key: str) -> int:
        self.loads.append(key)
        await self.pause.wait()
        if self.failure:
            raise self.failure
        return len(self.loads)


async def test_a_fresh_value_is_not_loaded_again() -> None:
    source = Source()
    assert [await source.values.get("a") for _ in range(3)] == [1, 1, 1]
    assert await source.values.get("b") == 2


async def test_a_value_past_its_freshness_is_given_and_loaded_in_the_background() -> None:
    source = Source()
    await source.values.get("a")
    source.now = 3
    assert await source.values.get("a") == 1
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await source.values.get("a") == 2
    assert source.loads == ["a", "a"]


async def test_a_stale_value_is_not_given() -> None:
    source = Source()
    await source.values.get("a")
    source.now = 11
    assert await source.values.get("a") == 2


async def test_requests_go_on_while_the_source_is_away_for_a_moment() -> None:
    source = Source()
    await source.values.get("a")
    source.failure = ConnectionError("away")
    source.now = 5
    assert await source.values.get("a") == 1
    await asyncio.sleep(0.01)
    assert await source.values.get("a") == 1
    source.now = 11
    with pytest.raises(ConnectionError):
        await source.values.get("a")


async def test_callers_share_one_look_up() -> None:
    source = Source()
    source.pause.clear()
    asking = [asyncio.ensure_future(source.values.get("a")) for _ in range(5)]
    await asyncio.sleep(0)
    asking[0].cancel()
    await asyncio.sleep(0)
    source.pause.set()
    assert [await each for each in asking[1:]] == [1] * 4


async def test_a_forgotten_value_is_loaded_again() -> None:
    source = Source()
    await source.values.get("a")
    source.values.forget("a")
    assert await source.values.get("a") == 2


async def test_the_number_of_values_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "MAX_ENTRIES", 3)
    source = Source()
    for key in "abcd":
        await source.values.get(key)
    assert len(source.values._values) == 3
    await source.values.get("a")
    assert source.loads == ["a", "b", "c", "d", "a"]


async def test_what_is_being_loaded_ends_with_the_owner() -> None:
    source = Source()
    source.pause.clear()
    asking = asyncio.ensure_future(source.values.get("a"))
    await asyncio.sleep(0)
    await source.values.close()
    with pytest.raises(asyncio.CancelledError):
        await asking
