"""What must be recorded once a request has been answered, whether or not anybody still waits for it.

It is written behind the answer's last byte, so a process that is killed in the milliseconds between the two loses the record of
that answer. A process that is told to end waits for all of them. Requests that come together are answered first, and recorded
together: recording one takes as long as a third of answering it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from typing import NamedTuple

import structlog

BEHIND_SECONDS = 0.01
"""How long a record waits for answers that are about to be given."""
PAUSES_SECONDS = (1.0, 5.0, 15.0, 60.0, 120.0)
"""Between attempts: a database may be locked, a disk full, for a while."""

Record = Callable[[], Awaitable[None]]

log = structlog.get_logger(__name__)


class _Waiting(NamedTuple):
    due_s: float
    """By the loop's clock."""
    inference_id: str
    record: Record
    context: Context
    """Its log names the request."""


class Settlements:
    """Records under way."""

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._hurry = asyncio.Event()

    def later(self, inference_id: str, record: Record) -> None:
        """Write a record behind the caller's back; `record` is called again while it fails. They begin in the order in which they come."""
        due_s = asyncio.get_running_loop().time() + BEHIND_SECONDS
        self._waiting.append(_Waiting(due_s, inference_id, record, copy_context()))
        if self._timer is None:
            self._begin_due()

    async def close(self) -> None:
        """Wait until everything is recorded; what has failed is tried once more, at once."""
        self._hurry.set()
        while self._waiting or self._tasks:
            while self._waiting:
                self._begin()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        self._hurry.clear()

    def _begin_due(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting and self._waiting[0].due_s <= loop.time():
            self._begin()
        self._timer = loop.call_at(self._waiting[0].due_s, self._begin_due) if self._waiting else None

    def _begin(self) -> None:
        _, inference_id, record, context = self._waiting.popleft()
        task = asyncio.get_running_loop().create_task(self._settle(inference_id, record), context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _settle(self, inference_id: str, record: Record) -> None:
        for pause_s in (*PAUSES_SECONDS, None):
            last = pause_s is None or self._hurry.is_set()
            try:
                await record()
            except Exception as error:
                if last:
                    log.exception("not_recorded", inference_id=inference_id)
                    return
                log.warning("not_recorded_yet", inference_id=inference_id, reason=str(error))
            else:
                return
            await asyncio.wait({waiting := asyncio.ensure_future(self._hurry.wait())}, timeout=pause_s)
            waiting.cancel()
