"""Proofs on disk, one per epoch, and the duty to have each in time."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

import orjson
import zstandard
from sqlalchemy import Table, select

from pivot.api.database import Database
from pivot.api.each_moment import EachMoment
from pivot.api.http.errors import ApiError
from pivot.api.phases import Moment, Phases
from pivot.api.proofs.tables import MemberProof

MAX_DOCUMENT_BYTES = 256 * 2**20
EPOCHS_CAUGHT_UP = 8
"""A node that was away asks for so many epochs before the one in force; the chain may have them still."""


class ProofArchive:
    """What was proved once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, epoch: int) -> dict[str, Any] | None:
        """The answer of an epoch; None for one that was never kept."""
        async with self._database.session() as session:
            kept = await session.scalar(select(MemberProof.document).where(MemberProof.epoch == epoch))
        if kept is None:
            return None
        document: dict[str, Any] = orjson.loads(
            zstandard.ZstdDecompressor().decompress(kept, max_output_size=MAX_DOCUMENT_BYTES)
        )
        return document

    async def keep(self, epoch: int, document: dict[str, Any]) -> None:
        """Keep an answer for good. The first one of an epoch stays."""
        compressed = zstandard.ZstdCompressor().compress(orjson.dumps(document))
        await self._database.writer.add(cast("Table", MemberProof.__table__), {"epoch": epoch, "document": compressed})


class ProofKeeper:
    """Asks for every epoch's proof once, soon after its members are formed."""

    def __init__(self, prove: Callable[[int], Awaitable[Any]], phases: Phases) -> None:
        """prove: as the public port answers, which keeps what it has proved. Raises ApiError where there is nothing to prove."""
        self._prove = prove
        self._seen = 0
        self._steps = EachMoment("proofs of members", phases, self._step)

    async def start(self) -> None:
        self._steps.start()

    async def close(self) -> None:
        await self._steps.close()

    async def _step(self, moment: Moment) -> None:
        newest = moment.effective.index
        for epoch in range(max(1, self._seen + 1, newest - EPOCHS_CAUGHT_UP), newest + 1):
            try:
                await self._prove(epoch)
            except ApiError:
                if epoch == newest:  # its proof comes with the next block
                    return
            self._seen = epoch
