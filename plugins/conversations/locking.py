"""The row that whoever writes into a conversation locks first."""

from __future__ import annotations

from sqlalchemy import Connection, select

from plugins.conversations.tables import KEPT


def locked(connection: Connection, conversation_id: str) -> str | None:
    """What has claimed the conversation, None if it is not there; nobody else writes into it in this transaction."""
    there = select(KEPT.c.busy_with).where(KEPT.c.id == conversation_id).with_for_update()
    return connection.execute(there).scalar_one_or_none()
