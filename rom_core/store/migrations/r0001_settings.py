"""Overrides and their history."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
oldest_release = "0.1.0"

_OVERRIDES = """CREATE VIEW rom_overrides AS
    SELECT c.name, c.after AS value, c.version, v.at, v.by, v.why
    FROM rom_changes AS c JOIN rom_versions AS v ON v.version = c.version
    WHERE c.action = 'set'
        AND c.version = (SELECT max(version) FROM rom_changes WHERE name = c.name AND action <> 'reload')
    ORDER BY c.version, c.name"""


def upgrade() -> None:
    """Make the tables, and the view for who reads by hand."""
    op.create_table(
        "rom_versions",
        sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("trace_id", sa.Text(), nullable=False),
        sa.Column("checksum", sa.Text(), nullable=False),
    )
    op.create_table(
        "rom_changes",
        sa.Column("version", sa.Integer(), sa.ForeignKey("rom_versions.version"), primary_key=True),
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("action", sa.Text(), sa.CheckConstraint("action IN ('set', 'clear', 'reload')"), nullable=False),
        sa.Column("before", sa.Text(), nullable=False),
        sa.Column("after", sa.Text(), nullable=False),
    )
    op.create_table(
        "rom_seals",
        sa.Column("owner", sa.Text(), primary_key=True),
        sa.Column("seal", sa.Text(), nullable=False),
    )
    op.execute(_OVERRIDES)
