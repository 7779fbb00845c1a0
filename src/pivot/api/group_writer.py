"""Rows of many callers in one transaction: while one is being written, the next one gathers."""

import asyncio

from sqlalchemy import Table

from pivot.api.appending import Appender, Row

MAX_ROWS_PER_TRANSACTION = 2_000


class GroupWriter:
    """Adds rows to tables. A row whose primary key is there already changes nothing; a row names all columns of its table.

    One for a database (`Database.writer`): transactions of two would wait for each other's lock.
    """

    def __init__(self, appender: Appender) -> None:
        self._appender = appender
        self._waiting: list[tuple[Table, Row, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    def add(self, table: Table, row: Row) -> asyncio.Future[None]:
        """Queue a row. The future is done when the row is on disk, and raises what the database raised.

        Rows get to disk in the order in which they were added, those of one group together.
        """
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((table, row, written))
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._write_all())
        return written

    async def flush(self) -> None:
        """Wait until all that was added is on disk."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def close(self) -> None:
        """As `flush`, then let the database go."""
        await self.flush()
        await self._appender.close()

    async def _write_all(self) -> None:
        while self._waiting:
            group = self._waiting[:MAX_ROWS_PER_TRANSACTION]
            del self._waiting[: len(group)]
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
