"""Answers that API keys were charged for, as long as their price may be given back."""

import sqlalchemy as sa
from alembic import op

revision = "0006_key_answers"
down_revision = "0005_member_proofs"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "api_key_answers",
        sa.Column("inference_id", sa.String(128), nullable=False),
        sa.Column("key_id", sa.String(32), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("inference_id"),
    )
    op.create_index("ix_api_key_answers_epoch", "api_key_answers", ["epoch"])
