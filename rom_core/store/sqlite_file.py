"""SQLite files that survive a crash: whole transactions, durable names, and a wait for others that has an end.

For what keeps a state on this machine: the store of overrides and the journal of the canary.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from urllib.parse import quote

DAMAGED_SUFFIX = ".damaged"
# How long another connection, such as somebody's sqlite3 shell, may hold the database before a call gives up.
BUSY_SECONDS = 2.0


def connect(
    path: Path, *, create: bool = False, mode: Literal["ro", "rw"] = "rw", busy_seconds: float | None = None
) -> sqlite3.Connection:
    """A connection in autocommit mode; nothing is created unless `create`.

    It waits `busy_seconds` for others, BUSY_SECONDS if None.
    """
    uri = f"file:{quote(str(path.absolute()))}?mode={'rwc' if create else mode}"
    connection = sqlite3.connect(
        uri, uri=True, timeout=BUSY_SECONDS if busy_seconds is None else busy_seconds, isolation_level=None
    )
    # Also the removal of the journal, which is the commit, has to be on the disk.
    connection.execute("PRAGMA synchronous = EXTRA")
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, and nobody else writes meanwhile."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def publish(temporary: Path, path: Path) -> None:
    """Give a finished file its name, so that no crash leaves half of it there."""
    _sync(temporary)
    os.replace(temporary, path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def iso(seconds: float) -> str:
    """Seconds since the epoch as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
