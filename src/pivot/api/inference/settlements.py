"""What must be recorded once a request has been answered, whether or not anybody still waits for it.

It is written behind the answer's last byte, so a process that is killed in the milliseconds between the two loses the record of
that answer. A process that is told to end waits for all of them. Requests that come together are answered first, and recorded
together: recording one takes as long as a third of answering it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context

import structlog

BEHIND_SECONDS = 0.01
"""How long a record waits for answers that are about to be given."""
PAUSES_SECONDS = (1.0, 5.0, 15.0, 60.0, 120.0)
"""Between attempts: a database may be locked, a disk full, for a while."""

Record = Callable[[], Awaitable[None]]

log = structlog.get_logger(__name__)


class Settlements:
    """Records under way."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, Record, Context]] = []
        self._beginning: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._hurry = asyncio.Event()

    def later(self, inference_id: str, record: Record) -> None:
        """Write a record behind the caller's back; `record` is called again while it fails. They begin in the order in which they come."""
        self._waiting.append((inference_id, record, copy_context()))  # its log names the request
        if self._beginning is None:
            self._beginning = asyncio.get_running_loop().call_later(BEHIND_SECONDS, self._begin)

    async def close(self) -> None:
        """Wait until everything is recorded; what has failed is tried once more, at once."""
        self._hurry.set()
        self._begin()
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._begin()
        self._hurry.clear()

    def _begin(self) -> None:
        if self._beginning is not None:
            self._beginning.cancel()
            self._beginning = None
        waiting, self._waiting = self._waiting, []
        for inference_id, record, context in waiting:
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
