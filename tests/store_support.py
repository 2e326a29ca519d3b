"""Stores of overrides under test: opened as by a process that starts, with a known history."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rom_core.store.address import DATABASE, Address, SqliteAddress, address_of
from rom_core.store.base import Store
from rom_core.store.history import StoredOverrides
from rom_core.store.opening import open_store
from rom_core.store.overrides import Change, Version
from rom_core.store.owners import Owner, owners_of

NOW = 1_700_000_000.0
OWNERS = owners_of("0.1.0", ())
_OPEN: list[Store] = []


def address(where: Path | str) -> Address:
    """Of a folder, or of a URL."""
    return SqliteAddress(where / DATABASE) if isinstance(where, Path) else address_of(where, "", Path())


def opened(where: Path | str, owners: Sequence[Owner] = OWNERS) -> StoredOverrides:
    """The store of overrides as a process that starts opens it, in SQLite in a folder, or behind a URL."""
    store = open_store(address(where), owners, lambda: NOW)
    _OPEN.append(store)
    return StoredOverrides(store)


def close_all() -> None:
    """Close every store that `opened` has opened."""
    while _OPEN:
        _OPEN.pop().close()


def version(number: int, *changes: Change, why: str = "") -> Version:
    """One entry of the history."""
    return Version(number, NOW + number, "ana", why, f"trace-{number}", changes)


def put(name: str, after: Any, before: Any = None) -> Change:
    """An override set."""
    return Change(name, "set", before, after)


def filled(where: Path | str) -> StoredOverrides:
    """A store whose newest version, 3, has MAX_TOKENS at 2."""
    store = opened(where)
    store.append(1, [version(2, put("MAX_TOKENS", 1))])
    store.append(2, [version(3, put("MAX_TOKENS", 2, before=1))])
    return store
