"""Files that are kept."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
oldest_release = "0.1.0"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "files_kept",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("about", sa.LargeBinary(), nullable=False),
        sa.Column("expires", sa.Double(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
    )
    op.create_index("files_kept_expires", "files_kept", ["expires"])
