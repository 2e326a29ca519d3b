"""Stores of overrides under test: opened as by a process that starts, with a known history."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rom_core.store.address import DATABASE, Address
from rom_core.store.history import StoredOverrides
from rom_core.store.opening import open_store
from rom_core.store.overrides import Change, Version
from rom_core.store.owners import owners_of

NOW = 1_700_000_000.0
OWNERS = owners_of("0.1.0", ())


def opened(folder: Path) -> StoredOverrides:
    """The store of overrides as a process that starts opens it, in SQLite."""
    return StoredOverrides(open_store(Address("sqlite", folder / DATABASE), OWNERS, lambda: NOW))


def version(number: int, *changes: Change, why: str = "") -> Version:
    """One entry of the history."""
    return Version(number, NOW + number, "ana", why, f"trace-{number}", changes)


def put(name: str, after: Any, before: Any = None) -> Change:
    """An override set."""
    return Change(name, "set", before, after)


def filled(folder: Path) -> StoredOverrides:
    """A store whose newest version, 3, has MAX_TOKENS at 2."""
    store = opened(folder)
    store.append(1, [version(2, put("MAX_TOKENS", 1))])
    store.append(2, [version(3, put("MAX_TOKENS", 2, before=1))])
    return store
