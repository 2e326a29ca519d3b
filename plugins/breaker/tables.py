"""Circuits that an administrator holds, in the store."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Double, MetaData, Table, Text

METADATA = MetaData()
HELD = Table(
    "breaker_held",
    METADATA,
    Column("model", Text, primary_key=True),
    Column("state", Text, CheckConstraint("state IN ('open', 'closed')"), nullable=False),
    Column("at", Double, nullable=False),
    Column("by", Text, nullable=False),
    Column("why", Text, nullable=False),
)
