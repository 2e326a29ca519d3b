"""SQLite files that survive a crash: whole transactions, durable names, and a wait for others that has an end.

For what keeps a state on this machine: the store of overrides and the journal of the canary.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from urllib.parse import quote

DAMAGED_SUFFIX = ".damaged"
# How long another connection, such as somebody's sqlite3 shell, may hold the database before a call gives up.
BUSY_SECONDS = 2.0
# Primary result codes (https://www.sqlite.org/rescode.html) that mean that the file cannot be used now: PERM, BUSY,
# LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN, PROTOCOL, CONSTRAINT, AUTH. All others mean a bad file.
_UNUSABLE = (3, 5, 6, 7, 8, 9, 10, 13, 14, 15, 19, 23)


def connect(path: Path, *, mode: Literal["ro", "rw"] = "rw", busy_seconds: float | None = None) -> sqlite3.Connection:
    """A connection in autocommit mode; nothing is created.

    It waits `busy_seconds` for others, BUSY_SECONDS if None.
    """
    uri = f"file:{quote(str(path.absolute()))}?mode={mode}"
    connection = sqlite3.connect(
        uri, uri=True, timeout=BUSY_SECONDS if busy_seconds is None else busy_seconds, isolation_level=None
    )
    # What is no UTF-8 is damage that is found by what was written there, not by an error of the reader.
    connection.text_factory = _as_text
    # Also the removal of the journal, which is the commit, has to be on the disk.
    connection.execute("PRAGMA synchronous = EXTRA")
    return connection


def _as_text(content: bytes) -> str:
    return content.decode(errors="surrogateescape")


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


@contextmanager
def one_moment(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is read in the block is as it was at one moment, whoever writes meanwhile; writers wait for its end."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def make_private(folder: Path, prefix: str) -> None:
    """Make `folder` if it is missing; only this user reads it, and the files in it whose names begin with `prefix`.

    A folder that holds other things too is somebody's own: it keeps its rights. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    files = list(folder.iterdir())
    ours = [file for file in files if file.name.startswith(prefix) and file.is_file() and not file.is_symlink()]
    if files and all(".db" in file.name for file in files) and folder.stat().st_uid == os.geteuid():
        folder.chmod(0o700)
    for file in ours:
        if file.stat().st_mode & 0o077 and file.stat().st_uid == os.geteuid():
            file.chmod(0o600)


def make_file(path: Path) -> None:
    """Make an empty file if there is none, for this user alone; SQLite's journals take its rights. Raises OSError."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))


def is_damage(error: BaseException | None) -> bool:
    """Whether what reading raised means that the file is bad, and not that it cannot be used now."""
    if isinstance(error, OSError | MemoryError):
        return False
    code = getattr(error, "sqlite_errorcode", None)
    return code is None or code & 0xFF not in _UNUSABLE


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
