"""Columns of a plugin's tables whose values were sealed: with which keys, and sealed anew once another key is first.

Every function is one transaction's action: it gets a connection, does nothing else, and may be carried out again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import Column, Connection, and_, case, func, select, update

from rom_core.store.sealing import MARK_BYTES, OPEN


def marks(connection: Connection, columns: Iterable[Column[Any]]) -> list[tuple[bytes, int]]:
    """How the values of these columns were sealed, and how often; empty ones are left out."""
    counted: list[tuple[bytes, int]] = []
    for column in columns:
        mark = func.substr(column, 1, MARK_BYTES)
        # Of what is not encrypted the bytes that follow are content.
        kind = case((func.substr(column, 1, 1) == OPEN, OPEN), else_=mark)
        kinds = select(kind, func.count()).where(func.length(column) > 0).group_by(kind)
        counted += [(bytes(row[0]), row[1]) for row in connection.execute(kinds)]
    return counted


def reseal(
    connection: Connection, columns: Iterable[Column[Any]], mark: bytes, anew: Callable[[bytes], bytes], limit: int
) -> int:
    """Seal `anew` what begins with `mark`, at most `limit` values; how many they were."""
    count = 0
    for column in columns:
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
