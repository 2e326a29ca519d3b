"""The plugin: its switch and its routes.

The mechanism is rom_core/flags; with this plugin off the service runs on, stored overrides and the kill switch hold.

Setting: FLAGS_ENABLED, read at start, so that no request can lock the administrators out. Hooks: rom_settings,
rom_routes.
"""

from __future__ import annotations

from collections.abc import Sequence

from plugins.flags.routes import (
    ApproveResource,
    FlagsResource,
    HistoryResource,
    ReloadResource,
    RollbackResource,
    StatusResource,
)
from rom_core.markers import hookimpl
from rom_core.plugin.protocols import PluginRoutes
from rom_core.runtime import Runtime
from rom_core.settings import Setting


class FlagsPlugin:
    """The plugin; it keeps nothing."""

    @hookimpl
    def rom_settings(self) -> Sequence[Setting]:
        """The switch."""
        return [
            Setting(
                "FLAGS_ENABLED",
                bool,
                True,
                "Admin routes for settings and status.",
                switch=True,
                runtime=False,
                scope="process",
            )
        ]

    @hookimpl
    def rom_routes(self, app: PluginRoutes, runtime: Runtime) -> None:
        """The six routes."""
        app.add_route("/admin/flags", FlagsResource(runtime))
        app.add_route("/admin/reload-flags", ReloadResource(runtime))
        app.add_route("/admin/flags/history", HistoryResource(runtime))
        app.add_route("/admin/flags/approve", ApproveResource(runtime))
        app.add_route("/admin/flags/rollback", RollbackResource(runtime))
        app.add_route("/admin/status", StatusResource(runtime))
