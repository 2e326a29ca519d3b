"""Files that are kept, in the store."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Index, LargeBinary, MetaData, Table, Text

METADATA = MetaData()
KEPT = Table(
    "files_kept",
    METADATA,
    Column("id", Text, primary_key=True),
    # The name of the API key.
    Column("owner", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    # Name, media type and what is told of it besides: JSON, sealed as the content is.
    Column("about", LargeBinary, nullable=False),
    # Seconds since the epoch.
    Column("expires", Double, nullable=False),
    # Last, so that the others are read without it.
    Column("data", LargeBinary, nullable=False),
    Index("files_kept_expires", "expires"),
)
