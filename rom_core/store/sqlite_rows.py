"""What is in the database of overrides: its tables, and how versions and states are written into and read from them.

Somebody may have written there by hand, so nothing that is read is believed to have the right type.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from rom_core.store.overrides import Change, Override, State, Version
from rom_core.store.sqlite_file import iso, transaction

_MARK: Final = 0x524F4D46  # "ROMF", PRAGMA application_id
_SCHEMA = """
CREATE TABLE versions (
    version INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    by TEXT NOT NULL,
    why TEXT NOT NULL,
    trace_id TEXT NOT NULL
);
CREATE TABLE changes (
    version INTEGER NOT NULL REFERENCES versions (version),
    name TEXT NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('set', 'clear', 'reload')),
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    PRIMARY KEY (version, name)
) WITHOUT ROWID;
CREATE VIEW overrides AS
    SELECT c.name, c.after AS value, c.version, v.at, v.by, v.why
    FROM changes AS c JOIN versions AS v USING (version)
    WHERE c.action = 'set'
        AND c.version = (SELECT max(version) FROM changes WHERE name = c.name AND action <> 'reload')
    ORDER BY c.version, c.name;
PRAGMA user_version = 1;
"""
_STATE_AT = """
    SELECT c.name, c.after, c.version, v.at, v.by, v.why
    FROM changes AS c JOIN versions AS v USING (version)
    WHERE c.action = 'set' AND c.version = (
        SELECT max(version) FROM changes WHERE name = c.name AND action <> 'reload' AND version <= :version
    )
    ORDER BY c.version, c.name
"""
# Deeper values than anybody sets; who compares, copies or shows them does so by recursion.
_MAX_DEPTH = 32


class Damaged(Exception):
    """The file is there and is not a whole database of ours."""


def prepare(connection: sqlite3.Connection, first: Version) -> bool:
    """Make the tables, and `first` in them, in a database that has none; whether it had none."""
    with transaction(connection):
        empty: bool = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
        if empty:
            for statement in (*_SCHEMA.split(";\n"), f"PRAGMA application_id = {_MARK}"):
                connection.execute(statement)
            insert(connection, [first])
    return empty


def check(connection: sqlite3.Connection) -> None:
    """Raise Damaged unless this is a whole database of ours."""
    if connection.execute("PRAGMA application_id").fetchone()[0] != _MARK:
        raise Damaged("it is a database of something else")
    verdict = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if verdict != "ok":
        raise Damaged(str(verdict))
    newest_state(connection)


def newest(connection: sqlite3.Connection) -> int:
    """The number of the newest version. Raises Damaged if there is none."""
    number = connection.execute("SELECT max(version) FROM versions").fetchone()[0]
    if number is None:
        raise Damaged("it has no versions")
    return int(number)


def newest_state(connection: sqlite3.Connection) -> State:
    """The state at the newest version. Raises Damaged."""
    return _state(connection, newest(connection))


def state_at(connection: sqlite3.Connection, version: int) -> State | None:
    """The state at `version`, None if there is no such version."""
    known = connection.execute("SELECT 1 FROM versions WHERE version = ?", (version,)).fetchone()
    return _state(connection, version) if known else None


def insert(connection: sqlite3.Connection, versions: Iterable[Version]) -> None:
    """Add versions with their changes."""
    for version in versions:
        connection.execute(
            "INSERT INTO versions VALUES (?, ?, ?, ?, ?)",
            (version.number, iso(version.at), version.by, version.why, version.trace_id),
        )
        connection.executemany(
            "INSERT INTO changes VALUES (?, ?, ?, ?, ?)",
            [
                (version.number, change.name, change.action, _text(change.before), _text(change.after))
                for change in version.changes
            ],
        )


def history(connection: sqlite3.Connection, limit: int, before: int | None) -> list[Version]:
    """The newest versions, newest first, at most `limit`, of those below `before`."""
    rows = connection.execute(
        "SELECT version, at, by, why, trace_id FROM versions WHERE ? IS NULL OR version < ?"
        " ORDER BY version DESC LIMIT ?",
        (before, before, limit),
    ).fetchall()
    changes: dict[int, list[Change]] = {row[0]: [] for row in rows}
    found = connection.execute(
        "SELECT version, name, action, before, after FROM changes WHERE version BETWEEN ? AND ? ORDER BY name",
        (min(changes, default=0), max(changes, default=-1)),
    )
    for version, name, action, old, new in found:
        if version in changes:
            changes[version].append(Change(_plain(name), action, _json(old), _json(new)))
    return [
        Version(number, _seconds(at), _plain(by), _plain(why), _plain(trace_id), tuple(changes[number]))
        for number, at, by, why, trace_id in rows
    ]


def _state(connection: sqlite3.Connection, version: int) -> State:
    rows = connection.execute(_STATE_AT, {"version": version}).fetchall()
    return State(
        version,
        MappingProxyType(
            {
                _plain(name): Override(_plain(name), _json(value), since, _seconds(at), _plain(by), _plain(why))
                for name, value, since, at, by, why in rows
            }
        ),
    )


def _seconds(text: Any) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, TypeError, OverflowError):  # written by hand
        return 0.0


def _plain(text: Any) -> str:
    """The text of a column, also if a BLOB was written there by hand."""
    return text if isinstance(text, str) else bytes(text).decode(errors="replace")


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _json(column: Any) -> Any:
    """The value; text that is not JSON, as somebody may write by hand, stands for itself and is checked like any."""
    text = _plain(column)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if _too_deep(value) else value


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, list | dict)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True
