"""Answers are remembered no longer than they may hold."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from pivot.api.ledger import answers
from pivot.api.ledger.answers import BriefAnswers, LastingAnswers


class Source:
    """Counts how often it is asked; answers with the count."""

    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = None

    async def __call__(self) -> int:
        self.asked += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return self.asked


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_an_answer_holds_for_its_block() -> None:
    brief, source = BriefAnswers(), Source()
    assert [await brief.get("a", source) for _ in range(3)] == [1, 1, 1]
    assert await brief.get("b", source) == 2


async def test_an_answer_of_one_block_ago_is_given_while_it_is_asked_for_anew() -> None:
    brief, source = BriefAnswers(), Source()
    assert await brief.get("a", source) == 1
    brief.advance(1)
    assert await brief.get("a", source) == 1
    await settle()
    assert await brief.get("a", source) == 2


async def test_an_answer_of_two_blocks_ago_is_not_given() -> None:
    brief, source = BriefAnswers(), Source()
    await brief.get("a", source)
    brief.advance(2)
    brief.advance(1)
    assert await brief.get("a", source) == 2


async def test_an_answer_grows_old_without_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    brief, source = BriefAnswers(), Source()
    await brief.get("a", source)
    monkeypatch.setattr(answers, "MAX_AGE_SECONDS", 0.0)
    assert await brief.get("a", source) == 2


async def test_callers_at_the_same_time_share_one_question() -> None:
    brief, source = BriefAnswers(), Source()
    assert await asyncio.gather(*(brief.get("a", source) for _ in range(10))) == [1] * 10


async def test_a_caller_who_leaves_does_not_take_the_answer_from_the_others() -> None:
    brief, source = BriefAnswers(), Source()
    leaving = asyncio.create_task(brief.get("a", source))
    staying = asyncio.create_task(brief.get("a", source))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == 1


async def test_errors_are_told_and_not_remembered() -> None:
    brief, source = BriefAnswers(), Source()
    source.error = ValueError("no")
    with pytest.raises(ValueError, match="no"):
        await brief.get("a", source)
    source.error = None
    assert await brief.get("a", source) == 2


async def test_an_error_behind_the_callers_back_leaves_the_old_answer() -> None:
    brief, source = BriefAnswers(), Source()
    await brief.get("a", source)
    brief.advance(1)
    source.error = ValueError("no")
    assert await brief.get("a", source) == 1
    await settle()
    assert await brief.get("a", source) == 1


async def test_questions_end_with_their_owner() -> None:
    brief = BriefAnswers()

    async def never() -> int:
        await asyncio.Event().wait()
        return 0

    waiting = asyncio.create_task(brief.get("a", never))
    await asyncio.sleep(0)
    await brief.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize("kind", [BriefAnswers, LastingAnswers])
async def test_memory_is_bounded(kind: type[BriefAnswers | LastingAnswers]) -> None:
    remembered, source = kind(max_entries=2), Source()
    ask: Callable[[], Awaitable[int]] = source
    for key in ("a", "b", "c"):
        await remembered.get(key, ask)
    assert await remembered.get("c", ask) == 3
    assert await remembered.get("a", ask) == 4


async def test_what_cannot_change_is_asked_for_once_and_what_is_not_there_again() -> None:
    lasting = LastingAnswers()
    found: list[str | None] = [None, "group"]

    async def ask() -> str | None:
        return found.pop(0)

    assert [await lasting.get("a", ask) for _ in range(4)] == [None, "group", "group", "group"]
