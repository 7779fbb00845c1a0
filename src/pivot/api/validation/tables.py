"""What must survive a restart: the checks that this host owes, and what it found."""

from enum import IntEnum

from sqlalchemy import BigInteger, Index, Integer, SmallInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from pivot.api.database import Base

LONGEST_REASON = 500


class Kind(IntEnum):
    """Why an answer is checked."""

    DUTY = 1
    VOTE = 2


class State(IntEnum):
    """How far a check is."""

    QUEUED = 1
    JUDGED = 2
    """The verdict stands, and is to be told to the chain."""
    SENT = 3
    """It is in the outbox."""
    DONE = 4
    DROPPED = 5
    """The chain does not want it, or nobody could tell in time."""


class DrawnSegment(Base):
    """A segment whose duties are in the queue."""

    __tablename__ = "drawn_segments"

    epoch: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    segment: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)


class Check(Base):
    """One answer that this host must check, or vote on."""

    __tablename__ = "answer_checks"
    __table_args__ = (Index("answer_checks_open", "state", "not_before_ms"),)

    inference_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    kind: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    epoch: Mapped[int] = mapped_column(BigInteger)
    segment: Mapped[int] = mapped_column(SmallInteger)
    model: Mapped[str] = mapped_column(String(256))
    accuser: Mapped[str] = mapped_column(String(64))
    """Of a dispute: it has the artifact, too."""
    state: Mapped[int] = mapped_column(SmallInteger)
    attempts: Mapped[int] = mapped_column(Integer)
    not_before_ms: Mapped[int] = mapped_column(BigInteger)
    """Since 1970."""
    patience_height: Mapped[int] = mapped_column(BigInteger)
    """From here on an artifact that is not handed out is withheld."""
    deadline_height: Mapped[int] = mapped_column(BigInteger)
    """Last height at which the verdict is of use."""
    verdict: Mapped[int] = mapped_column(SmallInteger)
    """AnswerVerdict."""
    value_e6: Mapped[int] = mapped_column(Integer)
    reason: Mapped[str] = mapped_column(String(LONGEST_REASON))
    sent_key: Mapped[str] = mapped_column(String(200))
    """Of the outbox."""
