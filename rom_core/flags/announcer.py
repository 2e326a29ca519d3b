"""Who hears of the settings: observers of changes and of trouble with the store, the log of what was skipped."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import structlog

from rom_core.events import FlagsStoreTroubled, SettingsChanged
from rom_core.settings import Problem
from rom_core.store.overrides import OverrideStore, Trouble
from rom_core.telemetry import log

if TYPE_CHECKING:
    from rom_core.plugin.pipeline import Pipeline
    from rom_core.runtime import Runtime

logger = structlog.get_logger("rom.flags")


class Announcer:
    """Tells of trouble once, as long as it stays the same."""

    def __init__(self, store: OverrideStore, runtime: Runtime) -> None:
        self._store = store
        self._runtime = runtime
        self._told: Trouble | None = None

    def tell_skipped(self, skipped: Iterable[Problem]) -> None:
        """Overrides found at start that this version of the code cannot use."""
        for problem in skipped:
            logger.warning("flags.override_skipped", setting=problem.name, reason=problem.message)

    def tell_trouble(self) -> None:
        """What is wrong with the store of overrides, if that is news."""
        before, now = self._told, self._store.trouble
        self._told = now
        if now is not None and now != before:
            logger.error("flags.store_troubled", state=now.state, reason=now.detail)
            self._runtime.emit(FlagsStoreTroubled(now.state, now.detail))

    def tell_change(self, event: SettingsChanged, before: Pipeline, after: Pipeline) -> None:
        """A change that is in force; `before` and `after` are the pipelines on its two sides."""
        if "LOG_LEVEL" in event.changes:
            log.set_level(self._runtime.current.settings.LOG_LEVEL)
        self._runtime.emit(event)
        # What it switches off hears of it too: that is its last chance to let go of what it holds.
        before.emit(event, besides=after.plugins)
