"""The store as its users see it, whichever database it is in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, TypeVar

from rom_core.errors import StoreUnavailable
from rom_core.store.overrides import State, Trouble, Version

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

T = TypeVar("T")
SYSTEM = "rom"
"""The author of the versions that the store itself makes."""
Watcher: TypeAlias = Callable[[str, float, StoreUnavailable | None], None]
"""Is told of each transaction: read or write, seconds, and why the store could not carry it out."""


class Store(Protocol):
    """Transactions in one database, for any thread. `known` is the newest state of the overrides that was seen here.

    An action may be carried out again, after it failed half-way: it does nothing but use its connection. Calls wait for
    a few seconds at most and raise StoreUnavailable.
    """

    kind: Literal["sqlite", "postgresql"]
    known: State | None
    watcher: Watcher | None

    @property
    def trouble(self) -> Trouble | None:
        """What is wrong with it, None if nothing is."""

    @property
    def engine(self) -> Engine:
        """Connections to the database, for what needs one of its own."""

    def read(self, action: Callable[[Connection], T]) -> T:
        """What `action` returns; all that it reads is as it was at one moment."""

    def write(self, action: Callable[[Connection], T], *, copied: bool = False) -> T:
        """The same in a transaction that writes, durable when this returns.

        `copied`: tables are changed that take part in the good copy, which is renewed.
        """

    def versions(self, connection: Connection) -> list[Version]:
        """All versions of the settings, oldest first. Raises Damaged if anything is not as it was written."""

    def close(self) -> None:
        """Let go of the connections."""
