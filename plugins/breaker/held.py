"""Circuits that an administrator holds: kept in the store, so that they hold after a restart and for a whole fleet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rom_core.flags import Author
from rom_core.plugin.protocols import PluginStore

if TYPE_CHECKING:
    from sqlalchemy import Connection

TOPIC = "circuits"


@dataclass(frozen=True, slots=True)
class Held:
    """How a circuit is held, by whom and why, and since when in seconds since the epoch."""

    state: Literal["open", "closed"]
    author: Author
    at: float


def held(store: PluginStore) -> Mapping[str, Held]:
    """All of them, by the alias of the model. Raises StoreUnavailable."""
    from sqlalchemy import select

    from plugins.breaker.tables import HELD

    rows = store.read(lambda connection: connection.execute(select(HELD)).all())
    return {row.model: Held(row.state, Author(row.by, row.why), row.at) for row in rows}


def hold(store: PluginStore, model: str, wanted: Held) -> None:
    """Keep one, and tell the fleet. Raises StoreUnavailable."""
    from sqlalchemy import delete, insert

    from plugins.breaker.tables import HELD
    from rom_core.store.sharing import notify

    author = wanted.author
    row = {"model": model, "state": wanted.state, "at": wanted.at, "by": author.by, "why": author.why}

    def replace(connection: Connection) -> None:
        connection.execute(delete(HELD).where(HELD.c.model == model))
        connection.execute(insert(HELD).values(row))
        notify(connection, TOPIC)

    store.write(replace, copied=True)


def let_go(store: PluginStore, models: Iterable[str]) -> None:
    """Keep these no longer, and tell the fleet. Raises StoreUnavailable."""
    from sqlalchemy import delete

    from plugins.breaker.tables import HELD
    from rom_core.store.sharing import notify

    names = list(models)

    def remove(connection: Connection) -> None:
        connection.execute(delete(HELD).where(HELD.c.model.in_(names)))
        notify(connection, TOPIC)

    store.write(remove, copied=True)
