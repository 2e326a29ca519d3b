"""The routes of plugins: added once at start, answered while their plugin is on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from rom_core.errors import PluginDisabled, PluginError
from rom_core.http.access import fault_of
from rom_core.http.canonical_path import plain_template
from rom_core.settings import Setting


class App(Protocol):
    """What routes are added to; `resources` holds those there are, by path."""

    @property
    def resources(self) -> Mapping[str, object]:
        """By path."""

    def add_route(self, uri_template: str, resource: object, **options: Any) -> None:
        """As `falcon.App.add_route`."""


class PluginRoutes:
    """The Falcon app as one plugin sees it: its routes answer 404 `plugin_disabled` while it is off."""

    def __init__(self, app: App, plugin: str, owners: dict[int, str], declared: Mapping[str, Setting]) -> None:
        """`declared` are all settings, by name."""
        self._app = app
        self._declared = declared
        self._plugin = plugin
        self._owners = owners

    @property
    def paths(self) -> tuple[str, ...]:
        """The templates of all routes of the process that have been added so far, sorted."""
        return tuple(sorted(self._app.resources))

    def add_route(self, path: str, resource: object, **options: Any) -> None:
        """As `falcon.App.add_route`; the resource's `auth` says who may use it.

        "key" is the default; then "open", "admin", and "token": who has the secret of the setting that `token_setting`
        names, everybody while it is empty. `scope_setting` names a setting, a list: only the API keys or admin tokens
        of these names may, "*" is all of them; the others get 403 `forbidden`. Each of the three may be a mapping by
        method: `auth = {"GET": "key", "POST": "admin"}`. A HEAD request is answered by `on_get` where there is no
        `on_head`. OPTIONS reaches the resource without authentication. Raises PluginError for anything else, a method
        that is not spoken for, a setting of another type, or a path or resource that is served already.
        """
        if fault := fault_of(resource, self._declared, options.get("suffix") or ""):
            raise PluginError(self._plugin, f"route {path}: {fault}")
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
