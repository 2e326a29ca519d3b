"""A revision of the rollout, so that two instances never both replace it, and what instances tell of their windows."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
oldest_release = "0.1.0"


def upgrade() -> None:
    """Add the column and the table."""
    op.add_column("canary_rollout", sa.Column("revision", sa.Integer(), nullable=False, server_default="1"))
    op.create_table(
        "canary_told",
        sa.Column("instance", sa.Text(), primary_key=True),
        sa.Column("rollout", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.Column("figures", sa.Text(), nullable=False),
    )
