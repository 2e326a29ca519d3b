"""Conversations in the store: what is known of each, its turns, and the files in them."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Double, Index, Integer, LargeBinary, MetaData, Table, Text

METADATA = MetaData()
KEPT = Table(
    "conversations_kept",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("key_name", Text, nullable=False),
    Column("user", Text, nullable=False),
    Column("title", LargeBinary, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("turns", Integer, nullable=False),
    Column("busy_with", Text, nullable=False),
    Column("busy_until", Double, nullable=False),
    Index("conversations_kept_by_owner", "key_name", "user", "updated_at"),
    Index("conversations_kept_by_age", "updated_at"),
)
"""One row a conversation. `busy_with` is the id of the turn that runs in it ("" for none), which nobody waits for any
more after `busy_until`; times are seconds since the epoch by the store's clock."""

TURNS = Table(
    "conversations_turns",
    METADATA,
    Column("conversation_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("turn_id", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("state", Text, CheckConstraint("state IN ('whole', 'cut', 'failed')"), nullable=False),
    Column("basis", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("tokens", Integer, nullable=True),
)
"""One row a turn: its messages as Converse has them (`content.py`). `basis` is the hash of what a model signs beside
the messages: system texts, tools, and a summary in the place of turns. `tokens` are those of the turn's last request
and its answer, as the service counted them."""

SUMMARIES = Table(
    "conversations_summaries",
    METADATA,
    Column("conversation_id", Text, primary_key=True),
    Column("up_to", Integer, nullable=False),
    Column("made_in", Integer, nullable=False),
    Column("at", Double, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
"""What the model gets in the place of all turns up to the number `up_to`, made in the turn `made_in`: two messages, and
the names of the files that were in those turns."""

FILES = Table(
    "conversations_files",
    METADATA,
    Column("conversation_id", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)
"""The files in a conversation's messages, each once."""
