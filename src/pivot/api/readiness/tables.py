"""What is written to see whether the database can be written to."""

from sqlalchemy import BigInteger, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from pivot.api.database import Base


class Heartbeat(Base):
    """The one row."""

    __tablename__ = "heartbeat"

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    written_ns: Mapped[int] = mapped_column(BigInteger)
    """By this machine's clock."""
