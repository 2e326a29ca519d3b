"""The instances of a fleet, and the lease of the one that leads."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
oldest_release = "0.1.0"


def upgrade() -> None:
    """Make the two tables."""
    op.create_table(
        "rom_instances",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("release", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("seen", sa.Double(), nullable=False),
        sa.Column("draining", sa.Boolean(), nullable=False),
    )
    op.create_table(
        "rom_leases",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("term", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.Double(), nullable=False),
    )
