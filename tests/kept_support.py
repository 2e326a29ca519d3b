"""A store with the tables of conversations, and as much of a runtime as they need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import store_support

from plugins.conversations.keeping import State, TurnRow
from plugins.conversations.plugin import Conversations
from rom_core import hookspecs
from rom_core.concurrency.clock import FakeClock
from rom_core.plugin.catalogue import Catalogue
from rom_core.store.content_owner import Owner
from rom_core.store.opening import open_store
from rom_core.store.owners import owners_of

WHO = Owner("ana", "")


class FakeRuntime:
    """A runtime with a store and other plugins."""

    def __init__(self, store: Any, **others: Any) -> None:
        self.store = store
        self.clock = FakeClock()
        self.current = self
        self.settings = self
        self.catalogue = Catalogue.of(hookspecs, **others)
        self.CONVERSATION_RETENTION_DAYS = 90


def new_store(folder: Path) -> Any:
    """An SQLite store that has the tables."""
    owners = owners_of("0.1.0", [("conversations", "0.1.0", Conversations().rom_tables())])
    return open_store(store_support.address(folder), owners, lambda: 0.0)


def turn_row(number: int, claim: str, state: State = "cut", body: bytes = b"\0[]", /, **files: bytes) -> TurnRow:
    """A turn that is not sealed."""
    return TurnRow(number, claim, 0.0, state, "", body, files)
