"""The core's own tables."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Double, ForeignKey, Integer, MetaData, Table, Text

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
# Both are of a fleet; times are seconds since the epoch by the database's clock.
INSTANCES = Table(
    "rom_instances",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("release", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("since", Double, nullable=False),
    Column("seen", Double, nullable=False),
    Column("draining", Boolean, nullable=False),
)
LEASES = Table(
    "rom_leases",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("term", BigInteger, nullable=False),
    Column("expires", Double, nullable=False),
)
CORE = Tables(METADATA, "rom_core.store.migrations", copied=True)
