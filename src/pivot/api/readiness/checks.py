"""Whether this node can do its work now (`/readyz`), and if not, why, in sentences.

The database is asked by writing to it: a full disk still reads well.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError

from pivot.api.database import Database
from pivot.api.phases import Moment, Phases
from pivot.api.readiness.tables import Heartbeat

SILENCE_SECONDS = 60.0
"""A chain without a new block for so long is not followed any more."""
WRITE_EVERY_SECONDS = 5.0
"""Anybody may ask; the disk is written to no more often."""
WRITE_SECONDS = 5.0
NOT_BEGUN = "this node waits for its chain node"

Check = Callable[[], Awaitable[str]]
"""Why the node is not ready, or an empty sentence."""


class Readiness:
    """All that must hold before requests are sent here."""

    def __init__(self) -> None:
        self._checks: list[Check] = []
        self.begun = False
        """Every part of the node runs."""
        self.ending = False

    def require(self, check: Check) -> None:
        """One more thing that must hold."""
        self._checks.append(check)

    async def reasons(self) -> list[str]:
        """Why the node is not ready; empty when it is."""
        if self.ending:
            return ["this node ends"]
        if not self.begun:
            return [NOT_BEGUN]
        return [reason for check in self._checks if (reason := await check())]


class ChainFollowed:
    """New blocks come, and they are the network's newest."""

    def __init__(self, phases: Phases, clock: Callable[[], float] = time.monotonic) -> None:
        self._phases = phases
        self._clock = clock
        self._told_at = clock()
        phases.listen(self._note)

    async def __call__(self) -> str:
        moment = self._phases.moment
        if moment is None:
            return "no block has been seen yet"
        if not moment.synced:
            return f"the chain node catches up with its network; it is at block {moment.head.height}"
        silent_s = self._clock() - self._told_at
        if silent_s > SILENCE_SECONDS:
            return f"no new block for {silent_s:.0f} s; the last one is {moment.head.height}"
        return ""

    async def _note(self, _: Moment) -> None:
        self._told_at = self._clock()


class Registering(Protocol):
    """What is asked of the registration (`registration.py`)."""

    @property
    def done(self) -> bool: ...


class Registered:
    """The chain has this host as it is configured."""

    def __init__(self, registration: Registering) -> None:
        self._registration = registration

    async def __call__(self) -> str:
        return "" if self._registration.done else "this host is not registered on the chain yet"


class DatabaseWritten:
    """The database takes a row."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._asked_at = float("-inf")
        self._reason = ""
        self._lock = asyncio.Lock()

    async def __call__(self) -> str:
        async with self._lock:
            if self._clock() - self._asked_at >= WRITE_EVERY_SECONDS:
                self._reason = await self._write()
                self._asked_at = self._clock()
            return self._reason

    async def _write(self) -> str:
        try:
            async with asyncio.timeout(WRITE_SECONDS), self._database.session() as session:
                await session.merge(Heartbeat(id=1, written_ns=time.time_ns()))
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            cause = getattr(error, "orig", None) or error
            return f"the database cannot be written to: {type(cause).__name__} {cause}".rstrip()
        return ""
