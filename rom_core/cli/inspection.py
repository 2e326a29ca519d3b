"""What is installed and configured here, for commands that only look: nothing is made, started or written.

Settings that `rom serve` would not start with are shown too, as far as they can be read.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rom_core import hookspecs
from rom_core.cli.problems import SettingsInvalid
from rom_core.cli.root import missing_settings
from rom_core.cli.terminal import say

if TYPE_CHECKING:
    from rom_core.plugin.catalogue import Catalogue
    from rom_core.settings import Problem, Settings


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found.

    `settings` are those in force, with the default in place of what does not fit; `problems` why `rom serve` would not
    start with them; `skipped` the stored overrides that it would do without.
    """

    catalogue: Catalogue
    settings: Settings
    problems: tuple[Problem, ...] = ()
    skipped: tuple[Problem, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """{environment, problems, skipped}: what every command that looks has to tell."""
        return {
            "environment": self.settings.environment,
            "problems": [problem.as_dict() for problem in self.problems],
            "skipped": [problem.as_dict() for problem in self.skipped],
        }

    def end(self) -> None:
        """Tell on stderr what is wrong. Raises SettingsInvalid if `rom serve` would not start."""
        from rom_core.settings import InvalidSettings

        for problem in self.skipped:
            say(f"override skipped: {problem.name}: {problem.message}", err=True)
        if self.problems:
            raise SettingsInvalid(str(InvalidSettings(self.problems)))


def inspected(root: Path) -> Inspection:
    """What the folder `root` and the environment of this process say.

    Raises SettingsInvalid only where nothing could be shown.
    """
    from rom_core.errors import ConfigurationError

    with _logging_aside():
        try:
            return inspect(root, dict(os.environ))
        except ConfigurationError as error:
            raise SettingsInvalid(str(error)) from None


def inspect(root: Path, environ: Mapping[str, str]) -> Inspection:
    """What is installed, and configured under `root`, stored overrides included. Raises ConfigurationError."""
    from rom_core.errors import PluginError, StoreRefused
    from rom_core.flags.apply import resolve
    from rom_core.plugin.catalogue import Catalogue, Layers
    from rom_core.plugin.snapshot import build_snapshot
    from rom_core.settings import InvalidSettings, Problem
    from rom_core.store.overrides import CANARY, PENDING, State
    from rom_core.store.setup import state_of

    faults: list[PluginError] = []
    catalogue = Catalogue.installed(hookspecs, faults)
    broken = tuple(Problem(f"plugin {fault.plugin}", fault.reason) for fault in faults)
    if reason := missing_settings(root, environ):
        broken += (Problem("settings.toml", reason),)

    settings = read_settings(catalogue, root, environ)
    state = State()
    if settings.STATE_DIR.strip():
        try:
            state = state_of(catalogue, settings, root)
        except StoreRefused as error:
            broken += (Problem("STATE_URL", error.detail),)
        except PluginError as error:
            broken += (Problem(f"plugin {error.plugin}", error.reason),)
    build = partial(build_snapshot, catalogue, core=())
    try:
        resolved = resolve(Layers(catalogue, root, environ), build, state.values, None, None)
    except InvalidSettings as error:
        usable = {name: value for name, value in state.values.items() if name not in (CANARY, PENDING)}
        return Inspection(catalogue, read_settings(catalogue, root, environ, usable), (*broken, *error.problems))
    return Inspection(catalogue, resolved.snapshot.settings, broken, resolved.skipped)


def read_settings(
    catalogue: Catalogue, root: Path, environ: Mapping[str, str], overrides: Mapping[str, Any] = MappingProxyType({})
) -> Settings:
    """The settings under `root` as far as they can be read: what is wrong is at its default."""
    from rom_core.settings import load_settings

    return load_settings(
        catalogue.settings,
        root=root,
        environ=environ,
        overrides=overrides,
        lenient_switches=catalogue.has_broken,
        collect_problems=[],
    )


@contextmanager
def _logging_aside() -> Iterator[None]:
    """What is logged meanwhile goes to stderr: stdout belongs to the answer."""
    import structlog

    before = structlog.get_config()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        yield
    finally:
        structlog.configure(**before)
