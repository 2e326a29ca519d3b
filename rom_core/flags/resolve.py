"""From layers and overrides to a snapshot that can be put in force, or every reason why not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rom_core.errors import PluginError
from rom_core.flags.canary import Canary, CanaryBlock
from rom_core.plugin.catalogue import Catalogue
from rom_core.plugin.snapshot import Snapshot
from rom_core.settings import InvalidSettings, Problem, Settings, load_settings
from rom_core.store.overrides import CANARY

Build = Callable[[Settings], Snapshot]


@dataclass(frozen=True)
class Layers:
    """Where settings come from; `load` reads it all afresh. `environ` is the environment the process began with."""

    catalogue: Catalogue
    root: Path
    environ: Mapping[str, str]

    def load(
        self,
        overrides: Mapping[str, Any] = MappingProxyType({}),
        started: Settings | None = None,
        *,
        relations: bool = True,
    ) -> Settings:
        """As `load_settings`; without `relations` each setting is judged by itself. Raises InvalidSettings."""
        catalogue = self.catalogue
        return load_settings(
            catalogue.settings,
            catalogue.rules if relations else (),
            root=self.root,
            environ=self.environ,
            overrides=overrides,
            lenient_switches=catalogue.has_broken,
            started=started,
        )


@dataclass(frozen=True)
class Resolved:
    """A snapshot, its canary included, and the overrides that it does without, with the reason."""

    snapshot: Snapshot
    skipped: tuple[Problem, ...] = ()


class _Everything:
    def __contains__(self, name: object) -> bool:
        return True


EVERYTHING: Container[str] = _Everything()


def resolve(
    layers: Layers,
    build: Build,
    overrides: Mapping[str, Any],
    started: Settings | None,
    may_skip: Container[str],
) -> Resolved:
    """Read the layers, lay `overrides` (JSON values, the canary block among them) over them, build.

    Overrides named in `may_skip` give way when they are what is wrong: unknown here, invalid, against a rule, or the
    switch of a plugin that cannot be used. Raises InvalidSettings for everything else.
    """
    skipped: dict[str, Problem] = {}
    while True:
        usable = {name: value for name, value in overrides.items() if name not in skipped and name != CANARY}
        try:
            settings = layers.load(usable, started)
            snapshot = _built(layers.catalogue, build, settings)
            break
        except InvalidSettings as error:
            blamed = {
                name: Problem(name, problem.message)
                for problem in error.problems
                for name in (problem.name, *problem.related)
                if name in usable and name in may_skip
            }
            if not blamed:
                raise
            skipped |= blamed
    block = overrides.get(CANARY)
    if block is not None:
        try:
            snapshot = _with_canary(layers, build, snapshot, usable, block, started)
        except InvalidSettings as error:
            if CANARY not in may_skip:
                raise
            reasons = "; ".join(f"{problem.name}: {problem.message}" for problem in error.problems)
            skipped[CANARY] = Problem(CANARY, reasons)
    return Resolved(snapshot, tuple(skipped.values()))


def _with_canary(
    layers: Layers, build: Build, stable: Snapshot, overrides: Mapping[str, Any], raw: Any, started: Settings | None
) -> Snapshot:
    block = CanaryBlock.parse(raw, stable.settings.declared)
    if not block.flags:
        return stable
    try:
        settings = layers.load({**overrides, **block.flags}, started)
        snapshot = _built(layers.catalogue, build, settings)
    except InvalidSettings as error:
        raise InvalidSettings(
            Problem(f"{CANARY}.{problem.name}", problem.message) for problem in error.problems
        ) from error
    return dataclasses.replace(stable, canary=Canary(snapshot, block, settings.CANARY_PERCENT))


def _built(catalogue: Catalogue, build: Build, settings: Settings) -> Snapshot:
    try:
        return build(settings)
    except PluginError as error:
        plugin = catalogue.plugins.get(error.plugin)
        name = plugin.switch if plugin is not None else error.plugin
        raise InvalidSettings([Problem(name, f"plugin {error.plugin!r}: {error.reason}")]) from error
