"""The figures of plugins (`rom_collectors`) at GET /metrics: names of their own, each plugin isolated and bounded."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from rom_core.concurrency.bounded import finished_within
from rom_core.concurrency.clock import Clock
from rom_core.errors import PluginError
from rom_core.plugin.catalogue import Catalogue
from rom_core.telemetry.registry import IsolatingRegistry, check_family

_RESERVED = ("rom_", "process_", "python_")
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
# What the text format adds to the name of a family, by its type.
_SUFFIXES: Mapping[str, Sequence[str]] = {
    "counter": ("_total", "_created"),
    "summary": ("_sum", "_count", "_created"),
    "histogram": ("_bucket", "_sum", "_count", "_created"),
    "gaugehistogram": ("_bucket", "_gcount", "_gsum"),
    "info": ("_info",),
}
# So many lines of a scrape a plugin may have: a thousand take some 13 ms.
MAX_SAMPLES = 1000
# A scrape waits no longer for a plugin. Who takes longer than SLOW_SECONDS is asked once in CACHE_SECONDS at most.
WAIT_SECONDS = 1.0
SLOW_SECONDS = 0.01
CACHE_SECONDS = 1.0
logger = structlog.get_logger("rom.metrics")


def add_plugin_figures(
    catalogue: Catalogue,
    registry: CollectorRegistry,
    clock: Clock,
    enabled: Callable[[], Sequence[str]],
) -> None:
    """Register what plugins give; shown is that of the plugins that `enabled` names at a scrape.

    Raises PluginError for a plugin that fails, gives something else, or whose name of a metric is taken, reserved or
    invalid.
    """
    names = Names()
    errors = registry.errors if isinstance(registry, IsolatingRegistry) else Counter[str]()
    for plugin in catalogue.plugins.values():
        if "rom_collectors" not in plugin.hooks:
            continue
        try:
            given = [collector for each in plugin.relay.rom_collectors() for collector in each]
        except Exception as error:
            raise PluginError(plugin.name, f"rom_collectors failed: {type(error).__name__}: {error}") from error
        if not all(callable(getattr(one, "collect", None)) for one in given):
            raise PluginError(plugin.name, "rom_collectors may return collectors of prometheus-client only")
        try:
            registry.register(PluginFigures(plugin.name, given, names, errors, clock, enabled))
        except ValueError as error:
            raise PluginError(plugin.name, f"rom_collectors: {error}") from None


class Names:
    """Who has which names of metrics, in all forms in which they are exposed."""

    def __init__(self) -> None:
        self._owners: dict[str, tuple[str, int]] = {}

    def claim(self, plugin: str, collector: object, family: Metric) -> None:
        """Take the family's names for this collector. Raises ValueError if it may not have them."""
        name = family.name
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r} is no name of a metric: letters, digits, _ and : only")
        if name.startswith(_RESERVED):
            raise ValueError(f"{name} begins with {', '.join(_RESERVED)}: those are the core's")
        own = plugin, id(collector)
        forms = [name + suffix for suffix in ("", *_SUFFIXES.get(family.type, ()))]
        for form in forms:
            owner = self._owners.get(form, own)
            if owner != own:
                raise ValueError(f"{form} belongs to another collector of {owner[0]!r}")
        self._owners |= dict.fromkeys(forms, own)


class PluginFigures(Collector):
    """All collectors of one plugin. Thread-safe.

    One that raises, or gives what cannot be shown, costs the rest of its own figures, is counted in
    `rom_collector_errors_total` under the plugin's name, and logged once until it works again. All together are looked
    at in a thread of their own, so that one that hangs holds up one scrape, for a second.
    """

    def __init__(
        self,
        plugin: str,
        collectors: Sequence[Collector],
        names: Names,
        errors: Counter[str],
        clock: Clock,
        enabled: Callable[[], Sequence[str]],
    ) -> None:
        """Raises ValueError for a name that may not be."""
        self._plugin = plugin
        self._collectors = collectors
        self._names = names
        self._errors = errors
        self._clock = clock
        self._enabled = enabled
        self._lock = threading.Lock()
        self._failing: set[int] = set()
        self._looking: threading.Event | None = None
        self._families: list[Metric] = []
        self._looked_at, self._took = 0.0, 0.0
        errors[plugin] += 0
        self._described = [family for one in collectors for family in self._describe(one)]

    def describe(self) -> Iterator[Metric]:
        """The families without samples, as far as they are known at start."""
        return iter(self._described)

    def collect(self) -> Iterator[Metric]:
        """What they have at this moment, or had within the last second; nothing while the plugin is off or hangs."""
        if self._plugin not in self._enabled():
            return iter(())
        with self._lock:
            if self._took > SLOW_SECONDS and self._clock.monotonic() - self._looked_at < CACHE_SECONDS:
                return iter(self._families)
            if self._looking is not None and not self._looking.is_set():
                self._errors[self._plugin] += 1
                return iter(())
            done = self._looking = threading.Event()
            found: list[Metric] = []
            began = self._clock.monotonic()
            if not finished_within(WAIT_SECONDS, lambda: self._look(found, done), name=f"rom-figures-{self._plugin}"):
                self._errors[self._plugin] += 1
                logger.error("metrics.collector_failed", collector=self._plugin, reason="it does not answer")
                return iter(())
            self._families = found
            self._looked_at = self._clock.monotonic()
            self._took = self._looked_at - began
            return iter(self._families)

    def _look(self, found: list[Metric], done: threading.Event) -> None:
        try:
            left, seen = MAX_SAMPLES, set[str]()
            for one in self._collectors:
                try:
                    for family in one.collect():
                        check_family(family)
                        self._names.claim(self._plugin, one, family)
                        left -= len(family.samples)
                        if family.name in seen or left < 0:
                            more = "more than once" if left >= 0 else f"beyond {MAX_SAMPLES} samples of a plugin"
                            raise ValueError(f"{family.name} comes {more}")
                        seen.add(family.name)
                        found.append(family)
                except BaseException:  # noqa: BLE001 - a plugin's code may fail in any way; it is logged and counted
                    self._failed(one)
                else:
                    self._failing.discard(id(one))
        finally:
            done.set()

    def _failed(self, collector: Collector) -> None:
        self._errors[self._plugin] += 1
        if id(collector) not in self._failing:
            self._failing.add(id(collector))
            logger.exception("metrics.collector_failed", collector=self._plugin, reason=type(collector).__name__)

    def _describe(self, collector: Collector) -> list[Metric]:
        """The families of a collector that says or shows them; none of one that cannot at this moment."""
        describe = getattr(collector, "describe", collector.collect)
        families = []
        try:
            families = [Metric(one.name, one.documentation, one.type, one.unit) for one in describe()]
        except Exception:  # noqa: BLE001 - its names are looked at when it is scraped
            self._failed(collector)
        for family in families:
            self._names.claim(self._plugin, collector, family)
        return families
