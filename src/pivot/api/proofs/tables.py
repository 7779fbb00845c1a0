"""Where the proofs are kept."""

from sqlalchemy import BigInteger, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from pivot.api.database import Base


class MemberProof(Base):
    """The members of an epoch, as this host answers who asks for them."""

    __tablename__ = "member_proofs"

    epoch: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    document: Mapped[bytes] = mapped_column(LargeBinary)
    """JSON, zstd."""
