"""The outbox's table."""

from enum import IntEnum

from sqlalchemy import BigInteger, Index, Integer, LargeBinary, SmallInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from pivot.api.database import Base

LONGEST_KEY = 200


class Kind(IntEnum):
    """How an entry travels."""

    ALONE = 0
    START = 1
    FINISH = 2


class State(IntEnum):
    """How far an entry has come."""

    QUEUED = 0
    SENT = 1
    DONE = 2
    REFUSED = 3
    EXPIRED = 4


class OutboxRow(Base):
    """One logical message to the chain, under its natural key."""

    __tablename__ = "outbox"
    __table_args__ = (Index("outbox_open", "state", "kind", "sequence"), Index("outbox_settled", "settled_ns"))

    key: Mapped[str] = mapped_column(String(LONGEST_KEY), primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger)
    """Order of arrival."""
    kind: Mapped[int] = mapped_column(SmallInteger)
    message: Mapped[bytes] = mapped_column(LargeBinary)
    """Any; empty once the entry is settled."""
    deadline_height: Mapped[int] = mapped_column(BigInteger)
    """0: never."""
    state: Mapped[int] = mapped_column(SmallInteger, default=State.QUEUED)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    """Refusals so far that may pass."""
    not_before: Mapped[int] = mapped_column(BigInteger, default=0)
    """Height of the next attempt."""
    batch_limit: Mapped[int] = mapped_column(Integer)
    """Most items that may travel with this one: halved whenever a whole batch is refused."""
    transaction: Mapped[str] = mapped_column(String(64), default="")
    """Hash in hex of the transaction that carries it, or carried it last."""
    timeout_ns: Mapped[int] = mapped_column(BigInteger, default=0)
    """Block time until which that transaction is valid."""
    code: Mapped[int] = mapped_column(Integer, default=0)
    log: Mapped[str] = mapped_column(Text, default="")
    height: Mapped[int] = mapped_column(BigInteger, default=0)
    settled_ns: Mapped[int] = mapped_column(BigInteger, default=0)
    """Block time at which it was settled; 0: it is not."""
