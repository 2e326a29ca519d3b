"""Who keeps tables in the store: the core and each plugin that contributes some."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from rom_core.errors import PluginError
from rom_core.store.tables import CORE, PREFIX
from rom_core.tables import Tables

_VERSION_TABLE = "alembic_version"
_FILE = re.compile(r"r([0-9]{4})_[a-z0-9_]+\.py")


@dataclass(frozen=True, slots=True)
class Owner:
    """`release` is that of the code, "" if nobody knows; `plugin` is "" for the core."""

    prefix: str
    tables: Tables
    release: str = ""
    plugin: str = ""

    @property
    def version_table(self) -> str:
        """Where Alembic keeps which migration was the last."""
        return f"{self.prefix}{_VERSION_TABLE}"

    @property
    def migrations_table(self) -> str:
        """Where every migration that was carried out is kept, with the oldest release that works with it."""
        return f"{self.prefix}migrations"

    @property
    def folder(self) -> Path:
        """The folder of the migrations."""
        return Path(str(import_module(self.tables.migrations).__file__)).parent

    @property
    def revisions(self) -> Sequence[str]:
        """The numbers of the migrations that this code has, oldest first."""
        matches = (_FILE.fullmatch(path.name) for path in self.folder.iterdir())
        return sorted(match[1] for match in matches if match is not None)


def core(release: str) -> Owner:
    """The core as an owner."""
    return Owner(PREFIX, CORE, release)


def owners_of(release: str, contributed: Iterable[tuple[str, str, Tables]]) -> tuple[Owner, ...]:
    """The core of that release, and plugins by (name, release, tables). Raises PluginError for what does not fit."""
    owners = [core(release)]
    taken = dict.fromkeys(CORE.metadata.tables, "the core")
    for name, its_release, tables in contributed:
        owner = Owner(f"{name.replace('-', '_').lower()}_", tables, its_release, name)
        if owner.prefix in (other.prefix for other in owners):
            raise PluginError(name, f"tables that begin with {owner.prefix} are somebody else's: it needs another name")
        for table in sorted(tables.metadata.tables):
            if not table.startswith(owner.prefix):
                raise PluginError(name, f"its table {table} does not begin with {owner.prefix}")
            if table in (owner.version_table, owner.migrations_table):
                raise PluginError(name, f"its table {table} is the store's own")
            if table in taken:
                raise PluginError(name, f"its table {table} is one of {taken[table]}")
            taken[table] = repr(name)
        try:
            revisions = owner.revisions
        except (ImportError, OSError) as error:
            raise PluginError(name, f"its migrations {tables.migrations} cannot be read: {error}") from error
        if not revisions:
            raise PluginError(name, f"there is no migration r0001_….py in {tables.migrations}")
        owners.append(owner)
    return tuple(owners)


def prefixes(tables: Iterable[str]) -> dict[str, str]:
    """For each of these tables of one database its owner's prefix, "" if it has none; owners may be uninstalled."""
    names = list(tables)
    known = [name.removesuffix(_VERSION_TABLE) for name in names if name.endswith(f"_{_VERSION_TABLE}")]
    return {name: max((each for each in known if name.startswith(each)), key=len, default="") for name in names}
