"""The team's page and the operator's console, served from the folder `static` (docs/page.md).

Setting: PAGE_ENABLED (switch). Hooks: rom_settings, rom_routes. The pages use the public API only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from plugins.page.routes import AssetsResource, DocumentResource, IconResource
from plugins.page.site import Site
from rom_core.markers import hookimpl
from rom_core.plugin.protocols import PluginRoutes
from rom_core.runtime import Runtime
from rom_core.settings import Setting

STATIC: Final = Path(__file__).parent / "static"


class Page:
    """The plugin; it keeps nothing."""

    @hookimpl
    def rom_settings(self) -> Sequence[Setting]:
        """The switch."""
        return [
            Setting("PAGE_ENABLED", bool, False, "Serve the team's page at / and the console at /console.", switch=True)
        ]

    @hookimpl
    def rom_routes(self, app: PluginRoutes, runtime: Runtime) -> None:
        """`/`, `/console`, `/assets/…` and `/favicon.ico`; the files are read and compressed at the first request."""
        site = Site(STATIC)

        def keys_needed() -> bool:
            return bool(runtime.current.settings.API_KEYS)

        app.add_route("/", DocumentResource(site, "index.html", keys_needed))
        app.add_route("/console", DocumentResource(site, "console.html", keys_needed))
        app.add_route(AssetsResource.route, AssetsResource(site))
        app.add_route("/favicon.ico", IconResource(site, "icon.svg"))
