"""An erasure and the end of a turn at the same moment, in PostgreSQL, where both transactions run at once."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from kept_support import WHO, turn_row
from sqlalchemy import Connection, select, text
from waiting import until

from plugins.conversations import keeping
from plugins.conversations.plugin import Conversations
from plugins.conversations.tables import METADATA
from rom_core.store.address import address_of
from rom_core.store.opening import open_store
from rom_core.store.owners import owners_of
from rom_core.store.postgres import store as postgres_store

_WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")


def test_nothing_stays_of_a_turn_that_ends_while_its_conversation_is_erased(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The erasure waits for what the turn writes, files included, and takes it along."""
    for name in ("LOCK_SECONDS", "STATEMENT_SECONDS", "CALL_SECONDS"):
        monkeypatch.setattr(postgres_store, name, 60.0)
    owners = owners_of("0.1.0", [("conversations", "0.1.0", Conversations().rom_tables())])
    store: Any = open_store(address_of(postgres_url, "", Path()), owners, time.time)
    store.write(lambda connection: keeping.begin(connection, "c", WHO, b"\0title", turn_row(1, "one:1")))
    erasing = threading.Thread(target=lambda: store.write(lambda connection: keeping.remove(connection, ["c"])))

    def end(connection: Connection) -> None:
        keeping.finish(connection, "c", turn_row(1, "one:1", "whole", b"\0said", f1=b"\0file"))
        erasing.start()
        assert until(lambda: store.read(lambda other: other.execute(_WAITING).scalar()) > 0)

    store.write(end)
    erasing.join(60)
    left = store.read(lambda connection: [connection.execute(select(table)).all() for table in METADATA.sorted_tables])
    store.close()
    assert left == [[] for _ in METADATA.sorted_tables]
