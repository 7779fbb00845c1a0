"""What the request path keeps on disk."""

from sqlalchemy import BigInteger, LargeBinary, SmallInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from pivot.api.database import Base


class UsedSignature(Base):
    """A developer's signature that has served here, in one role. Kept while its time stamp could still be valid."""

    __tablename__ = "used_signatures"

    signature: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    role: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    timestamp_ns: Mapped[int] = mapped_column(BigInteger, index=True)


class Artifact(Base):
    """What a checker needs to judge an answer that this host gave (design, section 7)."""

    __tablename__ = "artifacts"

    inference_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    epoch: Mapped[int] = mapped_column(BigInteger, index=True)
    hash: Mapped[str] = mapped_column(String(64))
    """Lower-case hex of SHA-256 of the document before compression."""
    compressed: Mapped[bytes] = mapped_column(LargeBinary)
    """Canonical JSON, zstd."""
