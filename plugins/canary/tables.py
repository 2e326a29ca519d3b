"""The rollout in the store, its audit trail, and the reports of instances on the window under way."""

from __future__ import annotations

from sqlalchemy import Boolean, CheckConstraint, Column, Integer, MetaData, Table, Text

METADATA = MetaData()
ROLLOUT = Table(
    "canary_rollout",
    METADATA,
    Column("one", Integer, CheckConstraint("one = 1"), primary_key=True, autoincrement=False),
    Column("value", Text, nullable=False),
    Column("checksum", Text, nullable=False),
    Column("revision", Integer, nullable=False, server_default="1"),
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
# The latest report of each instance; `number` is that of the window.
REPORTS = Table(
    "canary_told",
    METADATA,
    Column("instance", Text, primary_key=True),
    Column("rollout", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("closed", Boolean, nullable=False),
    Column("figures", Text, nullable=False),
)
