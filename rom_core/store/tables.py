"""The core's own tables."""

from __future__ import annotations

from typing import Final

from sqlalchemy import CheckConstraint, Column, ForeignKey, Integer, MetaData, Table, Text

from rom_core.tables import Tables

PREFIX: Final = "rom_"
METADATA = MetaData()
VERSIONS = Table(
    "rom_versions",
    METADATA,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("at", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("trace_id", Text, nullable=False),
    Column("checksum", Text, nullable=False),
)
CHANGES = Table(
    "rom_changes",
    METADATA,
    Column("version", Integer, ForeignKey("rom_versions.version"), primary_key=True, autoincrement=False),
    Column("name", Text, primary_key=True),
    Column("action", Text, CheckConstraint("action IN ('set', 'clear', 'reload')"), nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
)
SEALS = Table(
    "rom_seals",
    METADATA,
    Column("owner", Text, primary_key=True),
    Column("seal", Text, nullable=False),
)
CORE = Tables(METADATA, "rom_core.store.migrations", copied=True)
