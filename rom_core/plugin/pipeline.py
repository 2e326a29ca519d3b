"""A pipeline: the plugins that one snapshot of the settings switches on, in order, with the core innermost.

Pluggy calls what was registered last first; so the list, which reads outermost to innermost, is registered backwards.
The core's own implementations are `trylast`, and a plugin must not be, so they stand innermost.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pluggy
import structlog

from rom_core import hookspecs
from rom_core.errors import PluginDisabled, PluginError, RomError
from rom_core.plugin.answers import opinion_of
from rom_core.plugin.catalogue import Catalogue, Plugin
from rom_core.plugin.plugin_times import PluginTimes
from rom_core.settings import Settings
from rom_core.tools import ToolBox

if TYPE_CHECKING:
    from rom_core.events import Event
    from rom_core.flags.canary import Canary
    from rom_core.http.app import App
    from rom_core.turn import Turn
    from rom_core.turn_values import ChatRequest

logger = structlog.get_logger("rom.pipeline")


class Pipeline:
    """The enabled plugins behind pluggy hooks (`pipeline.hook.rom_turn(turn=turn)`), observers isolated.

    `observer_errors` counts (plugin, hook) pairs whose observer raised, `plugin_times`, if given, the seconds each
    plugin takes; both are shared by all pipelines of a process.
    """

    def __init__(
        self,
        plugins: Sequence[Plugin],
        core: Sequence[object],
        observer_errors: Counter[tuple[str, str]] | None = None,
        plugin_times: PluginTimes | None = None,
    ) -> None:
        self.plugins = tuple(plugin.name for plugin in plugins)
        self.observer_errors: Counter[tuple[str, str]] = Counter() if observer_errors is None else observer_errors
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        for plugin in reversed(plugins):
            self._manager.register(plugin.instance, plugin.name)
            if plugin_times is not None:
                plugin_times.measure(self._manager, plugin.name)
        for part in core:
            self._manager.register(part)
        self.hook = self._manager.hook
        self._events = self._observers("rom_event")
        self._deltas = self._observers("rom_delta")
        self.amends_requests = bool(self.hook.rom_model_request.get_hookimpls())

    def emit(self, event: Event, *, besides: Container[str] = ()) -> None:
        """Tell every observer, in order, but the plugins in `besides`; one that raises is logged and counted."""
        for plugin, observe in self._events:
            if plugin in besides:
                continue
            try:
                observe(event)
            except BaseException:  # noqa: BLE001 - an observer may fail in any way; it is logged and counted
                self._failed(plugin, "rom_event")

    def delta(self, turn: Turn, text: str) -> None:
        """Show every observer a piece of text; one that raises is logged and counted."""
        for plugin, observe in self._deltas:
            try:
                observe(turn, text)
            except BaseException:  # noqa: BLE001 - as above
                self._failed(plugin, "rom_delta")

    def refusal(self, route: str, key_name: str) -> RomError | None:
        """Why a plugin refuses a request for a turn before its body is read; None if no plugin does."""
        return opinion_of("rom_admit", self.hook.rom_admit(route=route, key_name=key_name), RomError)

    def tools(self) -> ToolBox:
        """The tools of the enabled plugins. Raises PluginError for one that cannot be used."""
        found = []
        for impl in reversed(self.hook.rom_tools.get_hookimpls()):
            try:
                offered: Any = impl.function()
                tools = list(offered or ())
                for tool in tools:
                    tool.check()
            except Exception as error:
                raise PluginError(impl.plugin_name, f"rom_tools failed: {type(error).__name__}: {error}") from error
            found += [(impl.plugin_name, tool) for tool in tools]
        return ToolBox(found)

    def status(self, only: str | None = None) -> dict[str, Any]:
        """What every plugin, or only this one, reports of itself, by name; one that raises or is no JSON shows that."""
        parts: dict[str, Any] = {}
        for impl in reversed(self.hook.rom_status.get_hookimpls()):
            if only is not None and impl.plugin_name != only:
                continue
            try:
                parts[impl.plugin_name] = part = impl.function()
                json.dumps(part, allow_nan=False)
            except Exception as error:  # noqa: BLE001 - one plugin's fault must not hide the others' state
                parts[impl.plugin_name] = {"error": f"{type(error).__name__}: {error}"}
        return parts

    def _observers(self, name: str) -> tuple[tuple[str, Callable[..., Any]], ...]:
        """Plugin and function of each observer; the functions take all arguments of the hook, in order."""
        hook = getattr(self.hook, name)
        spec = tuple(hook.spec.argnames)
        return tuple((impl.plugin_name, _taking(spec, impl)) for impl in reversed(hook.get_hookimpls()))

    def _failed(self, plugin: str, hook: str) -> None:
        self.observer_errors[plugin, hook] += 1
        logger.exception("observer.failed", plugin=plugin, hook=hook)


def _taking(arguments: tuple[str, ...], impl: pluggy.HookImpl) -> Callable[..., Any]:
    """The implementation as a function of these arguments; it may itself take only some of them."""
    function = impl.function
    if tuple(impl.argnames) == arguments:
        return function
    places = [arguments.index(name) for name in impl.argnames]
    return lambda *given: function(*[given[place] for place in places])


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
    plugin_times: PluginTimes | None = None,
) -> Snapshot:
    """Build the pipeline these settings ask for. Raises PluginError if a plugin that is on cannot be used."""
    times = plugin_times if settings.PLUGIN_TIMES else None
    pipeline = Pipeline(catalogue.enabled(settings), core, observer_errors, times)
    return Snapshot(version, settings, pipeline, pipeline.tools())


# Who may use a resource: whoever has an API key, everybody, or an administrator.
AUTH_KINDS = ("key", "open", "admin")


class PluginRoutes:
    """The Falcon app as one plugin sees it: its routes answer 404 `plugin_disabled` while it is off."""

    def __init__(self, app: App, plugin: str, owners: dict[int, str]) -> None:
        self._app = app
        self._plugin = plugin
        self._owners = owners

    def add_route(self, path: str, resource: object, **options: Any) -> None:
        """As `falcon.App.add_route`; the resource's `auth` says who may use it: "key" (the default), "open" or "admin".

        A HEAD request is answered by `on_get` where there is no `on_head`. OPTIONS reaches the resource without
        authentication. Raises PluginError for another `auth`, or a path or resource that is served already.
        """
        auth = getattr(resource, "auth", "key")
        if auth not in AUTH_KINDS:
            raise PluginError(self._plugin, f"route {path}: auth is {auth!r}, not one of {', '.join(AUTH_KINDS)}")
        for taken, other in self._app.resources.items():
            owner = self._owners.get(id(other), "the core")
            if taken == path or (other is resource and owner != self._plugin):
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
