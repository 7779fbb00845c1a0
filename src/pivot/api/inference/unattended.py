"""Whole answers whose developer has left: their engines finish them, and they are settled in full.

They could be stopped, but nothing of them could be settled then: an answer that comes in one piece has no tokens before its
end. So anybody could have long ones computed for nothing, by leaving just before.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from http import HTTPStatus

import aiohttp
import structlog

from pivot.api.inference import engine, relaying
from pivot.api.inference.embeddings import Vectors
from pivot.api.inference.transcript import Transcript

LAST_SECONDS = 5.0
"""How long they may take once the node is told to end."""

log = structlog.get_logger(__name__)


class Unattended:
    """Answers that nobody waits for."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def take(
        self,
        lent: AsyncExitStack,
        transcript: Transcript | Vectors,
        settle: Callable[[], None],
        asked: asyncio.Future[engine.EngineAnswer],
    ) -> None:
        """Note an engine's answer when it has come, and settle it. It keeps what was lent for it, and has the time of any other."""
        task = asyncio.ensure_future(_finish(lent.pop_all(), transcript, settle, asked))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait for a little, then stop those that are left."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LAST_SECONDS)
        left = list(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def _finish(
    lent: AsyncExitStack,
    transcript: Transcript | Vectors,
    settle: Callable[[], None],
    asked: asyncio.Future[engine.EngineAnswer],
) -> None:
    try:
        async with lent:
            with closing(await asked) as reply:
                if reply.status == HTTPStatus.OK:
                    await relaying.whole(reply, transcript)
    except (aiohttp.ClientError, OSError, engine.EngineFailed, *relaying.UNREADABLE) as error:
        log.warning("unattended_answer_failed", inference_id=transcript.inference_id, reason=repr(error))
    else:
        settle()
