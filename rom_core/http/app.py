"""The Falcon app: middleware, the core's routes, and the routes of plugins."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import falcon
import falcon.routing

from rom_core.concurrency.clock import Clock
from rom_core.errors import PluginError, RomError
from rom_core.http import problems
from rom_core.http.addresses import ClientAddress
from rom_core.http.auth import Authentication, Authenticator
from rom_core.http.canonical_path import CanonicalPath, plain_template
from rom_core.http.cors import Cors
from rom_core.http.headers import CommonHeaders
from rom_core.http.ids import RequestIds
from rom_core.http.openapi import OpenApiResource
from rom_core.http.plugin_routes import PluginRouteGuard, PluginRoutes
from rom_core.http.requests import RequestEvents
from rom_core.http.routes.capabilities import CapabilitiesResource
from rom_core.http.routes.chat import ChatResource
from rom_core.http.routes.count_tokens import CountTokensResource
from rom_core.http.routes.health import HealthResource, ReadyResource
from rom_core.http.routes.messages import MessagesResource
from rom_core.http.routes.openai import CompletionsResource, ModelResource, ModelsResource
from rom_core.runtime import Runtime
from rom_core.settings import Settings


class Router(falcon.routing.CompiledRouter):
    """Falcon's router, with GET's responder for HEAD where a resource has none of its own: probes send HEAD.

    Whatever a responder raises, the client is answered.
    """

    def map_http_methods(self, resource: object, **options: Any) -> dict[str, Any]:
        """The responders of `resource` by method."""
        found: dict[str, Any] = super().map_http_methods(resource, **options)
        responders = {method: _answering(responder) for method, responder in found.items()}
        if "GET" in responders:
            responders.setdefault("HEAD", responders["GET"])
        return responders


def _answering(responder: Callable[..., None]) -> Callable[..., None]:
    """`responder`, with SystemExit and the like as errors: Falcon passes them on, and the client is never answered."""

    @functools.wraps(responder)
    def respond(*arguments: Any, **params: Any) -> None:
        try:
            responder(*arguments, **params)
        except Exception:
            raise
        except BaseException as error:
            raise RuntimeError(f"{type(error).__name__} was raised") from error

    return respond


class App(falcon.App[Any, Any]):
    """A Falcon app that remembers its resources by path, in `resources`; `authenticator` decides who may come in."""

    def __init__(self, settings: Callable[[], Settings], clock: Clock, closed: Callable[[], RomError | None]) -> None:
        self._routes = Router()
        super().__init__(router=self._routes)
        self.req_options.strip_url_path_trailing_slash = True
        self.resources: dict[str, object] = {}
        self.authenticator = Authenticator(settings, clock, self._resource, closed)

    def add_route(self, uri_template: str, resource: object, **options: Any) -> None:
        """As `falcon.App.add_route`."""
        super().add_route(uri_template, resource, **options)
        self.resources[plain_template(uri_template)] = resource

    def _resource(self, path: str) -> tuple[object, str] | None:
        found = self._routes.find(path.removesuffix("/") if len(path) > 1 else path)
        return None if found is None else (found[0], found[3] or path)


def create_app(runtime: Runtime) -> App:
    """A WSGI app that serves `runtime`. Raises PluginError if a plugin's routes cannot be added."""
    owners: dict[int, str] = {}
    app = App(lambda: runtime.current.settings, runtime.clock, runtime.closed)
    app.add_middleware(
        [
            ClientAddress(runtime.current.settings.TRUSTED_PROXY_COUNT),
            RequestIds(runtime.clock),
            CommonHeaders(),
            Cors(lambda: runtime.current.settings),
            CanonicalPath(),
            RequestEvents(runtime),
            Authentication(app.authenticator, runtime.emit),
            PluginRouteGuard(lambda: runtime.current.pipeline.plugins, owners),
        ]
    )
    problems.install(app, lambda: runtime.current.settings)
    app.add_route("/health", HealthResource())
    app.add_route("/ready", ReadyResource(runtime))
    app.add_route(CapabilitiesResource.route, CapabilitiesResource(runtime))
    app.add_route(ChatResource.route, ChatResource(runtime))
    app.add_route(CompletionsResource.route, CompletionsResource(runtime))
    app.add_route(MessagesResource.route, MessagesResource(runtime))
    app.add_route(CountTokensResource.route, CountTokensResource(runtime))
    app.add_route(ModelsResource.route, ModelsResource(runtime))
    app.add_route(ModelResource.route, ModelResource(runtime))
    app.add_route(OpenApiResource.route, OpenApiResource(app.resources, owners))
    for plugin in runtime.catalogue.plugins.values():
        try:
            routes = PluginRoutes(app, plugin.name, owners, runtime.current.settings.declared)
            plugin.call("rom_routes", app=routes, runtime=runtime)
        except PluginError:
            raise
        except Exception as error:
            raise PluginError(plugin.name, f"rom_routes failed: {type(error).__name__}: {error}") from error
    return app
