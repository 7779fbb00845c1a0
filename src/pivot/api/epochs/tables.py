"""What must survive a restart: the epochs that this host has seen in force."""

from sqlalchemy import BigInteger, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from pivot.api.database import Base


class ServedEpoch(Base):
    """The record of an epoch in force, as its answers are still checked when the next one is."""

    __tablename__ = "served_epochs"

    epoch: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    record: Mapped[bytes] = mapped_column(LargeBinary)
    """Epoch."""
