"""What the request path keeps on disk."""

import time

from sqlalchemy import BigInteger, Index, Integer, LargeBinary, SmallInteger, String
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import Mapped, mapped_column

from pivot.api.database import Base


class UsedSignature(Base):
    """A developer's signature that has served here, in one role. Kept while its time stamp could still be valid.

    In the order of the time stamps, which the signatures cover: the marks of requests that come together lie side by side, so
    many are written with one page.
    """

    __tablename__ = "used_signatures"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012  as SQLAlchemy reads it

    timestamp_ns: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    signature: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    role: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)


def _size(context: DefaultExecutionContext) -> int:
    return len(context.get_current_parameters()["compressed"])  # type: ignore[no-untyped-call]  # SQLAlchemy gives it no types


class Artifact(Base):
    """What a checker needs to judge an answer that this host gave (design, section 7)."""

    __tablename__ = "artifacts"
    __table_args__ = (Index("artifacts_by_age", "kept_ns", "size"),)

    inference_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    epoch: Mapped[int] = mapped_column(BigInteger, index=True)
    hash: Mapped[str] = mapped_column(String(64))
    """Lower-case hex of SHA-256 of the document before compression."""
    compressed: Mapped[bytes] = mapped_column(LargeBinary)
    """Canonical JSON, zstd."""
    size: Mapped[int] = mapped_column(Integer, default=_size, server_default="0")
    """Bytes of `compressed`."""
    kept_ns: Mapped[int] = mapped_column(BigInteger, default=time.time_ns, server_default="0")
    """Since when, by this machine's clock; 0 for what an older version kept."""
