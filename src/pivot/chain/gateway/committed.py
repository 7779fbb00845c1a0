"""Queries of the chain, answered from the last committed state in a few threads beside the event loop."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

from google.protobuf.message import Message
from grpc import StatusCode

from pivot.chain.errors import Rejection
from pivot.chain.gateway.methods import Answer, Method, method
from pivot.chain.gateway.refusals import Refusal, refused
from pivot.chain.handlers import QueryHandler, QueryTable
from pivot.chain.types import View

THREADS = 4
"""Queries that run at one time: one long list must not keep the short ones waiting."""
MAX_WAITING = 256
"""Queries that may wait for a thread; more are refused."""
MAX_CACHED_ANSWERS = 512
"""Answers that are remembered until the next block."""

Open = Callable[[], AbstractContextManager[View]]
"""Opens the last committed state. Called in a query's own thread."""

_log = logging.getLogger(__name__)


class CommittedState:
    """Runs query handlers over the last committed state."""

    def __init__(self, open_view: Open, *, threads: int = THREADS, max_waiting: int = MAX_WAITING) -> None:
        self._open = open_view
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="query")
        self._room = threads + max_waiting
        self._under_way = 0
        self._cached_height = -1
        self._cache: dict[tuple[str, bytes], Message] = {}

    def methods(self, queries: QueryTable) -> list[Method]:
        """The whole query table as methods of the gateway."""
        return [method(handler.method, self._answers(handler)) for handler in queries.all().values()]

    async def answer(self, handler: QueryHandler, request: Message, height: int | None) -> Answer:
        """One query. Raises Refusal: the handler's own, too many at one time, a height that is not the last one."""
        if self._under_way >= self._room:
            raise Refusal(StatusCode.RESOURCE_EXHAUSTED, "too many queries wait for an answer; ask again in a second")
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, handler, request, height)
        finally:
            self._under_way -= 1

    def close(self) -> None:
        """Wait for the queries under way, then end the threads."""
        self._threads.shutdown()

    def _answers(self, handler: QueryHandler) -> Callable[[Any, int | None], Any]:
        async def answer(request: Any, height: int | None) -> Answer:
            return await self.answer(handler, request, height)

        return answer

    def _read(self, handler: QueryHandler, request: Message, height: int | None) -> Answer:
        key = (handler.path, request.SerializeToString(deterministic=True))
        with self._open() as view:
            if height not in {None, 0, view.height}:
                sentence = f"height {height} is not kept: this node answers for its last block, {view.height}"
                raise Refusal(StatusCode.INVALID_ARGUMENT, sentence)
            cache = self._cache_of(view.height)
            response = cache.get(key)
            if response is None:
                response = self._ask(handler, view, request)
                if len(cache) < MAX_CACHED_ANSWERS:
                    cache[key] = response
            return Answer(response, view.height)

    def _ask(self, handler: QueryHandler, view: View, request: Message) -> Message:
        try:
            return handler.answer(view, request)
        except Rejection as rejection:
            raise refused(rejection) from rejection
        except Exception as error:
            _log.exception("the query %s failed", handler.path)
            raise Refusal(StatusCode.INTERNAL, "the query failed; the node's log says why") from error

    def _cache_of(self, height: int) -> dict[tuple[str, bytes], Message]:
        """Answers at this height. A thread that still reads an older block gets an empty dictionary of its own."""
        if height > self._cached_height:
            self._cached_height, self._cache = height, {}
        return self._cache if height == self._cached_height else {}
