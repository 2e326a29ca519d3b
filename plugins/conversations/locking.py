"""The row that whoever writes into a conversation locks first, and the time by which claims hold."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from plugins.conversations.tables import KEPT


def locked(connection: Connection, conversation_id: str) -> str | None:
    """What has claimed the conversation, None if it is not there; nobody else writes into it in this transaction."""
    there = select(KEPT.c.busy_with).where(KEPT.c.id == conversation_id).with_for_update()
    return connection.execute(there).scalar_one_or_none()


def time_of(connection: Connection, at: float) -> float:
    """Seconds since the epoch by the store's clock, which a fleet shares; `at` where the store has none of its own."""
    if connection.dialect.name != "postgresql":
        return at
    return float(connection.execute(select(func.date_part("epoch", func.clock_timestamp()))).scalar_one())
