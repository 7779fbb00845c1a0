"""Size and age of artifacts, so that the oldest can go when they take too much room."""

import sqlalchemy as sa
from alembic import op

revision = "0003_artifact_sizes"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, and the index that answers how much there is and what is oldest."""
    with op.batch_alter_table("artifacts") as table:
        table.add_column(sa.Column("size", sa.Integer(), nullable=False, server_default="0"))
        table.add_column(sa.Column("kept_ns", sa.BigInteger(), nullable=False, server_default="0"))
    artifacts = sa.table("artifacts", sa.column("size", sa.Integer), sa.column("compressed", sa.LargeBinary))
    op.execute(artifacts.update().values(size=sa.func.length(artifacts.c.compressed)))
    op.create_index("artifacts_by_age", "artifacts", ["kept_ns", "size"])
