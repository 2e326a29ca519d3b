"""One small state that outlives the process, with an append-only journal of how it came about.

SQLite as in sqlite_file.py: a write is whole or absent, state and journal entries together, and
`sqlite3 FILE 'select * from entries'` reads it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rom_core.errors import StoreUnavailable
from rom_core.store.sqlite_file import DAMAGED_SUFFIX, connect, is_damage, iso, make_file, make_private, transaction

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS state (one INTEGER PRIMARY KEY CHECK (one = 1), value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS entries (number INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, by TEXT NOT NULL,"
    " action TEXT NOT NULL, why TEXT NOT NULL, details TEXT NOT NULL)",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened: `at` in seconds since the epoch, `by` whom, and JSON `details`."""

    at: float
    by: str
    action: str
    why: str = ""
    details: dict[str, Any] = field(default_factory=dict)


class Journal:
    """The state and journal in the file `path`. Every call but the constructor may raise StoreUnavailable."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ready = False

    def load(self) -> dict[str, Any] | None:
        """The state, None if none was ever saved. Raises ValueError if the file was damaged: it is put aside."""
        try:
            with self._connection() as connection:
                row = connection.execute("SELECT value FROM state").fetchone()
            return None if row is None else dict(json.loads(row[0]))
        except (sqlite3.DatabaseError, TypeError, ValueError, RecursionError) as error:
            if not is_damage(error):
                raise StoreUnavailable(f"{self._path.name} cannot be used: {error}") from error
            self._put_aside()
            raise ValueError(f"{self._path.name} was damaged: {error}") from error

    def save(self, state: dict[str, Any], entries: Sequence[Entry] = ()) -> None:
        """Replace the state and append `entries`, both or neither; durable when this returns.

        A file that has gone is made again: the whole state is in what is saved.
        """
        self._ready = self._ready and self._path.exists()
        with self._failures(), self._connection() as connection, transaction(connection):
            connection.execute("INSERT OR REPLACE INTO state VALUES (1, ?)", (_text(state),))
            connection.executemany(
                "INSERT INTO entries (at, by, action, why, details) VALUES (?, ?, ?, ?, ?)",
                [(iso(entry.at), entry.by, entry.action, entry.why, _text(entry.details)) for entry in entries],
            )

    def entries(self, limit: int) -> list[dict[str, Any]]:
        """The newest entries, newest first, as {at, by, action, why, details}."""
        with self._failures(), self._connection() as connection:
            rows = connection.execute(
                "SELECT at, by, action, why, details FROM entries ORDER BY number DESC LIMIT ?", (limit,)
            ).fetchall()
            names = ("at", "by", "action", "why", "details")
            return [dict(zip(names, (*row[:4], json.loads(row[4])), strict=True)) for row in rows]

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        if not self._ready:
            try:
                make_private(self._path.parent, self._path.name)
            except OSError as error:
                raise StoreUnavailable(f"{self._path.parent} cannot be made: {error.strerror}") from error
        if not self._ready:
            make_file(self._path)
        with closing(connect(self._path)) as connection:
            if not self._ready:
                for statement in _SCHEMA:
                    connection.execute(statement)
                self._ready = True
            yield connection

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(f"{self._path.name} cannot be used: {error}") from error

    def _put_aside(self) -> None:
        self._ready = False
        with contextlib.suppress(OSError):
            for suffix in ("", "-journal"):
                file = self._path.with_name(self._path.name + suffix)
                if file.exists():
                    os.replace(file, file.with_name(file.name + DAMAGED_SUFFIX))


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
