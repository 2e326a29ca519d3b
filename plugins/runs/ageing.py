"""Rows that have grown old: runs that ended long ago, and what an earlier key has sealed.

Every function is one transaction's action, as in keeping.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection, and_, case, func, select, update

from plugins.runs import owning
from plugins.runs.keeping import time_of
from plugins.runs.tables import EVENTS, FILES, KEPT
from rom_core.store.sealing import MARK_BYTES, OPEN

_SEALED: Final = (KEPT.c.request, KEPT.c.ending, FILES.c.content, EVENTS.c.body)


def erase_ended(connection: Connection, at: float, seconds: float, limit: int) -> int:
    """Erase runs that ended more than so many seconds ago, at most `limit`; how many they were."""
    ids = owning.ended_before(connection, time_of(connection, at) - seconds, limit)
    owning.remove(connection, ids)
    return len(ids)


def marks(connection: Connection) -> list[tuple[bytes, int]]:
    """How everything that is kept was sealed, and how often."""
    counted: list[tuple[bytes, int]] = []
    for column in _SEALED:
        mark = func.substr(column, 1, MARK_BYTES)
        # Of what is not encrypted the bytes that follow are content.
        kind = case((func.substr(column, 1, 1) == OPEN, OPEN), else_=mark)
        kinds = select(kind, func.count()).where(func.length(column) > 0).group_by(kind)
        counted += [(bytes(row[0]), row[1]) for row in connection.execute(kinds)]
    return counted


def reseal(connection: Connection, mark: bytes, anew: Callable[[bytes], bytes], limit: int) -> int:
    """Seal `anew` what begins with `mark`, at most `limit` entries; how many they were."""
    count = 0
    for column in _SEALED:
        key = list(column.table.primary_key.columns)
        stale = select(*key, column.label("sealed")).where(func.substr(column, 1, len(mark)) == mark)
        stale = stale.where(func.length(column) > 0)
        for row in connection.execute(stale.limit(limit - count).with_for_update()).all():
            place = and_(*(each == value for each, value in zip(key, row, strict=False)))
            connection.execute(update(column.table).where(place).values({column: anew(row.sealed)}))
            count += 1
        if count >= limit:
            break
    return count
