"""Figures that the core keeps itself, as metrics."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from rom_core.plugin.catalogue import OBSERVERS
from rom_core.runtime import Runtime


class RuntimeCounters(Collector):
    """What the core counts by itself: failures of observers."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def collect(self) -> Iterator[CounterMetricFamily]:
        """As they stand."""
        errors = CounterMetricFamily(
            "rom_observer_errors", "Exceptions of observers, isolated and logged", labels=("plugin", "hook")
        )
        counts = self._runtime.observer_errors
        for plugin in self._runtime.catalogue.plugins.values():
            for hook in OBSERVERS:
                if hook in plugin.hooks:
                    errors.add_metric((plugin.name, hook), counts[plugin.name, hook])
        yield errors
