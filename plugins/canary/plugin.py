"""The plugin: settings, the life of the keeper, its routes and its part of the status.

Settings: CANARY_ENABLED (switch), CANARY_PHASES, CANARY_INTERVAL_SECONDS, and the limits of the gate, CANARY_MAX_*; a
rollout keeps those it was started with. Hooks: rom_settings, rom_tables, rom_routes, rom_start, rom_stop, rom_status.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plugins.canary.keeper import Keeper
from plugins.canary.phases import check_settings
from plugins.canary.routes import CanaryResource
from rom_core.markers import hookimpl
from rom_core.plugin.protocols import PluginRoutes
from rom_core.runtime import Runtime
from rom_core.settings import Rule, Setting
from rom_core.tables import Tables


class CanaryPlugin:
    """The plugin; what it remembers is the keeper's."""

    def __init__(self) -> None:
        self.keeper = Keeper()

    @hookimpl
    def rom_settings(self) -> Sequence[Setting | Rule]:
        """The switch, the phases, and the limits of the gate."""
        return [
            Setting(
                "CANARY_ENABLED",
                bool,
                True,
                "Rollouts by `rom canary`; switched off, one that is under way is aborted.",
                switch=True,
                scope="process",
            ),
            Setting(
                "CANARY_PHASES",
                list,
                ["10%:2h", "50%:4h", "100%:24h"],
                "Phases of a rollout: share of the traffic, and for how long the gate must hold (s, m, h, d).",
                item=str,
                scope="process",
            ),
            Setting(
                "CANARY_INTERVAL_SECONDS",
                float,
                30.0,
                "Seconds between two looks of the gate.",
                minimum=0.1,
                maximum=300,
                scope="process",
            ),
            _limit("CANARY_MAX_ERROR_RATIO", 0.01, "Share of the canary's turns that may fail, exclusive.", 0.999),
            _limit(
                "CANARY_MAX_P95_SECONDS", 30.0, "Seconds for 95 % of its good turns; an edge of the histogram.", 600
            ),
            _limit("CANARY_MAX_MEMORY_RATIO", 0.75, "Share of the memory limit, exclusive.", 0.999),
            _limit(
                "CANARY_MAX_THROTTLED_RATIO",
                0.05,
                "Share of the process's requests to Bedrock that may be answered with 429, exclusive.",
                0.999,
            ),
            _limit(
                "CANARY_MAX_REFUSED_RATIO", 0.05, "Share of the canary's turns that we may refuse, exclusive.", 0.999
            ),
            Setting(
                "CANARY_MAX_RESTARTS",
                int,
                1,
                "Restarts within one window that lost figures.",
                minimum=0,
                maximum=100,
                scope="process",
            ),
            Rule(("CANARY_PHASES",), check_settings),
        ]

    @hookimpl
    def rom_tables(self) -> Tables:
        """The rollout and its audit trail."""
        from plugins.canary.tables import METADATA

        return Tables(METADATA, migrations="plugins.canary.migrations", copied=True)

    @hookimpl
    def rom_routes(self, app: PluginRoutes, runtime: Runtime) -> None:
        """GET and POST /admin/canary."""
        app.add_route("/admin/canary", CanaryResource(runtime, self.keeper))

    @hookimpl
    def rom_start(self, runtime: Runtime) -> None:
        """Go on with a rollout that the process before had under way."""
        self.keeper.start(runtime)

    @hookimpl
    def rom_stop(self) -> None:
        """Keep what was seen, and stop looking."""
        self.keeper.stop()

    @hookimpl
    def rom_status(self) -> dict[str, Any]:
        """Where the rollout is, without its figures; see GET /admin/canary."""
        rollout = self.keeper.view["rollout"]
        if rollout is None:
            return {"status": "none"}
        names = ("status", "by", "percent", "phase", "held", "gate", "approvable", "why_not")
        times = {name: rollout[name] for name in ("watched_seconds", "window_seconds")}
        return {name: rollout[name] for name in names} | {"phases": len(rollout["phases"])} | times


def _limit(name: str, default: float, help_: str, maximum: float) -> Setting:
    return Setting(name, float, default, help_, minimum=0.001, maximum=maximum, scope="process")
