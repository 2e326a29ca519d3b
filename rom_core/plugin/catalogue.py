"""The catalogue: every installed plugin, loaded and checked once at start, switched on or not.

It gives the declared settings, the routes and the life cycle; a pipeline (pipeline.py) is then built of the plugins
that a snapshot switches on.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import pluggy
import structlog

from rom_core.errors import PluginError
from rom_core.markers import PROJECT
from rom_core.settings import CORE_RULES, CORE_SETTINGS, Rule, Setting, Settings, load_settings
from rom_core.settings.files import suggestion
from rom_core.tables import Erasure, Tables

GROUP = "rom.plugins"
OBSERVERS = ("rom_event", "rom_delta")
# Called for each plugin by itself, so a wrapper would have nothing to go around.
_EACH_BY_ITSELF = (
    *("rom_settings", "rom_tools", "rom_tables", "rom_routes", "rom_start", "rom_collectors", "rom_stop", "rom_status"),
    *("rom_erase", "rom_text"),
    *OBSERVERS,
)
# What these give is gone through one by one, so they may yield it.
_LISTS = ("rom_settings", "rom_tools", "rom_collectors")
logger = structlog.get_logger("rom.catalogue")


@dataclass(frozen=True)
class Plugin:
    """One installed plugin. `instance` is None and `error` says why if it could not be loaded.

    `switch` names the setting that turns it on; `hooks` are the hook points it implements; `relay` calls them;
    `release` is that of its distribution, "" if nobody knows.
    """

    name: str
    instance: Any
    switch: str
    settings: tuple[Setting, ...] = ()
    rules: tuple[Rule, ...] = ()
    hooks: tuple[str, ...] = ()
    origin: str = ""
    error: str = ""
    relay: Any = None
    release: str = ""

    def call(self, hook: str, **arguments: Any) -> None:
        """Call one process hook of this plugin alone, switched on or not; nothing if it does not implement it."""
        if hook in self.hooks:
            getattr(self.relay, hook)(**arguments)


class Catalogue:
    """All installed plugins by name; `specs` is the module of hook specifications (`rom_core.hookspecs`).

    Raises PluginError for a plugin that breaks their contract.
    """

    def __init__(self, specs: ModuleType, plugins: Iterable[Plugin] = ()) -> None:
        self.specs = specs
        self.plugins: dict[str, Plugin] = {}
        owners = {setting.name: "the core" for setting in CORE_SETTINGS}
        for plugin in plugins:
            if plugin.name in self.plugins:
                raise PluginError(plugin.name, f"is installed twice; the other is {self.plugins[plugin.name].origin}")
            same = [other.name for other in self.plugins.values() if other.instance is plugin.instance]
            if same and plugin.instance is not None:
                raise PluginError(plugin.name, f"is the same object as {same[0]!r}; one plugin has one name")
            for setting in plugin.settings:
                if setting.name in owners:
                    raise PluginError(plugin.name, f"declares {setting.name}, which {owners[setting.name]} declares")
                owners[setting.name] = repr(plugin.name)
            self.plugins[plugin.name] = plugin

    @classmethod
    def of(cls, specs: ModuleType, /, **instances: Any) -> Catalogue:
        """A catalogue of these instances and nothing else, for tests and embedding."""
        return cls(specs, (inspect_plugin(specs, name, each, origin="given") for name, each in instances.items()))

    @classmethod
    def installed(cls, specs: ModuleType, faults: list[PluginError] | None = None) -> Catalogue:
        """Everything in the entry-point group `rom.plugins`, by name.

        An entry point names a class (or a function without arguments) that makes the plugin, or a module. One that
        does not import is kept with its error: it matters only if it is switched on. With `faults`, for who only looks,
        one that breaks the contract is kept likewise, and its error goes there.
        """
        points = sorted(entry_points(group=GROUP), key=lambda point: point.name)
        return cls(specs, (_load(specs, point, faults) for point in points))

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The core's settings, then every plugin's."""
        return CORE_SETTINGS + tuple(s for plugin in self.plugins.values() for s in plugin.settings)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The core's rules, then every plugin's, and that PLUGINS names plugins that there are."""
        plugins = tuple(r for plugin in self.plugins.values() for r in plugin.rules)
        return (*CORE_RULES, *plugins, Rule(("PLUGINS",), self._known_plugins))

    @property
    def has_broken(self) -> bool:
        """Whether a plugin could not be loaded, so that its settings are unknown."""
        return any(plugin.error for plugin in self.plugins.values())

    def tables(self) -> list[tuple[str, str, Tables]]:
        """What plugins keep in the store, as (name, release, tables). Raises PluginError."""
        found: list[tuple[str, str, Tables]] = []
        for plugin in self.plugins.values():
            if "rom_tables" not in plugin.hooks:
                continue
            try:
                given = plugin.relay.rom_tables()
            except Exception as error:
                raise PluginError(plugin.name, f"rom_tables failed: {type(error).__name__}: {error}") from error
            if not all(isinstance(each, Tables) for each in given):
                raise PluginError(plugin.name, "rom_tables may return Tables only")
            found += ((plugin.name, plugin.release, each) for each in given)
        return found

    def erase(self, connection: Any, erasure: Erasure) -> int:
        """Have every plugin erase in this transaction, switched on or not; how much they erased.

        Raises what a plugin raises: then the transaction must not stand.
        """
        relays = [plugin.relay for plugin in self.plugins.values() if "rom_erase" in plugin.hooks]
        return sum(sum(relay.rom_erase(connection=connection, erasure=erasure)) for relay in relays)

    def start(self, runtime: Any) -> None:
        """Have every plugin start for this runtime, switched on or not. Raises PluginError."""
        for plugin in self.plugins.values():
            try:
                plugin.call("rom_start", runtime=runtime)
            except Exception as error:
                raise PluginError(plugin.name, f"rom_start failed: {type(error).__name__}: {error}") from error

    def _known_plugins(self, settings: Settings) -> str | None:
        if settings.source("PLUGINS") == "default":  # the shipped order; an installation may lack some of them
            return None
        unknown = next((name for name in settings.PLUGINS if name not in self.plugins), None)
        return None if unknown is None else f"no plugin {unknown!r} is installed{suggestion(unknown, self.plugins)}"

    def order(self, listed: Sequence[str]) -> list[Plugin]:
        """All plugins, outermost first: as in `listed` (PLUGINS), the others innermost, by name."""
        known = [self.plugins[name] for name in listed if name in self.plugins]
        return known + [plugin for name, plugin in sorted(self.plugins.items()) if name not in set(listed)]

    def enabled(self, settings: Settings) -> list[Plugin]:
        """The plugins that these settings switch on, outermost first.

        Raises PluginError if one of them could not be loaded.
        """
        plugins = [plugin for plugin in self.order(settings.PLUGINS) if getattr(settings, plugin.switch)]
        for plugin in plugins:
            if plugin.error:
                raise PluginError(plugin.name, f"{plugin.switch} is on, but {plugin.error}")
        return plugins


@dataclass(frozen=True)
class Layers:
    """Where settings come from; `load` reads it all afresh. `environ` is the environment the process began with."""

    catalogue: Catalogue
    root: Path
    environ: Mapping[str, str]

    def load(
        self,
        overrides: Mapping[str, Any] = MappingProxyType({}),
        started: Settings | None = None,
        *,
        relations: bool = True,
    ) -> Settings:
        """As `load_settings`; without `relations` each setting is judged by itself. Raises InvalidSettings."""
        catalogue = self.catalogue
        return load_settings(
            catalogue.settings,
            catalogue.rules if relations else (),
            root=self.root,
            environ=self.environ,
            overrides=overrides,
            lenient_switches=catalogue.has_broken,
            started=started,
        )


def inspect_plugin(specs: ModuleType, name: str, instance: Any, *, origin: str = "") -> Plugin:
    """Check an instance against the hook specifications and read what it declares.

    Raises PluginError: a class instead of an instance, a hook or an argument that does not exist, a `rom_` method
    without `@hookimpl`, one that is async or yields without being a wrapper, an old-style wrapper, `trylast` (the
    core's own place), a wrapper around what is asked of each plugin alone, a broken declaration.
    """
    if inspect.isclass(instance):
        raise PluginError(name, "is a class; give an instance")
    hooks_there_are = [attribute for attribute in vars(specs) if attribute.startswith("rom_")]
    for attribute in dir(instance):
        value = inspect.getattr_static(instance, attribute)
        mark: Any = getattr(getattr(value, "__func__", value), f"{PROJECT}_impl", None)
        if isinstance(mark, dict):
            hook = mark["specname"] or attribute
            if hook not in hooks_there_are and not mark["optionalhook"]:
                raise PluginError(name, f"{hook} is no hook{suggestion(hook, hooks_there_are)}")
        elif attribute.startswith("rom_") and callable(value):
            raise PluginError(name, f"{attribute} is not marked with @hookimpl")
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(specs)
    try:
        manager.register(instance, name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(name, " ".join(str(error).split())) from None
    hooks = tuple(spec for spec in hooks_there_are if getattr(manager.hook, spec).get_hookimpls())
    for spec in hooks:
        for impl in getattr(manager.hook, spec).get_hookimpls():
            if reason := _misuse(spec, impl):
                raise PluginError(name, f"{spec}{reason}")
    return _declared(name, instance, manager, hooks, origin)


def _misuse(spec: str, impl: pluggy.HookImpl) -> str:
    """Why an implementation of this hook could not do what it says, "" if it can."""
    if inspect.iscoroutinefunction(impl.function) or inspect.isasyncgenfunction(impl.function):
        return " is async: nobody would await it"
    if impl.hookwrapper:
        return ": write @hookimpl(wrapper=True), not hookwrapper=True"
    if impl.trylast:
        return ": trylast is the core's own place"
    if impl.wrapper:
        return " is asked of each plugin alone: it cannot be wrapped" if spec in _EACH_BY_ITSELF else ""
    if spec not in _LISTS and inspect.isgeneratorfunction(impl.function):
        return " yields, which only @hookimpl(wrapper=True) may"
    return ""


def _declared(name: str, instance: Any, manager: pluggy.PluginManager, hooks: tuple[str, ...], origin: str) -> Plugin:
    try:
        declared = [item for items in manager.hook.rom_settings() for item in items]
    except Exception as error:
        raise PluginError(name, f"rom_settings failed: {type(error).__name__}: {error}") from error
    settings = [dataclasses.replace(item, plugin=name) for item in declared if isinstance(item, Setting)]
    rules = tuple(item for item in declared if isinstance(item, Rule))
    if len(settings) + len(rules) != len(declared):
        raise PluginError(name, "rom_settings may return Setting and Rule objects only")
    switches = [setting.name for setting in settings if setting.switch]
    if len(switches) > 1:
        raise PluginError(name, f"declares more than one switch: {', '.join(switches)}")
    if not switches:
        settings.insert(0, _default_switch(name))
    switch = (switches or [settings[0].name])[0]
    return Plugin(name, instance, switch, tuple(settings), rules, hooks, origin, relay=manager.hook)


def _default_switch(name: str) -> Setting:
    return Setting(
        f"{name.upper().replace('-', '_')}_ENABLED",
        bool,
        False,
        f"plugin {name} on or off",
        switch=True,
        plugin=name,
    )


def _load(specs: ModuleType, point: Any, faults: list[PluginError] | None) -> Plugin:
    origin = f"{point.value} ({point.dist.name} {point.dist.version})" if point.dist else point.value
    try:
        loaded = point.load()
        instance = loaded() if callable(loaded) else loaded
    except Exception as error:  # noqa: BLE001 - a plugin may fail to import for any reason; it is reported
        reason = f"it does not load: {type(error).__name__}: {error}"
        logger.warning("plugin.broken", plugin=point.name, origin=origin, reason=reason)
        return _broken(point.name, origin, reason)
    try:
        inspected = inspect_plugin(specs, point.name, instance, origin=origin)
    except PluginError as error:
        if faults is None:
            raise
        faults.append(error)
        return _broken(point.name, origin, error.reason)
    return dataclasses.replace(inspected, release=point.dist.version if point.dist else "")


def _broken(name: str, origin: str, reason: str) -> Plugin:
    switch = _default_switch(name)
    return Plugin(name, None, switch.name, settings=(switch,), origin=origin, error=reason)


def describe(catalogue: Catalogue, settings: Settings) -> list[Mapping[str, Any]]:
    """Every plugin as data, outermost first: name, on or off, its switch, hooks, origin, error."""
    return [
        {
            "name": plugin.name,
            "enabled": bool(getattr(settings, plugin.switch)) and not plugin.error,
            "switch": plugin.switch,
            "hooks": list(plugin.hooks),
            "origin": plugin.origin,
            "error": plugin.error,
        }
        for plugin in catalogue.order(settings.PLUGINS)
    ]
