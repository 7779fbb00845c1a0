"""Stops work whose client has gone away."""

import asyncio
from contextlib import aclosing
from typing import Self, cast

from pivot.api.http.body import Receive
from pivot.api.inference.parts import Bound, Parts

WATCHED_AFTER_SECONDS = 0.05
"""Many answers have come by then, and to watch costs some 3 % of one."""


class Presence:
    """While the context is open, the task that runs it is cancelled as soon as the client closes its connection.

    The context then ends quietly: nobody is left to hear of it. A cancellation by anyone else passes through.
    Not so once an answer is bound to be finished: it is carried on, and what is sent reaches nobody.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._gone = False
        self._watch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = cast("asyncio.Task[object]", asyncio.current_task())
        self._timer = asyncio.get_running_loop().call_later(WATCHED_AFTER_SECONDS, self._begin)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        self._end()
        if self._gone and kind is not None and issubclass(kind, asyncio.CancelledError):
            return self._task.uncancel() == 0
        return False

    async def attended(self, parts: Parts) -> Parts:
        """The parts of an answer, without those that concern this context alone."""
        async with aclosing(parts):
            async for part in parts:
                if isinstance(part, Bound):
                    self._end()
                else:
                    yield part

    def _begin(self) -> None:
        self._watch = asyncio.ensure_future(self._wait())

    def _end(self) -> None:
        self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        self._task.cancel()
