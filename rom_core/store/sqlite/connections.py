"""Connections to an SQLite file: nothing is created by opening one, and the wait for others has an end."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from rom_core.store.causes import cause_of
from rom_core.store.rows import Damaged

# Reading a damaged file may end in any of these: SQLite quotes bytes of it in its messages, and Python decodes them.
FAILURES = (
    Damaged,
    SQLAlchemyError,
    sqlite3.Error,
    sqlite3.Warning,
    OSError,
    ValueError,
    TypeError,
    OverflowError,
    MemoryError,
)
# How long another connection, such as somebody's sqlite3 shell, may hold the database before a call gives up.
BUSY_SECONDS = 2.0
# Primary result codes (https://www.sqlite.org/rescode.html) that mean that the file cannot be used now: PERM, BUSY,
# LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN, PROTOCOL, CONSTRAINT, AUTH. All others mean a bad file.
_UNUSABLE = (3, 5, 6, 7, 8, 9, 10, 13, 14, 15, 19, 23)
# Those that mean a bad file without a doubt: CORRUPT, FORMAT, NOTADB.
_BAD_FILE = (11, 24, 26)
WRITES = {"writes": True}
"""Execution options of a connection whose transaction writes: nobody else writes meanwhile."""


def connect(path: Path, *, mode: Literal["ro", "rw"] = "rw", busy_seconds: float | None = None) -> sqlite3.Connection:
    """A connection in autocommit mode. It waits `busy_seconds` for others, BUSY_SECONDS if None."""
    uri = f"file:{quote(str(path.absolute()))}?mode={mode}"
    seconds = BUSY_SECONDS if busy_seconds is None else busy_seconds
    connection = sqlite3.connect(uri, uri=True, timeout=seconds, isolation_level=None, check_same_thread=False)
    # What is no UTF-8 is damage that is found by what was written there, not by an error of the reader.
    connection.text_factory = _as_text
    # Also the removal of the journal, which is the commit, has to be on the disk.
    connection.execute("PRAGMA synchronous = EXTRA")
    # What is deleted is overwritten: no text stays in the file.
    connection.execute("PRAGMA secure_delete = ON")
    return connection


def engine_of(
    path: Path, *, mode: Literal["ro", "rw"] = "rw", busy_seconds: Callable[[], float] | None = None
) -> Engine:
    """An engine whose every connection is opened anew: one kept would go on writing into a file that was removed."""

    def opened() -> Any:
        return connect(path, mode=mode, busy_seconds=None if busy_seconds is None else busy_seconds())

    engine = create_engine("sqlite://", creator=opened, poolclass=NullPool)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _as_text(content: bytes) -> str:
    return content.decode(errors="surrogateescape")


def is_damage(error: BaseException) -> bool:
    """Whether what reading our own tables raised means that the file is bad, and not that it cannot be used now."""
    error = cause_of(error)
    if isinstance(error, OSError | MemoryError):
        return False
    code = primary_code(error)
    return code is None or code not in _UNUSABLE


def is_bad_file(error: BaseException) -> bool:
    """Whether SQLite says so, whatever was asked of it."""
    return primary_code(error) in _BAD_FILE


def is_busy(error: BaseException) -> bool:
    """Whether others hold the database."""
    return primary_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def primary_code(error: BaseException) -> int | None:
    """SQLite's primary result code, None if the error is not SQLite's."""
    code = getattr(cause_of(error), "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def locked(path: Path) -> str:
    """The sentence for a person when the database stays busy."""
    return f"the store {path} is locked by another program; end that one (fuser {path} names it)"


def reason_of(error: BaseException) -> str:
    """What happened, in one line without bytes of the file."""
    cause = cause_of(error)
    return getattr(cause, "strerror", None) or ascii(str(cause))[1:-1] or type(cause).__name__
