"""The records of the epochs whose answers are checked now: the one in force and the one before, which the chain no longer tells."""

from sqlalchemy import delete

from pivot.api.database import Database
from pivot.api.phases import Moment
from pivot.api.validation.tables import ServedEpoch
from pivot.protocol.epochs import boundaries
from pivot.protocol.generated.inference.inference.types_pb2 import Epoch

KEPT_EPOCHS = 2


class ServedEpochs:
    """Remembers every epoch while it is in force."""

    def __init__(self, database: Database) -> None:
        self._database = database
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
        """The record of the epoch in force or of the one before; of one that this node has not seen what it must have been.

        The parameters of an epoch that was missed are taken to be those of the one in force.
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
        return earlier(moment.effective, index)


def earlier(current: Epoch, index: int) -> Epoch:
    """An epoch before `current`, as if it had had the same parameters."""
    params = current.params.epoch_params
    start = current.boundaries.poc_start - params.epoch_length * (current.index - index)
    return Epoch(index=index, params=current.params, boundaries=boundaries(params, start))
