"""Conversations, their turns, and the files in them."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
oldest_release = "0.1.0"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "conversations_kept",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("key_name", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("title", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.Column("turns", sa.Integer(), nullable=False),
        sa.Column("busy_with", sa.Text(), nullable=False),
        sa.Column("busy_until", sa.Double(), nullable=False),
    )
    op.create_index("conversations_kept_by_owner", "conversations_kept", ["key_name", "user", "updated_at"])
    op.create_index("conversations_kept_by_age", "conversations_kept", ["updated_at"])
    op.create_table(
        "conversations_turns",
        sa.Column("conversation_id", sa.Text(), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("turn_id", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("state", sa.Text(), sa.CheckConstraint("state IN ('whole', 'cut', 'failed')"), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "conversations_files",
        sa.Column("conversation_id", sa.Text(), primary_key=True),
        sa.Column("digest", sa.Text(), primary_key=True),
        sa.Column("content", sa.LargeBinary(), nullable=False),
    )
