"""A snapshot: everything a turn sees from start to end, and the canary that goes with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rom_core.errors import PluginDisabled, RomError
from rom_core.plugin.catalogue import Catalogue
from rom_core.plugin.pipeline import Pipeline
from rom_core.settings import Settings
from rom_core.tools import ToolBox
from rom_core.turn_values import ChatRequest


class Canary(Protocol):
    """Other values of some settings for a share of the traffic; `rom_core.flags` has the one there is."""

    @property
    def snapshot(self) -> Snapshot:
        """What its share of the traffic sees."""

    @property
    def percent(self) -> int:
        """The share, in percent of the traffic."""

    def takes(self, request: ChatRequest) -> bool:
        """Whether this request belongs to it."""

    def numbered(self, version: int) -> Canary:
        """The same one, of this version of the settings."""

    def as_dict(self) -> dict[str, Any]:
        """What an administrator said of it: flags, include, salt."""


@dataclass(frozen=True)
class Snapshot:
    """Everything a turn sees from start to end: settings, pipeline, tools. `version` grows with every change.

    The stable snapshot carries the canary that goes with it, so that one assignment puts both in force.
    """

    version: int
    settings: Settings
    pipeline: Pipeline
    tools: ToolBox
    canary: Canary | None = None

    def for_request(self, request: ChatRequest) -> tuple[Snapshot, str]:
        """What the turn of this request sees, this snapshot or its canary's, and its cohort: stable or canary."""
        if self.canary is not None and self.canary.takes(request):
            return self.canary.snapshot, "canary"
        return self, "stable"

    def check_plugins(self, names: Sequence[str]) -> None:
        """Raise PluginDisabled unless all of these are switched on."""
        for name in names:
            if name not in self.pipeline.plugins:
                raise PluginDisabled(f"what was asked for needs plugin {name!r}, which is switched off")

    def refusal(self, route: str, key_name: str) -> RomError | None:
        """Why a request is refused of which nobody has read yet which cohort it belongs to: both would refuse it."""
        refusal = self.pipeline.refusal(route, key_name)
        if refusal is not None and self.canary is not None:
            return self.canary.snapshot.refusal(route, key_name)
        return refusal


def build_snapshot(
    catalogue: Catalogue,
    settings: Settings,
    core: Sequence[object],
    *,
    version: int = 1,
    observer_errors: Counter[tuple[str, str]] | None = None,
) -> Snapshot:
    """Build the pipeline these settings ask for. Raises PluginError if a plugin that is on cannot be used."""
    pipeline = Pipeline(catalogue.specs, catalogue.enabled(settings), core, observer_errors)
    return Snapshot(version, settings, pipeline, pipeline.tools())
