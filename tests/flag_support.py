"""Flags under test: a folder of settings files, a store that fails when told to, a runtime that reads both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from support import ScriptedTransport, says

from rom_core.catalogue import Catalogue
from rom_core.clock import FakeClock
from rom_core.config.store import OverrideStore, State, StoreConflict, Trouble, Version, replay
from rom_core.errors import StoreUnavailable
from rom_core.flags import Author, Flags, Layers
from rom_core.runtime import Runtime

ANA = Author("ana", "because", "trace-1")
SETTINGS_TOML = '[default]\nBEDROCK_ENABLED = true\nSYSTEM_PROMPT = "You answer."\nMAX_TOKENS = 1000\n'


class MemoryStore:
    """An OverrideStore in memory; `broken` makes every call fail, `rival` is appended just before the next append."""

    def __init__(self, *versions: Version) -> None:
        self.versions = [Version(1, 0.0, "rom"), *versions]
        self.broken = False
        self.rival: list[Version] = []

    @property
    def trouble(self) -> Trouble | None:
        """Unwritable while it is broken."""
        return Trouble("unwritable", "told to fail") if self.broken else None

    def load(self) -> State:
        """The newest state."""
        self._check()
        return replay(self.versions)

    def state_at(self, version: int) -> State | None:
        """A past state."""
        self._check()
        return replay(self.versions[:version]) if 0 < version <= len(self.versions) else None

    def append(self, after: int, versions: Sequence[Version]) -> None:
        """Add, unless somebody was first."""
        self._check()
        self.versions += self.rival
        self.rival = []
        if after != len(self.versions):
            raise StoreConflict
        assert [version.number for version in versions] == list(range(after + 1, after + 1 + len(versions)))
        self.versions += versions

    def history(self, limit: int, before: int | None = None) -> list[Version]:
        """Newest first."""
        self._check()
        return [v for v in reversed(self.versions) if before is None or v.number < before][:limit]

    def _check(self) -> None:
        if self.broken:
            raise StoreUnavailable("told to fail")


class Site:
    """A project's folder with settings.toml, an environment, plugins, and a store that outlives its runtimes."""

    def __init__(self, root: Path, store: OverrideStore | None = None, **plugins: Any) -> None:
        self.root = root
        self.store: Any = store or MemoryStore()
        self.environ = {"ROM_ENV": "testing"}
        self.plugins = plugins
        self.write(SETTINGS_TOML)

    def write(self, text: str, file: str = "settings.toml") -> None:
        """Replace a file."""
        (self.root / file).write_text(text, encoding="utf-8")

    def start(self, *steps: Any) -> tuple[Runtime, Flags]:
        """A process that starts: its runtime, not yet announced, and its flags."""
        catalogue = Catalogue.of(**self.plugins)
        flags = Flags(Layers(catalogue, self.root, self.environ), self.store)
        transport = ScriptedTransport(*(steps or (says("hello"),)))
        runtime = Runtime(catalogue, flags.at_start, clock=FakeClock(), transport=transport, flags=flags)
        return runtime, flags
