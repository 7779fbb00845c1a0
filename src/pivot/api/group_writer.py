"""Rows of many callers in one transaction: while one is being written, the next one gathers."""

import asyncio

from sqlalchemy import Table

from pivot.api.appending import Appender, Row

MAX_ROWS_PER_TRANSACTION = 2_000
LEISURE_SECONDS = 0.005
"""How long a row that is in no hurry waits for others to share a transaction with."""


class GroupWriter:
    """Adds rows to tables. A row whose primary key is there already changes nothing; a row names all columns of its table.

    One for a database (`Database.writer`): transactions of two would wait for each other's lock. A transaction costs some
    200 µs of processor time and a write to the disk, a row in it some 20 µs.
    """

    def __init__(self, appender: Appender) -> None:
        self._appender = appender
        self._waiting: list[tuple[Table, Row, asyncio.Future[None]]] = []
        self._hurried = False
        """Whether any of them is in a hurry."""
        self._leisure: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def add(self, table: Table, row: Row, *, hurried: bool = True) -> asyncio.Future[None]:
        """Queue a row. The future is done when the row is on disk, and raises what the database raised.

        Rows get to disk in the order in which they were added, those of one group together. hurried: at once, not within
        LEISURE_SECONDS.
        """
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((table, row, written))
        if hurried:
            self._hurried = True
            self._begin()
        elif self._leisure is None:
            self._leisure = asyncio.get_running_loop().call_later(LEISURE_SECONDS, self._end_leisure)
        return written

    async def flush(self) -> None:
        """Wait until all that was added is on disk."""
        while self._waiting or (self._task is not None and not self._task.done()):
            self._hurried = True
            self._begin()
            if self._task is not None:
                await asyncio.wait({self._task})

    async def close(self) -> None:
        """As `flush`, then let the database go."""
        await self.flush()
        await self._appender.close()

    def _end_leisure(self) -> None:
        self._leisure = None
        if self._waiting:
            self._hurried = True
            self._begin()

    def _begin(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._write_all())

    async def _write_all(self) -> None:
        """Groups, as long as anybody is in a hurry; those who are not go with them."""
        while self._hurried:
            group = self._waiting[:MAX_ROWS_PER_TRANSACTION]
            del self._waiting[: len(group)]
            self._hurried = bool(self._waiting)
            rows: dict[Table, list[Row]] = {}
            for table, row, _ in group:
                rows.setdefault(table, []).append(row)
            try:
                await self._appender.append(rows)
            except Exception as error:  # noqa: BLE001  whoever waits for a row gets it
                for _, _, written in group:
                    if not written.done():
                        written.set_exception(error)
                        written.exception()  # a row that nobody waits for is no loose end
            else:
                for _, _, written in group:
                    if not written.done():
                        written.set_result(None)
