"""Flags under test: a folder of settings files, a store that fails when told to, a runtime that reads both."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support import ScriptedTransport, says

from rom_core import hookspecs
from rom_core.concurrency.clock import FakeClock
from rom_core.errors import StoreUnavailable
from rom_core.events import SettingsChanged
from rom_core.flags import Author, Flags, Layers
from rom_core.markers import hookimpl
from rom_core.plugin.catalogue import Catalogue
from rom_core.runtime import Runtime
from rom_core.settings import InvalidSettings, Rule, Setting
from rom_core.store.base import Store
from rom_core.store.overrides import OverrideStore, State, StoreConflict, Trouble, Version, replay

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
    """A project's folder with settings.toml, an environment, plugins, and a store that outlives its runtimes.

    `database` opens what plugins keep their tables in; None for nothing.
    """

    def __init__(self, root: Path, store: OverrideStore | None = None, **plugins: Any) -> None:
        self.root = root
        self.store: Any = store or MemoryStore()
        self.database: Callable[[Catalogue], Store] | None = None
        self.environ = {"ROM_ENV": "testing"}
        self.plugins = plugins
        self.write(SETTINGS_TOML)

    def write(self, text: str, file: str = "settings.toml") -> None:
        """Replace a file."""
        (self.root / file).write_text(text, encoding="utf-8")

    def start(self, *steps: Any) -> tuple[Runtime, Flags]:
        """A process that starts: its runtime, not yet announced, and its flags."""
        catalogue = Catalogue.of(hookspecs, **self.plugins)
        layers = Layers(catalogue, self.root, self.environ)
        flags = Flags(layers, self.store, database=None if self.database is None else self.database(catalogue))
        self.transport = transport = ScriptedTransport(*(steps or (says("hello"),)))
        runtime = Runtime(catalogue, flags.at_start, clock=FakeClock(), transport=transport, flags=flags)
        return runtime, flags


class Limits:
    """A plugin with two settings that must be in order, a secret, and one that is read at start."""

    @hookimpl
    def rom_settings(self) -> list[Setting | Rule]:
        return [
            Setting("LIMITS_ENABLED", bool, True, "on or off", switch=True),
            Setting("SOFT", int, 12, "soft limit", minimum=1),
            Setting("HARD", int, 25, "hard limit", minimum=1),
            Setting("RATIOS", list, (0.5,), "ratios", item=float),
            Setting("TABLE", dict, {}, "a table"),
            Setting("PASSWORD", str, "", "a password", secret=True),
            Setting("NOTE", str, "", "any text"),
            Setting("PLACE", str, "here", "read at start", runtime=False),
            Rule(("SOFT", "HARD"), lambda s: "is not below HARD" if s.SOFT >= s.HARD else None),
        ]


def start(site: Site) -> tuple[Runtime, Flags]:
    """A process whose observer, the plugin `recorder`, is switched on."""
    site.environ |= {"RECORDER_ENABLED": "true"}
    return site.start()


def changes(runtime: Runtime) -> list[SettingsChanged]:
    """The events of changes that the observer has."""
    events = runtime.catalogue.plugins["recorder"].instance.events
    return [event for event in events if isinstance(event, SettingsChanged)]


def problems(flags: Flags, **edits: Any) -> dict[str, str]:
    """Why a change is refused, by name; it must leave everything as it was."""
    before = flags.now
    with pytest.raises(InvalidSettings) as caught:
        flags.change(edits, ANA)
    assert flags.now is before
    return {problem.name: problem.message for problem in caught.value.problems}


@contextmanager
def held(flags: Flags) -> Iterator[None]:
    """Another thread is in the middle of a change, and does not get on."""
    took, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with flags._lock:
            took.set()
            let_go.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    assert took.wait(60)
    try:
        yield
    finally:
        let_go.set()
        holder.join()
