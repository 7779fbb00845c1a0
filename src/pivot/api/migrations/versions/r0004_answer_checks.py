"""What checks of answers keep."""

import sqlalchemy as sa
from alembic import op

revision = "0004_answer_checks"
down_revision = "0003_api_keys"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the queue of checks, and what it was filled from."""
    op.create_table(
        "served_epochs",
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("epoch"),
    )
    op.create_table(
        "drawn_segments",
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("segment", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("epoch", "segment"),
    )
    op.create_table(
        "answer_checks",
        sa.Column("inference_id", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("segment", sa.SmallInteger(), nullable=False),
        sa.Column("model", sa.String(length=256), nullable=False),
        sa.Column("accuser", sa.String(length=64), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before_ms", sa.BigInteger(), nullable=False),
        sa.Column("patience_height", sa.BigInteger(), nullable=False),
        sa.Column("deadline_height", sa.BigInteger(), nullable=False),
        sa.Column("verdict", sa.SmallInteger(), nullable=False),
        sa.Column("value_e6", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("sent_key", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("inference_id", "kind"),
    )
    op.create_index("answer_checks_open", "answer_checks", ["state", "not_before_ms"])
