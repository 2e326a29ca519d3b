"""Versions as rows of the store, and back.

Every version carries a checksum of itself and of all before it, so that nothing in it can be other than it was written
without being noticed. What does not fit is damage, whatever it looks like.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select

from rom_core.concurrency.clock import iso
from rom_core.store.base import SYSTEM
from rom_core.store.overrides import Change, Version
from rom_core.store.tables import CHANGES, VERSIONS

Row = tuple[Any, ...]


class Damaged(Exception):
    """What was read is not what was written."""


def newest(connection: Connection) -> int | None:
    """The number of the newest version, None if there is none."""
    return connection.execute(select(func.max(VERSIONS.c.version))).scalar()


def read(connection: Connection) -> list[Version]:
    """All versions, oldest first, each as it was written. Raises Damaged."""
    return chain(_rows(connection))


def chain(rows: Iterable[tuple[Row, Sequence[Row], str | None]]) -> list[Version]:
    """Rows (version, at, by, why, trace_id), their changes by name, and their checksum, None if there is none.

    Raises Damaged if one of them cannot be read, or is not what the checksum says.
    """
    versions, checksum = [], ""
    for row, changes, kept in rows:
        try:
            checksum = _checksum(checksum, row, changes)
            versions.append(_version(row, changes))
        except (ValueError, TypeError, OverflowError, RecursionError, UnicodeError) as error:
            raise Damaged(f"version {row[0]!a} cannot be read") from error
        if kept is not None and kept != checksum:
            raise Damaged(f"version {row[0]!a} is not what was written")
    return versions


def add(connection: Connection, versions: Iterable[Version]) -> None:
    """Add versions with their changes behind those that there are."""
    last = select(VERSIONS.c.checksum).order_by(VERSIONS.c.version.desc()).limit(1)
    checksum: str = connection.execute(last).scalar() or ""
    for version in versions:
        row = (version.number, iso(version.at), version.by, version.why, version.trace_id)
        changes = sorted((each.name, each.action, _text(each.before), _text(each.after)) for each in version.changes)
        checksum = _checksum(checksum, row, changes)
        connection.execute(insert(VERSIONS).values((*row, checksum)))
        if changes:
            connection.execute(
                insert(CHANGES),
                [
                    {"version": version.number, "name": name, "action": action, "before": before, "after": after}
                    for name, action, before, after in changes
                ],
            )


def note(connection: Connection, at: float, why: str) -> None:
    """Add a version that changes nothing, of the store itself; `at` is in seconds since the epoch."""
    add(connection, [Version((newest(connection) or 0) + 1, at, SYSTEM, why)])


def _rows(connection: Connection) -> list[tuple[Row, list[Row], str]]:
    """Every row of versions, oldest first, with its rows of changes by name, and its checksum."""
    rows = connection.execute(select(VERSIONS).order_by(VERSIONS.c.version)).all()
    changes: dict[Any, list[Row]] = {row[0]: [] for row in rows}
    for version, *change in connection.execute(select(CHANGES).order_by(CHANGES.c.version)):
        if version not in changes:
            raise Damaged(f"version {version!a} is missing")
        changes[version].append(tuple(change))
    return [(tuple(row[:5]), sorted(changes[row[0]], key=lambda change: str(change[0])), row[5]) for row in rows]


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
