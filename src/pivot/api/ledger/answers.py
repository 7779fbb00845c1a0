"""Answers of the chain that are remembered: what cannot change for good, what can for about a block."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

Value = TypeVar("Value")

MAX_ENTRIES = 4_096
"""The oldest ones go first."""
MAX_AGE_SECONDS = 10.0
"""An answer is asked for again after this time even if no new block was seen."""


@dataclass(frozen=True)
class _Entry:
    value: Any
    height: int
    asked_at: float


class BriefAnswers:
    """Answers that hold for the block in which they were given.

    One that is a block old is still given, while it is asked for anew behind: so a busy caller never waits for the chain,
    and nobody sees anything older. Callers that want the same thing at the same time share one question.
    """

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        self._max_entries = max_entries
        self._height = 0
        self._entries: dict[Hashable, _Entry] = {}
        self._asking: dict[Hashable, asyncio.Task[Any]] = {}

    def advance(self, height: int) -> None:
        """A new block was seen."""
        self._height = max(self._height, height)

    def put(self, key: Hashable, value: object, height: int) -> None:
        """Remember an answer that was given at `height`."""
        self._entries.pop(key, None)
        self._entries[key] = _Entry(value, height, asyncio.get_running_loop().time())
        while len(self._entries) > self._max_entries:
            del self._entries[next(iter(self._entries))]

    async def get(self, key: Hashable, ask: Callable[[], Awaitable[Value]]) -> Value:
        """The remembered answer, or that of `ask`, whose errors are passed on and not remembered."""
        entry = self._entries.get(key)
        if entry is not None and asyncio.get_running_loop().time() - entry.asked_at < MAX_AGE_SECONDS:
            if entry.height >= self._height:
                return cast("Value", entry.value)
            if entry.height == self._height - 1:
                self._ask(key, ask)
                return cast("Value", entry.value)
        return cast("Value", await asyncio.shield(self._ask(key, ask)))

    async def close(self) -> None:
        """End the questions that are under way."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ask(self, key: Hashable, ask: Callable[[], Awaitable[Any]]) -> "asyncio.Task[Any]":
        task = self._asking.get(key)
        if task is None:
            task = asyncio.ensure_future(self._fetch(key, ask))
            self._asking[key] = task
            task.add_done_callback(_note_error)
        return task

    async def _fetch(self, key: Hashable, ask: Callable[[], Awaitable[Any]]) -> Any:
        height = self._height
        try:
            value = await ask()
            self.put(key, value, height)
            return value
        finally:
            del self._asking[key]


class LastingAnswers:
    """Answers that cannot change. `None` is no answer and is not remembered."""

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        self._max_entries = max_entries
        self._entries: dict[Hashable, Any] = {}

    async def get(self, key: Hashable, ask: Callable[[], Awaitable[Value | None]]) -> Value | None:
        """The remembered answer, or that of `ask`."""
        if key in self._entries:
            return cast("Value", self._entries[key])
        answer = await ask()
        if answer is not None:
            self._entries[key] = answer
            if len(self._entries) > self._max_entries:
                del self._entries[next(iter(self._entries))]
        return answer


def _note_error(task: "asyncio.Task[Any]") -> None:
    """A question that nobody waits for may fail; the next caller asks again."""
    if not task.cancelled():
        task.exception()
