"""Used signatures in the order of their time stamps: new ones lie side by side, and what is outdated is all at the front."""

import sqlalchemy as sa
from alembic import op

revision = "0008_signatures_by_time"
down_revision = "0007_host"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table anew and take over its rows; its index goes, because the order of the rows is that of the index."""
    op.create_table(
        "used_signatures_by_time",
        sa.Column("timestamp_ns", sa.BigInteger(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("role", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("timestamp_ns", "signature", "role"),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO used_signatures_by_time (timestamp_ns, signature, role) "
        "SELECT timestamp_ns, signature, role FROM used_signatures"
    )
    op.drop_table("used_signatures")
    op.rename_table("used_signatures_by_time", "used_signatures")
