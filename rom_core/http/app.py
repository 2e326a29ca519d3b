"""The Falcon app: middleware, the core's routes, and the routes of plugins."""

from __future__ import annotations

from typing import Any

import falcon
import falcon.inspect

from rom_core.config import parse_api_keys
from rom_core.errors import PluginError
from rom_core.http import problems
from rom_core.http.auth import Authentication
from rom_core.http.chat import ChatResource
from rom_core.http.health import HealthResource, ReadyResource
from rom_core.http.ids import RequestIds
from rom_core.http.requests import RequestEvents
from rom_core.pipeline import PluginRouteGuard, PluginRoutes
from rom_core.runtime import Runtime


def create_app(runtime: Runtime) -> falcon.App[Any, Any]:
    """A WSGI app that serves `runtime`. Raises PluginError if a plugin's routes cannot be added."""
    owners: dict[int, str] = {}
    settings = runtime.current.settings
    app: falcon.App[Any, Any] = falcon.App(
        middleware=[
            RequestIds(runtime.clock),
            RequestEvents(runtime),
            Authentication(parse_api_keys(settings.API_KEYS), parse_api_keys(settings.ADMIN_TOKEN), runtime.clock),
            PluginRouteGuard(lambda: runtime.current.pipeline.plugins, owners),
        ]
    )
    problems.install(app)
    app.add_route("/health", HealthResource())
    app.add_route("/ready", ReadyResource(runtime))
    app.add_route(ChatResource.route, ChatResource(runtime))
    for plugin in runtime.catalogue.plugins.values():
        try:
            plugin.call("rom_routes", app=PluginRoutes(app, plugin.name, owners), runtime=runtime)
        except Exception as error:
            raise PluginError(plugin.name, f"rom_routes failed: {error}") from error
    runtime.routes = tuple(sorted(route.path for route in falcon.inspect.inspect_routes(app)))
    return app
