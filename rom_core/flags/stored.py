"""The flags of an installation: what its folder and environment say, with the overrides in its store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rom_core.concurrency.clock import SystemClock
from rom_core.flags.apply import each_by_itself
from rom_core.flags.control import Flags
from rom_core.plugin.catalogue import Catalogue, Layers
from rom_core.store.history import StoredOverrides
from rom_core.store.setup import store_of


def stored_flags(catalogue: Catalogue, root: Path, environ: Mapping[str, str]) -> Flags:
    """The settings of `root`, with their overrides in the store. Raises InvalidSettings and StoreRefused."""
    layers = Layers(catalogue, root, environ)
    # An override may be what makes two settings fit together, so relations are judged with the overrides only.
    at_start = each_by_itself(layers)
    if not at_start.STATE_DIR.strip():
        layers.load()
    store = store_of(catalogue, at_start, root, SystemClock().time)
    return Flags(layers, StoredOverrides(store), at_start, store)
