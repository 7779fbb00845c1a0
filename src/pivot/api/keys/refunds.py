"""What the chain gives back for an answer that it has found wrong, the key that was charged for it gets back, too.

Disputes are few, so the chain is asked for all of them; what a key was charged is on disk for as long as a dispute can end.
"""

from collections.abc import AsyncIterator, Collection

from sqlalchemy import delete, select, update

from pivot.api.database import Database
from pivot.api.keys.issued import IssuedKeys, Usage
from pivot.api.keys.tables import ApiKey, KeyAnswer
from pivot.api.ledger.interface import Chain
from pivot.api.phases import Moment
from pivot.protocol.generated.inference.inference.query_pb2 import QueryDisputesRequest, QueryDisputesResponse
from pivot.protocol.generated.inference.inference.types_pb2 import DisputeOutcome, InferenceStatus

DISPUTES = "/inference.inference.Query/Disputes"
PAGE_SIZE = 1_000
LOOK_EVERY_BLOCKS = 10
IDS_AT_A_TIME = 500


class Refunds:
    """Looks for answers of API keys that were invalidated after they had been charged."""

    def __init__(self, keys: IssuedKeys, chain: Chain, database: Database) -> None:
        self._keys = keys
        self._chain = chain
        self._database = database
        self._looked_height = 0

    async def look(self, moment: Moment) -> None:
        """Credit what was given back, once; forget answers that nobody can dispute any more. Raises LedgerError."""
        height = moment.head.height
        if height < self._looked_height + LOOK_EVERY_BLOCKS:
            return
        await self._forget_before(moment.effective.index - _epochs_remembered(moment))
        async for ids in self._invalidated():
            for answer in await self._charged(ids):
                await self._credit(answer)
        self._looked_height = height

    async def _invalidated(self) -> AsyncIterator[list[str]]:
        """Ids of all answers that the chain remembers to have found wrong."""
        request = QueryDisputesRequest()
        request.pagination.limit = PAGE_SIZE
        while True:
            page = await self._chain.query(DISPUTES, request, QueryDisputesResponse)
            wrong = [each.inference_id for each in page.disputes if each.outcome == DisputeOutcome.DISPUTE_INVALID]
            for start in range(0, len(wrong), IDS_AT_A_TIME):
                yield wrong[start : start + IDS_AT_A_TIME]
            if not page.pagination.next_key:
                return
            request.pagination.key = page.pagination.next_key

    async def _charged(self, ids: Collection[str]) -> list[KeyAnswer]:
        """Those of them that a key was charged for, and that it has not got back."""
        async with self._database.session() as session:
            return list(await session.scalars(select(KeyAnswer).where(KeyAnswer.inference_id.in_(ids))))

    async def _credit(self, answer: KeyAnswer) -> None:
        """Give back what the chain has, on disk and then in memory. What the record still costs was not given back."""
        record = await self._chain.inference(answer.inference_id)
        if record is None or record.status != InferenceStatus.INVALIDATED:
            return
        back = Usage(record.actual_cost - answer.spent, -1, -answer.prompt_tokens, -answer.completion_tokens)
        async with self._database.session() as session:
            await session.execute(update(ApiKey).where(ApiKey.id == answer.key_id).values(back.added()))
            await session.execute(delete(KeyAnswer).where(KeyAnswer.inference_id == answer.inference_id))
        self._keys.by_id(answer.key_id).used.add(back)

    async def _forget_before(self, epoch: int) -> None:
        async with self._database.session() as session:
            await session.execute(delete(KeyAnswer).where(KeyAnswer.epoch < epoch))


def _epochs_remembered(moment: Moment) -> int:
    """After so many epochs the chain remembers neither the answer nor its dispute."""
    return int(moment.effective.params.epoch_params.inference_pruning_epoch_threshold) + 1
