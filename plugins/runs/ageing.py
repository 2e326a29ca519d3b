"""Rows that have grown old: runs that ended long ago, and what an earlier key has sealed.

Every function is one transaction's action, as in keeping.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection

from plugins.runs import owning
from plugins.runs.tables import EVENTS, FILES, KEPT
from rom_core.store import sealed_columns
from rom_core.store.sharing import time_of

_SEALED: Final = (KEPT.c.request, KEPT.c.ending, FILES.c.content, EVENTS.c.body)


def erase_ended(connection: Connection, at: float, seconds: float, limit: int) -> int:
    """Erase runs that ended more than so many seconds ago, at most `limit`; how many they were."""
    ids = owning.ended_before(connection, time_of(connection, at) - seconds, limit)
    owning.remove(connection, ids)
    return len(ids)


def marks(connection: Connection) -> list[tuple[bytes, int]]:
    """How everything that is kept was sealed, and how often."""
    return sealed_columns.marks(connection, _SEALED)


def reseal(connection: Connection, mark: bytes, anew: Callable[[bytes], bytes], limit: int) -> int:
    """Seal `anew` what begins with `mark`, at most `limit` entries; how many they were."""
    return sealed_columns.reseal(connection, _SEALED, mark, anew, limit)
