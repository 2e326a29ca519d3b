"""Circuits that an administrator holds."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
oldest_release = "0.1.0"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "breaker_held",
        sa.Column("model", sa.Text(), primary_key=True),
        sa.Column("state", sa.Text(), sa.CheckConstraint("state IN ('open', 'closed')"), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
    )
