"""Callers that wait for entries of the outbox to be settled."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from pivot.api.ledger.interface import Outcome


class Waiters:
    """Whoever waits, by the entry's key."""

    def __init__(self) -> None:
        self._futures: dict[str, set[asyncio.Future[Outcome]]] = {}

    @contextmanager
    def future(self, key: str) -> Iterator["asyncio.Future[Outcome]"]:
        """The outcome of an entry from now on."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        waiting = self._futures.setdefault(key, set())
        waiting.add(future)
        try:
            yield future
        finally:
            waiting.discard(future)
            if not waiting:
                self._futures.pop(key, None)

    def tell(self, outcomes: Iterable[Outcome]) -> None:
        """These entries are settled."""
        for outcome in outcomes:
            for future in self._futures.get(outcome.key, ()):
                if not future.done():
                    future.set_result(outcome)
