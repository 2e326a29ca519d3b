"""The rows of summaries, each an action of a transaction as in keeping.py."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from plugins.conversations.locking import locked
from plugins.conversations.tables import SUMMARIES
from rom_core.store.sharing import time_of


@dataclass(frozen=True, slots=True)
class Summary:
    """A row of SUMMARIES; `body` is sealed."""

    up_to: int
    made_in: int
    at: float
    body: bytes


def summary(connection: Connection, conversation_id: str) -> Summary | None:
    """That of the oldest turns of a conversation, None if there is none."""
    row = connection.execute(select(SUMMARIES).where(SUMMARIES.c.conversation_id == conversation_id)).first()
    return None if row is None else Summary(row.up_to, row.made_in, row.at, row.body)


def summarise(connection: Connection, conversation_id: str, claim: str, made: Summary) -> bool:
    """Keep a summary in the place of the one before; whether that could be, as `keeping.note`."""
    if locked(connection, conversation_id) != claim:
        return False
    connection.execute(delete(SUMMARIES).where(SUMMARIES.c.conversation_id == conversation_id))
    row = {"up_to": made.up_to, "made_in": made.made_in, "at": time_of(connection, made.at), "body": made.body}
    connection.execute(insert(SUMMARIES).values(conversation_id=conversation_id, **row))
    return True
