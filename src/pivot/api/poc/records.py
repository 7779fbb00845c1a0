"""The host's records of proof of compute in the database."""

from dataclasses import dataclass

from sqlalchemy import delete

from pivot.api.database import Database
from pivot.api.poc.tables import SprintRow, VotesRow
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgCommitPoc, MsgSubmitPocVotes

KEPT_EPOCHS = 2
"""What belongs to an epoch is kept until the epoch after next has ended."""


@dataclass(frozen=True)
class SprintRecord:
    """A sprint whose books are closed."""

    epoch: int
    secret: bytes
    commit: MsgCommitPoc | None
    """None when there was nothing to commit to."""


async def sprint_record(database: Database, epoch: int) -> SprintRecord | None:
    """None while the books are open, or when this host had none."""
    async with database.session() as session:
        row = await session.get(SprintRow, epoch)
        if row is None:
            return None
        return SprintRecord(epoch, row.secret, MsgCommitPoc.FromString(row.commit) if row.commit else None)


async def keep_sprint(database: Database, record: SprintRecord) -> None:
    """Close the books for good."""
    commit = record.commit.SerializeToString() if record.commit else b""
    async with database.session() as session:
        session.add(SprintRow(epoch=record.epoch, secret=record.secret, commit=commit))


async def votes_record(database: Database, epoch: int) -> MsgSubmitPocVotes | None:
    """The votes that this host has decided on."""
    async with database.session() as session:
        row = await session.get(VotesRow, epoch)
        return MsgSubmitPocVotes.FromString(row.votes) if row else None


async def keep_votes(database: Database, votes: MsgSubmitPocVotes) -> None:
    """Decide on votes for good."""
    async with database.session() as session:
        session.add(VotesRow(epoch=votes.epoch_index, votes=votes.SerializeToString()))


async def prune_records(database: Database, latest: int) -> None:
    """Forget epochs that are over for good."""
    async with database.session() as session:
        await session.execute(delete(SprintRow).where(SprintRow.epoch < latest - KEPT_EPOCHS))
        await session.execute(delete(VotesRow).where(VotesRow.epoch < latest - KEPT_EPOCHS))
