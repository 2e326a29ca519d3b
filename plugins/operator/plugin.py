"""The plugin: an observer of events that remembers numbers and names, and the routes that show them.

Setting: OPERATOR_ENABLED (switch). Hooks: rom_settings, rom_tables, rom_routes, rom_start, rom_stop, rom_status,
rom_event.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plugins.operator.drain_route import DrainResource
from plugins.operator.drains import Drains
from plugins.operator.events_route import EventsResource
from plugins.operator.feed import MAX_READERS, Feed
from plugins.operator.figures import figures_of, percentiles
from plugins.operator.hour import COUNTED, Hour
from plugins.operator.stories import NOTED, Stories
from plugins.operator.turns_route import TurnsResource
from rom_core.concurrency.clock import Clock, SystemClock
from rom_core.events import (
    CanaryAborted,
    CanaryChanged,
    CircuitClosed,
    CircuitHalfOpened,
    CircuitOpened,
    Event,
    HealthChanged,
    ServerDraining,
    SettingsChanged,
)
from rom_core.markers import hookimpl
from rom_core.plugin.protocols import PluginRoutes
from rom_core.runtime import Runtime
from rom_core.settings import Setting
from rom_core.tables import Tables

# What nobody who looks at the console should wait a second for.
_AT_ONCE = frozenset(
    (
        HealthChanged,
        SettingsChanged,
        CircuitOpened,
        CircuitHalfOpened,
        CircuitClosed,
        CanaryChanged,
        CanaryAborted,
        ServerDraining,
    )
)


class OperatorPlugin:
    """The plugin. What it remembers is bounded, and holds nothing that anybody said."""

    _runtime: Runtime

    def __init__(self) -> None:
        self._clock: Clock = SystemClock()
        self.hour = Hour(lambda: self._clock.time())
        self.stories = Stories()
        self.feed = Feed(self._sample, lambda: figures_of(self._runtime, self.hour, self.drains.shown))
        self.drains = Drains(self.feed.look_now)

    @hookimpl
    def rom_settings(self) -> Sequence[Setting]:
        """The switch."""
        return [
            Setting(
                "OPERATOR_ENABLED",
                bool,
                True,
                "Live figures, turns and drain for the operator's console and `rom top`.",
                switch=True,
                scope="process",
            )
        ]

    @hookimpl
    def rom_tables(self) -> Tables:
        """What was decided about draining instances."""
        from plugins.operator.tables import METADATA

        return Tables(METADATA, migrations="plugins.operator.migrations")

    @hookimpl
    def rom_routes(self, app: PluginRoutes, runtime: Runtime) -> None:
        """GET /admin/events, GET /admin/turns, POST /admin/drain."""
        self._attach(runtime)
        app.add_route("/admin/events", EventsResource(runtime, self.feed, self.hour))
        app.add_route("/admin/turns", TurnsResource(self.stories))
        app.add_route("/admin/drain", DrainResource(runtime, self.drains))

    @hookimpl
    def rom_start(self, runtime: Runtime) -> None:
        """Measure from now on, and heed what other instances decide about this one."""
        self._attach(runtime)
        self.drains.start()
        self.feed.start()

    @hookimpl
    def rom_stop(self) -> None:
        """Let the readers go."""
        self.feed.stop()

    @hookimpl
    def rom_status(self) -> dict[str, Any]:
        """How many read along."""
        return {"readers": self.feed.readers, "max_readers": MAX_READERS}

    @hookimpl
    def rom_event(self, event: Event) -> None:
        """Count it, note it, and show at once what matters."""
        kind = type(event)
        if kind in COUNTED:
            self.hour.observe(event)
        if kind in NOTED:
            self.stories.observe(event)
        elif kind in _AT_ONCE:
            self.feed.look_now()

    def _attach(self, runtime: Runtime) -> None:
        self._runtime, self._clock = runtime, runtime.clock
        self.drains.attach(runtime)

    def _sample(self) -> None:
        runtime = self._runtime
        signs = runtime.health.signs()
        middle, slowest = percentiles(signs)
        self.hour.sample(
            waiting=signs.waiting,
            running=runtime.active_turns - signs.waiting,
            memory_ratio=signs.memory_ratio,
            p50_seconds=middle,
            p95_seconds=slowest,
        )
