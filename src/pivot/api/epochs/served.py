"""The records of the epochs that still ask duties of this host: the one in force, and the one before, which is told no more."""

from sqlalchemy import delete

from pivot.api.database import Database
from pivot.api.epochs.tables import ServedEpoch
from pivot.api.ledger.interface import Chain, ChainRefused
from pivot.api.phases import Moment
from pivot.protocol.epochs import boundaries
from pivot.protocol.generated.inference.inference.query_pb2 import QueryEpochRecordRequest, QueryEpochRecordResponse
from pivot.protocol.generated.inference.inference.types_pb2 import Epoch

QUERY = "/inference.inference.Query"
KEPT_EPOCHS = 2


class ServedEpochs:
    """Remembers every epoch that was in force, and asks the chain for one that this node has not seen."""

    def __init__(self, database: Database, chain: Chain) -> None:
        self._database = database
        self._chain = chain
        self._kept: dict[int, Epoch] = {}

    async def note(self, current: Epoch) -> None:
        """An epoch is in force."""
        if current.index in self._kept:
            return
        self._kept[current.index] = current
        async with self._database.session() as session:
            if await session.get(ServedEpoch, current.index) is None:
                session.add(ServedEpoch(epoch=current.index, record=current.SerializeToString()))
            oldest = current.index - KEPT_EPOCHS
            await session.execute(delete(ServedEpoch).where(ServedEpoch.epoch < oldest))
        self._kept = {index: epoch for index, epoch in self._kept.items() if index >= oldest}

    async def get(self, index: int, moment: Moment) -> Epoch:
        """The record of the epoch in force or of the one before. Raises LedgerError.

        Of one that the chain has pruned, too, what it must have been if it had the parameters of the one in force.
        """
        found = self._kept.get(index)
        if found is not None:
            return found
        if index == moment.effective.index:
            return moment.effective
        async with self._database.session() as session:
            row = await session.get(ServedEpoch, index)
        if row is not None:
            self._kept[index] = Epoch.FromString(row.record)
            return self._kept[index]
        try:
            self._kept[index] = await self._ask(index)
        except ChainRefused as refusal:
            if not refusal.not_found:
                raise
            return earlier(moment.effective, index)
        return self._kept[index]

    async def _ask(self, index: int) -> Epoch:
        request = QueryEpochRecordRequest(epoch_index=index)
        return (await self._chain.query(f"{QUERY}/EpochRecord", request, QueryEpochRecordResponse)).epoch


def earlier(current: Epoch, index: int) -> Epoch:
    """An epoch before `current`, as if it had had the same parameters."""
    params = current.params.epoch_params
    start = current.boundaries.poc_start - params.epoch_length * (current.index - index)
    return Epoch(index=index, params=current.params, boundaries=boundaries(params, start))
