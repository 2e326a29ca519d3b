"""The store of an installation: what its settings name, with the tables of everything that is installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rom_core import __version__
from rom_core.plugin.catalogue import Catalogue
from rom_core.settings import Settings
from rom_core.store.address import Address, SqliteAddress, address_of
from rom_core.store.base import Store
from rom_core.store.opening import open_store
from rom_core.store.overrides import State
from rom_core.store.owners import Owner, owners_of


def owners(catalogue: Catalogue) -> tuple[Owner, ...]:
    """The core and the plugins that keep tables. Raises PluginError."""
    return owners_of(__version__, catalogue.tables())


def where(settings: Settings, root: Path) -> Address:
    """Where these settings have the store. Raises StoreRefused."""
    return address_of(settings.STATE_URL, settings.STATE_DIR, root)


def store_of(catalogue: Catalogue, settings: Settings, root: Path, now: Callable[[], float]) -> Store:
    """The store that these settings name, opened. Raises PluginError and StoreRefused."""
    return open_store(where(settings, root), owners(catalogue), now)


def state_of(catalogue: Catalogue, settings: Settings, root: Path) -> State:
    """The overrides that are stored; nothing is made or changed.

    A file is read as far as possible. Raises PluginError, and StoreRefused for a database that cannot be reached.
    """
    address = where(settings, root)
    if isinstance(address, SqliteAddress):
        if not address.path.parent.exists():
            return State()
        from rom_core.store.sqlite.store import read_state

        return read_state(address.path, owners(catalogue))
    from rom_core.store.postgres.reading import read_shared_state

    return read_shared_state(address.url)
