"""Opening the store that the settings name."""

from __future__ import annotations

import errno
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rom_core.errors import StoreRefused
from rom_core.store.address import Address, PostgresAddress
from rom_core.store.base import Store
from rom_core.store.owners import Owner

START_SECONDS = 8.0
"""For how long a start waits for a database that others hold."""
_AGAIN_SECONDS = 0.1


def open_store(address: Address, owners: Sequence[Owner], now: Callable[[], float]) -> Store:
    """The store, with its tables made and migrated. `now` is in seconds since the epoch.

    Raises StoreRefused, a sentence that says what is wrong, where, and what to do.
    """
    if isinstance(address, PostgresAddress):
        try:
            import psycopg  # noqa: F401
        except ImportError as error:
            raise StoreRefused(
                f"STATE_URL names PostgreSQL, and its driver does not load ({error}): pip install 'psycopg[binary]'"
            ) from None
        from rom_core.store.postgres.store import PostgresStore

        return PostgresStore(address.url, owners, now)
    return _sqlite(address.path, owners, now)


def _sqlite(path: Path, owners: Sequence[Owner], now: Callable[[], float]) -> Store:
    from rom_core.store.sqlite import earlier
    from rom_core.store.sqlite.connections import FAILURES, is_busy
    from rom_core.store.sqlite.store import SqliteStore

    give_up = time.monotonic() + START_SECONDS
    while True:
        try:
            store = SqliteStore(path, owners, now, lambda: earlier.first_versions(path.parent, now))
        except FAILURES as error:
            busy = is_busy(error)
            if not busy or time.monotonic() > give_up:
                raise StoreRefused(_sentence(path, error, busy=busy)) from error
        else:
            earlier.put_away(path.parent)
            return store
        time.sleep(_AGAIN_SECONDS)


def _sentence(path: Path, error: BaseException, *, busy: bool) -> str:
    from rom_core.store.sqlite.connections import locked, primary_code, reason_of

    if busy:
        return locked(path)
    no_room = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if no_room or primary_code(error) == sqlite3.SQLITE_FULL:
        return f"the disk of the store {path} is full; make room, or name another folder in STATE_DIR"
    return (
        f"the store {path} cannot be made or written: {reason_of(error)}; let the server's user write in "
        "that folder, or name another one in STATE_DIR"
    )
