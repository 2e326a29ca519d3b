"""The rollout and its audit trail in the store."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Integer, MetaData, Table, Text

METADATA = MetaData()
ROLLOUT = Table(
    "canary_rollout",
    METADATA,
    Column("one", Integer, CheckConstraint("one = 1"), primary_key=True, autoincrement=False),
    Column("value", Text, nullable=False),
    Column("checksum", Text, nullable=False),
)
ENTRIES = Table(
    "canary_entries",
    METADATA,
    Column("number", Integer, primary_key=True),
    Column("at", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("details", Text, nullable=False),
)
