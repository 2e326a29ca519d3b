"""Summaries of the oldest turns, and how many tokens the model had read and written when a turn ended."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
oldest_release = "0.1.0"


def upgrade() -> None:
    """Make the table, and add the column."""
    op.add_column("conversations_turns", sa.Column("tokens", sa.Integer(), nullable=True))
    op.create_table(
        "conversations_summaries",
        sa.Column("conversation_id", sa.Text(), primary_key=True),
        sa.Column("up_to", sa.Integer(), nullable=False),
        sa.Column("made_in", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )
