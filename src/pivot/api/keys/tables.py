"""What API keys keep on disk."""

from sqlalchemy import BigInteger, Integer, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from pivot.api.database import Base


class ApiKey(Base):
    """A key that was issued: its hash, its terms, and what it has used. Revoked ones stay, for their usage."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    """SHA-256 of the key, which itself is kept nowhere: it is too long to be guessed, so it needs no slower hash."""
    budget: Mapped[int | None] = mapped_column(BigInteger)
    """ngonka; None: as much as the gateway account holds."""
    rate: Mapped[int | None] = mapped_column(Integer)
    """Requests a minute; None: no limit."""
    concurrency: Mapped[int | None] = mapped_column(Integer)
    """Requests at a time; None: no limit."""
    created_s: Mapped[int] = mapped_column(BigInteger)
    """Seconds since 1970, as the other two."""
    expires_s: Mapped[int | None] = mapped_column(BigInteger)
    revoked_s: Mapped[int | None] = mapped_column(BigInteger)
    spent: Mapped[int] = mapped_column(BigInteger, default=0)
    """ngonka that the chain has settled."""
    requests: Mapped[int] = mapped_column(BigInteger, default=0)
    """That the chain has settled."""
    prompt_tokens: Mapped[int] = mapped_column(BigInteger, default=0)
    completion_tokens: Mapped[int] = mapped_column(BigInteger, default=0)


class KeyCharge(Base):
    """An answer that was given for a key, and that the chain has not settled yet."""

    __tablename__ = "api_key_charges"

    inference_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    key_id: Mapped[str] = mapped_column(String(32))
    escrow: Mapped[int] = mapped_column(BigInteger)
    """ngonka that the key's budget has set aside."""
    height: Mapped[int] = mapped_column(BigInteger)
    """Newest block when the answer began."""


class KeyAnswer(Base):
    """An answer that a key was charged for, as long as the chain may still find it wrong and give its price back."""

    __tablename__ = "api_key_answers"

    inference_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    key_id: Mapped[str] = mapped_column(String(32))
    epoch: Mapped[int] = mapped_column(BigInteger, index=True)
    """In force when it was charged."""
    spent: Mapped[int] = mapped_column(BigInteger)
    """ngonka that the key was charged."""
    prompt_tokens: Mapped[int] = mapped_column(BigInteger)
    completion_tokens: Mapped[int] = mapped_column(BigInteger)
