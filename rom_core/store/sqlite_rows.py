"""What is in the database of overrides: its tables, and how versions are written into and read from them.

Every version carries a checksum of itself and of all before it, so that nothing in it can be other than it was written
without being noticed. What does not fit is damage, whatever it looks like.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from rom_core.store.overrides import Change, Version
from rom_core.store.sqlite_file import iso, one_moment, transaction

_MARK: Final = 0x524F4D46  # "ROMF", PRAGMA application_id
_TABLES = (
    """CREATE TABLE versions (
    version INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    by TEXT NOT NULL,
    why TEXT NOT NULL,
    trace_id TEXT NOT NULL
)""",
    """CREATE TABLE changes (
    version INTEGER NOT NULL REFERENCES versions (version),
    name TEXT NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('set', 'clear', 'reload')),
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    PRIMARY KEY (version, name)
) WITHOUT ROWID""",
    """CREATE VIEW overrides AS
    SELECT c.name, c.after AS value, c.version, v.at, v.by, v.why
    FROM changes AS c JOIN versions AS v USING (version)
    WHERE c.action = 'set'
        AND c.version = (SELECT max(version) FROM changes WHERE name = c.name AND action <> 'reload')
    ORDER BY c.version, c.name""",
)
_CHECKSUMS = "CREATE TABLE checksums (version INTEGER PRIMARY KEY, checksum TEXT NOT NULL)"
_SCHEMA = (*_TABLES, _CHECKSUMS)
# A rollback journal, in both bytes of the header that say so: https://www.sqlite.org/fileformat.html
_HEADER, _JOURNALLED = b"SQLite format 3\0", b"\1\1"

Row = tuple[Any, ...]


class Damaged(Exception):
    """The file is there and is not a whole database of ours."""


def check_header(path: Path) -> None:
    """Raise Damaged unless the file begins as ours do; SQLite would take another mode from there, read-only, say."""
    with path.open("rb") as file:
        header = file.read(20)
    if not header.startswith(_HEADER) or header[18:] != _JOURNALLED:
        raise Damaged("it does not begin as a database of ours")


def create(connection: sqlite3.Connection, first: Iterable[Version]) -> None:
    """Make the tables in an empty database, with `first` in them; in a database that has them already, nothing."""
    with transaction(connection):
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return
        for statement in (*_SCHEMA, f"PRAGMA application_id = {_MARK}", "PRAGMA user_version = 2"):
            connection.execute(statement)
        insert(connection, first)


def check(connection: sqlite3.Connection) -> list[Version]:
    """All versions, oldest first. Raise Damaged unless this is a whole database of ours."""
    if connection.execute("PRAGMA application_id").fetchone()[0] != _MARK:
        raise Damaged("it is a database of something else")
    verdict = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if verdict != "ok":
        raise Damaged(str(verdict))
    return read(connection)


def upgrade(connection: sqlite3.Connection) -> None:
    """Give checksums to a database that was made before there were any."""
    if _schema(connection) != sorted(_TABLES):
        return
    with transaction(connection):
        connection.execute(_CHECKSUMS)
        checksum = ""
        for row, changes in _rows(connection):
            checksum = _checksum(checksum, row, changes)
            connection.execute("INSERT INTO checksums VALUES (?, ?)", (row[0], checksum))
        connection.execute("PRAGMA user_version = 2")


def read(connection: sqlite3.Connection) -> list[Version]:
    """All versions, oldest first, each as it was written. Raises Damaged."""
    with one_moment(connection):
        return _read(connection)


def _read(connection: sqlite3.Connection) -> list[Version]:
    schema = _schema(connection)
    if schema not in (sorted(_SCHEMA), sorted(_TABLES)):
        raise Damaged("its tables are not ours")
    checksums: dict[Any, Any] | None = None
    if len(schema) == len(_SCHEMA):
        checksums = dict(connection.execute("SELECT version, checksum FROM checksums").fetchall())
    found = _rows(connection)
    if not found:
        raise Damaged("it has no versions")
    versions, checksum = [], ""
    for row, changes in found:
        try:
            checksum = _checksum(checksum, row, changes)
            versions.append(_version(row, changes))
        except (ValueError, TypeError, OverflowError, RecursionError, UnicodeError) as error:
            raise Damaged(f"version {row[0]!a} cannot be read") from error
        if checksums is not None and checksums.pop(row[0], None) != checksum:
            raise Damaged(f"version {row[0]!a} is not what was written")
    if checksums:
        raise Damaged("versions are missing")
    return versions


def insert(connection: sqlite3.Connection, versions: Iterable[Version]) -> None:
    """Add versions with their changes behind those that there are."""
    last = connection.execute("SELECT checksum FROM checksums ORDER BY version DESC LIMIT 1").fetchone()
    checksum = "" if last is None else last[0]
    for version in versions:
        row = (version.number, iso(version.at), version.by, version.why, version.trace_id)
        changes = sorted((each.name, each.action, _text(each.before), _text(each.after)) for each in version.changes)
        connection.execute("INSERT INTO versions VALUES (?, ?, ?, ?, ?)", row)
        connection.executemany(
            "INSERT INTO changes VALUES (?, ?, ?, ?, ?)", [(version.number, *change) for change in changes]
        )
        checksum = _checksum(checksum, row, changes)
        connection.execute("INSERT INTO checksums VALUES (?, ?)", (version.number, checksum))


def _schema(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return sorted(str(row[0]) for row in rows)


def _rows(connection: sqlite3.Connection) -> list[tuple[Row, list[Row]]]:
    """Every row of versions, oldest first, with its rows of changes by name."""
    rows = connection.execute("SELECT version, at, by, why, trace_id FROM versions ORDER BY version").fetchall()
    changes: dict[Any, list[Row]] = {row[0]: [] for row in rows}
    for version, *change in connection.execute(
        "SELECT version, name, action, before, after FROM changes ORDER BY version, name"
    ):
        if version not in changes:
            raise Damaged(f"version {version!a} is missing")
        changes[version].append(tuple(change))
    return [(row, changes[row[0]]) for row in rows]


def _checksum(before: str, row: Row, changes: Sequence[Row]) -> str:
    content = json.dumps([before, row, changes], ensure_ascii=True).encode()
    return hashlib.sha256(content).hexdigest()


def _version(row: Row, changes: Sequence[Row]) -> Version:
    number, at, by, why, trace_id = row
    return Version(
        number,
        datetime.fromisoformat(at).timestamp(),
        by,
        why,
        trace_id,
        tuple(Change(name, action, json.loads(old), json.loads(new)) for name, action, old, new in changes),
    )


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
