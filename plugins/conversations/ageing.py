"""Rows that have grown old: what nobody has used for long, and what an earlier key has sealed.

Every function is one transaction's action, as in keeping.py.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, select

from plugins.conversations.tables import FILES, KEPT, SUMMARIES, TURNS
from rom_core.store import sealed_columns

_SEALED = (KEPT.c.title, TURNS.c.body, SUMMARIES.c.body, FILES.c.content)


def unused_since(connection: Connection, before: float, limit: int) -> list[str]:
    """The ids of conversations in which nothing happened since `before`, at most `limit`."""
    old = select(KEPT.c.id).where(KEPT.c.updated_at < before, KEPT.c.busy_until < before)
    return list(connection.execute(old.order_by(KEPT.c.updated_at).limit(limit).with_for_update()).scalars())


def marks(connection: Connection) -> list[tuple[bytes, int]]:
    """How everything that is kept was sealed, and how often."""
    return sealed_columns.marks(connection, _SEALED)


def reseal(connection: Connection, mark: bytes, anew: Callable[[bytes], bytes], limit: int) -> int:
    """Seal `anew` what begins with `mark`, at most `limit` entries; how many they were."""
    return sealed_columns.reseal(connection, _SEALED, mark, anew, limit)
