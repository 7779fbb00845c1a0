"""Whose database this is."""

from sqlalchemy import SmallInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from pivot.api.database import Base

MAX_ADDRESS_CHARACTERS = 100


class Host(Base):
    """The one row."""

    __tablename__ = "host"

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    address: Mapped[str] = mapped_column(String(MAX_ADDRESS_CHARACTERS))
    """Of the host's account, written by its first node and never changed."""
