"""What must be recorded once a request has been answered, whether or not anybody still waits for it.

It is written behind the answer's last byte, so a process that is killed in the milliseconds between the two loses the record of
that answer. A process that is told to end waits for all of them.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

PAUSES_SECONDS = (1.0, 5.0, 15.0, 60.0, 120.0)
"""Between attempts: a database may be locked, a disk full, for a while."""

log = structlog.get_logger(__name__)


class Settlements:
    """Records under way."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._hurry = asyncio.Event()

    def later(self, inference_id: str, record: Callable[[], Awaitable[None]]) -> None:
        """Write a record behind the caller's back; `record` is called again while it fails."""
        task = asyncio.ensure_future(self._settle(inference_id, record))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait until everything is recorded; what has failed is tried once more, at once."""
        self._hurry.set()
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        self._hurry.clear()

    async def _settle(self, inference_id: str, record: Callable[[], Awaitable[None]]) -> None:
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
