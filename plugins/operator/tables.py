"""What administrators have decided about draining instances, in the store that a fleet shares."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Double, MetaData, Table, Text

METADATA = MetaData()
DRAINS = Table(
    "operator_drains",
    METADATA,
    Column("instance", Text, primary_key=True),
    Column("draining", Boolean, nullable=False),
    Column("at", Double, nullable=False),
    Column("by", Text, nullable=False),
    Column("why", Text, nullable=False),
)
