"""The fleet's table."""

from typing import Any

from sqlalchemy import JSON, BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from pivot.api.database import Base
from pivot.api.fleet.declaration import MAX_NAME_LENGTH


class MlNodeRow(Base):
    """An ML node that the host has declared. A removed one keeps its row, so its number is never given to another."""

    __tablename__ = "ml_nodes"

    id: Mapped[str] = mapped_column(String(MAX_NAME_LENGTH), primary_key=True)
    node_number: Mapped[int] = mapped_column(unique=True)
    declared: Mapped[dict[str, Any]] = mapped_column(JSON)
    enabled: Mapped[bool]
    changed_in_epoch: Mapped[int] = mapped_column(BigInteger)
    """The latest epoch's index when `enabled` was last changed; 0 while nothing depends on that."""
    removed: Mapped[bool] = mapped_column(default=False)
