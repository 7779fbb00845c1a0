"""Answers of the chain that the request path may use for a moment without asking again."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

MAX_ENTRIES = 4_096

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Remembered(Generic[Key, Value]):
    """Values by key, loaded when first asked for.

    Up to `fresh_s` seconds a value is simply given. Up to `stale_s` it is given too while it is loaded anew in the
    background, so that no request waits for a look-up that another one has made, and requests go on while the chain's
    gateway is away for a moment. After that the caller waits. Errors are not remembered.
    """

    def __init__(
        self,
        load: Callable[[Key], Awaitable[Value]],
        *,
        fresh_s: float,
        stale_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._fresh_s = fresh_s
        self._stale_s = stale_s
        self._clock = clock
        self._values: dict[Key, tuple[float, Value]] = {}
        self._loading: dict[Key, asyncio.Task[Value]] = {}

    async def get(self, key: Key) -> Value:
        """The value of a key. Raises what loading it raises."""
        known = self._values.get(key)
        if known is not None:
            age = self._clock() - known[0]
            if age <= self._fresh_s:
                return known[1]
            if age <= self._stale_s:
                self._reload(key)
                return known[1]
        return await asyncio.shield(self._reload(key))

    def forget(self, key: Key) -> None:
        """Let the next caller ask anew."""
        self._values.pop(key, None)

    async def close(self) -> None:
        """Stop what is still being loaded."""
        tasks = list(self._loading.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _reload(self, key: Key) -> asyncio.Task[Value]:
        task = self._loading.get(key)
        if task is None:
            task = self._loading[key] = asyncio.ensure_future(self._fetch(key))
            task.add_done_callback(lambda done: self._loaded(key, done))
        return task

    async def _fetch(self, key: Key) -> Value:
        value = await self._load(key)
        self._values.pop(key, None)
        self._values[key] = (self._clock(), value)
        if len(self._values) > MAX_ENTRIES:
            del self._values[next(iter(self._values))]
        return value

    def _loaded(self, key: Key, task: asyncio.Task[Value]) -> None:
        del self._loading[key]
        if not task.cancelled():
            task.exception()  # whoever waits gets it; nobody else needs to hear of it
