"""Proofs of the members of every epoch."""

import sqlalchemy as sa
from alembic import op

revision = "0005_member_proofs"
down_revision = "0004_answer_checks"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "member_proofs",
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("epoch"),
    )
