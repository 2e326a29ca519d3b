"""What administrators have decided about draining instances."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
oldest_release = "0.1.0"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "operator_drains",
        sa.Column("instance", sa.Text(), primary_key=True),
        sa.Column("draining", sa.Boolean(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
    )
