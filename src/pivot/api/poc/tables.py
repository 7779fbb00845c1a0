"""What must survive a restart: this host's part in each sprint, and its votes on others."""

from sqlalchemy import BigInteger, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from pivot.api.database import Base


class SprintRow(Base):
    """The books of a sprint, closed: written before the commit is sent."""

    __tablename__ = "poc_sprints"

    epoch: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    """Last element of the hash chain whose tip the commit holds."""
    commit: Mapped[bytes] = mapped_column(LargeBinary)
    """MsgCommitPoc; empty when there was nothing to commit to."""


class VotesRow(Base):
    """The votes on an epoch's proofs: written before their hash is sent."""

    __tablename__ = "poc_votes"

    epoch: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    votes: Mapped[bytes] = mapped_column(LargeBinary)
    """MsgSubmitPocVotes, salt included."""
