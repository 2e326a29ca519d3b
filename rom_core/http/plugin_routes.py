"""The routes of plugins: added once at start, answered while their plugin is on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from rom_core.errors import PluginDisabled, PluginError
from rom_core.http.canonical_path import plain_template

# Who may use a resource: whoever has an API key, everybody, an administrator, or whoever has the secret of a setting.
AUTH_KINDS = ("key", "open", "admin", "token")


class App(Protocol):
    """What routes are added to; `resources` holds those there are, by path."""

    @property
    def resources(self) -> Mapping[str, object]:
        """By path."""

    def add_route(self, uri_template: str, resource: object, **options: Any) -> None:
        """As `falcon.App.add_route`."""


class PluginRoutes:
    """The Falcon app as one plugin sees it: its routes answer 404 `plugin_disabled` while it is off."""

    def __init__(self, app: App, plugin: str, owners: dict[int, str]) -> None:
        self._app = app
        self._plugin = plugin
        self._owners = owners

    @property
    def paths(self) -> tuple[str, ...]:
        """The templates of all routes of the process that have been added so far, sorted."""
        return tuple(sorted(self._app.resources))

    def add_route(self, path: str, resource: object, **options: Any) -> None:
        """As `falcon.App.add_route`; the resource's `auth` says who may use it.

        "key" is the default; then "open", "admin", and "token": who has the secret of the setting that `token_setting`
        names, everybody while it is empty. A HEAD request is answered by `on_get` where there is no `on_head`. OPTIONS
        reaches the resource without authentication. Raises PluginError for another `auth`, a "token" without
        `token_setting`, or a path or resource that is served already.
        """
        auth = getattr(resource, "auth", "key")
        if auth not in AUTH_KINDS:
            raise PluginError(self._plugin, f"route {path}: auth is {auth!r}, not one of {', '.join(AUTH_KINDS)}")
        if auth == "token" and not getattr(resource, "token_setting", ""):
            raise PluginError(self._plugin, f"route {path}: auth is 'token', and no token_setting names its secret")
        for taken, other in self._app.resources.items():
            owner = self._owners.get(id(other), "the core")
            if taken == plain_template(path) or (other is resource and owner != self._plugin):
                raise PluginError(self._plugin, f"route {path}: {taken} belongs to {owner}")
        self._app.add_route(path, resource, **options)
        self._owners[id(resource)] = self._plugin


class PluginRouteGuard:
    """Falcon middleware: refuses a resource whose plugin is off in the snapshot in force."""

    def __init__(self, enabled: Callable[[], Sequence[str]], owners: dict[int, str]) -> None:
        self._enabled = enabled
        self._owners = owners

    def process_resource(self, _req: Any, _resp: Any, resource: object, _params: dict[str, Any]) -> None:
        """Raise PluginDisabled unless the resource may be used."""
        plugin = self._owners.get(id(resource))
        if plugin is not None and plugin not in self._enabled():
            raise PluginDisabled(f"this route belongs to plugin {plugin!r}, which is switched off")
