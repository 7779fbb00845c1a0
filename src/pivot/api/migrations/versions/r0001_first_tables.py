"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table of the first version."""
    op.create_table(
        "outbox",
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("message", sa.LargeBinary(), nullable=False),
        sa.Column("deadline_height", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("batch_limit", sa.Integer(), nullable=False),
        sa.Column("transaction", sa.String(length=64), nullable=False),
        sa.Column("timeout_ns", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Integer(), nullable=False),
        sa.Column("log", sa.Text(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=False),
        sa.Column("settled_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("outbox_open", "outbox", ["state", "kind", "sequence"])
    op.create_index("outbox_settled", "outbox", ["settled_ns"])
    op.create_table(
        "ml_nodes",
        sa.Column("id", sa.String(length=200), nullable=False),
        sa.Column("node_number", sa.Integer(), nullable=False),
        sa.Column("declared", sa.JSON(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("changed_in_epoch", sa.BigInteger(), nullable=False),
        sa.Column("removed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("node_number"),
    )
    op.create_table(
        "poc_sprints",
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("commit", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("epoch"),
    )
    op.create_table(
        "poc_votes",
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("votes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("epoch"),
    )
    op.create_table(
        "artifacts",
        sa.Column("inference_id", sa.String(length=128), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("compressed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("inference_id"),
    )
    op.create_index("ix_artifacts_epoch", "artifacts", ["epoch"])
    op.create_table(
        "used_signatures",
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("role", sa.SmallInteger(), nullable=False),
        sa.Column("timestamp_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("signature", "role"),
    )
    op.create_index("ix_used_signatures_timestamp_ns", "used_signatures", ["timestamp_ns"])
