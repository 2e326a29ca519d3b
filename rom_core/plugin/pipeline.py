"""A pipeline: the plugins that one snapshot of the settings switches on, in order, with the core innermost.

Pluggy calls what was registered last first; so the list, which reads outermost to innermost, is registered backwards.
The core's own implementations are `trylast`, and a plugin must not be, so they stand innermost.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Container, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pluggy
import structlog

from rom_core.errors import PluginError, RomError
from rom_core.markers import PROJECT
from rom_core.plugin.answers import opinion_of
from rom_core.plugin.catalogue import Plugin
from rom_core.plugin.text_filters import TextFilters
from rom_core.tools import ToolBox

if TYPE_CHECKING:
    from rom_core.events import Event
    from rom_core.turn import Turn

logger = structlog.get_logger("rom.pipeline")


class Pipeline:
    """The enabled plugins behind pluggy hooks (`pipeline.hook.rom_turn(turn=turn)`), observers isolated.

    `specs` is the module of hook specifications. `core` are the core's own implementations. `observer_errors` counts
    (plugin, hook) pairs whose observer raised; it is shared by all pipelines of a process.
    """

    def __init__(
        self,
        specs: ModuleType,
        plugins: Sequence[Plugin],
        core: Sequence[object],
        observer_errors: Counter[tuple[str, str]] | None = None,
    ) -> None:
        self.plugins = tuple(plugin.name for plugin in plugins)
        self.observer_errors: Counter[tuple[str, str]] = Counter() if observer_errors is None else observer_errors
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(specs)
        for plugin in reversed(plugins):
            self._manager.register(plugin.instance, plugin.name)
        for part in core:
            self._manager.register(part, f"core {type(part).__name__}")
        self.hook = self._manager.hook
        self._events = self._each("rom_event")
        self._deltas = self._each("rom_delta")
        self._text_filters = self._each("rom_text")
        self.filters_text = bool(self._text_filters)
        self.wraps_sending = any(impl.plugin_name in self.plugins for impl in self.hook.rom_model_send.get_hookimpls())
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

    def text_filters(self, turn: Turn) -> TextFilters | None:
        """New filters of all plugins for a stretch of the turn's answer, as one; None if no plugin has any.

        Raises what a plugin raises, or raised for this turn before.
        """
        return TextFilters(turn, self._text_filters) if self._text_filters else None

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

    def _each(self, name: str) -> tuple[tuple[str, Callable[..., Any]], ...]:
        """Plugin and function of each implementation; the functions take all arguments of the hook, in order."""
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
