"""Tables that the core or a plugin keeps in the store, where their migrations are, and what is erased from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import MetaData


@dataclass(frozen=True, slots=True)
class Tables:
    """What `rom_tables` returns.

    metadata: the tables, of SQLAlchemy; each name begins with the plugin's name and an underscore (`my-notes`:
    `my_notes_`). migrations: the package whose modules make them, `r0001_….py`, `r0002_….py`, …, each an Alembic
    migration with `oldest_release`, the oldest release of the plugin's distribution that works with what it makes; a
    migration only adds. copied: the tables are small and hold no content of conversations: they take part in the good
    copy that stands in for a damaged SQLite database; others are empty after that.
    """

    metadata: MetaData
    migrations: str
    copied: bool = False


@dataclass(frozen=True, slots=True)
class Erasure:
    """What is erased: conversations by their ids, and with `user` everything of that person besides.

    `user` is None where it is about conversations alone; `key_name` None means: under whichever API key.
    """

    conversation_ids: tuple[str, ...]
    user: str | None = None
    key_name: str | None = None
