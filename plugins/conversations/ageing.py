"""Rows that have grown old: what nobody has used for long, and what an earlier key has sealed.

Every function is one transaction's action, as in keeping.py.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, and_, case, func, select, update

from plugins.conversations.tables import FILES, KEPT, SUMMARIES, TURNS
from rom_core.store.sealing import MARK_BYTES, OPEN

_SEALED = (KEPT.c.title, TURNS.c.body, SUMMARIES.c.body, FILES.c.content)


def unused_since(connection: Connection, before: float, limit: int) -> list[str]:
    """The ids of conversations in which nothing happened since `before`, at most `limit`."""
    old = select(KEPT.c.id).where(KEPT.c.updated_at < before, KEPT.c.busy_until < before)
    return list(connection.execute(old.order_by(KEPT.c.updated_at).limit(limit).with_for_update()).scalars())


def marks(connection: Connection) -> list[tuple[bytes, int]]:
    """How everything that is kept was sealed, and how often."""
    counted: list[tuple[bytes, int]] = []
    for column in _SEALED:
        mark = func.substr(column, 1, MARK_BYTES)
        # Of what is not encrypted the bytes that follow are content.
        kind = case((func.substr(column, 1, 1) == OPEN, OPEN), else_=mark)
        counted += [(bytes(row[0]), row[1]) for row in connection.execute(select(kind, func.count()).group_by(kind))]
    return counted


def reseal(connection: Connection, mark: bytes, anew: Callable[[bytes], bytes], limit: int) -> int:
    """Seal `anew` what begins with `mark`, at most `limit` entries; how many they were."""
    count = 0
    for column in _SEALED:
        table = column.table
        key = list(table.primary_key.columns)
        stale = select(*key, column.label("sealed")).where(func.substr(column, 1, len(mark)) == mark)
        for row in connection.execute(stale.limit(limit - count).with_for_update()).all():
            place = and_(*(each == value for each, value in zip(key, row, strict=False)))
            connection.execute(update(table).where(place).values({column: anew(row.sealed)}))
            count += 1
        if count >= limit:
            break
    return count
