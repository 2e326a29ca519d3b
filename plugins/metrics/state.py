"""Figures that are looked up when somebody scrapes: settings in force, places taken, memory, what the core counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from rom_core.plugin.catalogue import OBSERVERS
from rom_core.runtime import Runtime
from rom_core.telemetry.health import REASONS, STATES
from rom_core.telemetry.output import lines_dropped


class RuntimeState(Collector):
    """The runtime as it stands. Register it first: `changed` is called before anything else is collected.

    That is, at the first scrape and after each change of settings or routes.
    """

    def __init__(
        self,
        runtime: Runtime,
        paths: Callable[[], tuple[str, ...]],
        changed: Callable[[], None],
    ) -> None:
        """`paths` gives the templates of all routes there are."""
        self._runtime = runtime
        self._paths = paths
        self._changed = changed
        self._seen: tuple[int, tuple[str, ...]] | None = None

    def describe(self) -> Iterator[Metric]:
        """The families without samples, by which a registry knows their names."""
        return iter(_Families().all)

    def collect(self) -> Iterator[Metric]:
        """All of it, of this moment."""
        runtime, families = self._runtime, _Families()
        seen = (runtime.current.version, self._paths())
        if seen != self._seen:
            self._changed()
            self._seen = seen
        self._settings(families)
        families.active.add_metric((), runtime.admitted)
        wire = getattr(runtime.transport, "pool", None)
        for name, pool in (("tools", runtime.tool_pool), ("turns", runtime.turn_pool), ("wire", wire)):
            families.abandoned.add_metric((name,), pool.abandoned if pool is not None else 0)
        health = runtime.health
        memory = health.memory
        families.memory_used.add_metric((), memory.used_bytes() or 0)
        families.memory_limit.add_metric((), memory.limit_bytes() or 0)
        families.memory_ratio.add_metric((), memory.ratio() or 0)
        families.lines_dropped.add_metric((), lines_dropped())
        families.capacity.add_metric((), health.capacity_level)
        families.health.add_metric((), STATES.index(health.state))
        standing = {reason.name for reason in health.reasons()}
        for reason in REASONS:
            families.health_reason.add_metric((reason,), float(reason in standing))
        for plugin in runtime.catalogue.plugins.values():
            for hook in OBSERVERS:
                if hook in plugin.hooks:
                    failed = runtime.observer_errors[plugin.name, hook]
                    families.observer_errors.add_metric((plugin.name, hook), failed)
        return iter(families.all)

    def _settings(self, families: _Families) -> None:
        runtime = self._runtime
        settings = runtime.current.settings
        for name, setting in settings.declared.items():
            if setting.type in (bool, int, float):
                families.flag_value.add_metric((name,), float(getattr(settings, name)))
        families.flags_version.add_metric((), runtime.current.version)
        families.flags_store_ok.add_metric((), float(runtime.flags is None or runtime.flags.trouble is None))


class _Families:
    """The metrics of one scrape."""

    def __init__(self) -> None:
        self.all: list[Metric] = []
        gauge, counter = self._gauge, self._counter
        self.flags_version = gauge("rom_flags_version", "Version of the settings in force")
        self.flags_store_ok = gauge(
            "rom_flags_store_ok", "1 while overrides are whole and can be kept, 0 if the store is in trouble"
        )
        self.flag_value = gauge(
            "rom_flag_value", "Settings in force that are numbers or switches (1 on, 0 off)", "name"
        )
        self.active = gauge("rom_active_requests", "Chat requests that run or wait")
        self.abandoned = gauge(
            "rom_abandoned_threads", "Threads still busy with something nobody waits for any more", "pool"
        )
        self.memory_used = gauge("rom_memory_used_bytes", "Resident memory")
        self.memory_limit = gauge("rom_memory_limit_bytes", "What this process may use")
        self.memory_ratio = gauge("rom_memory_used_ratio", "Resident memory by its limit, 1 = all of it")
        self.capacity = gauge("rom_capacity_level", "0 normal, 1 alert, 2 critical")
        self.health = gauge("rom_health_state", "0 well, 1 degraded, 2 down")
        self.health_reason = gauge("rom_health_reason", "1 while it is a reason why it is not well", "reason")
        self.lines_dropped = counter(
            "rom_log_lines_dropped", "Lines of log and output that were never written: nobody read fast enough"
        )
        self.observer_errors = counter(
            "rom_observer_errors", "Exceptions of observers, isolated and logged", "plugin", "hook"
        )

    def _gauge(self, name: str, help_: str, *labels: str) -> GaugeMetricFamily:
        family = GaugeMetricFamily(name, help_, labels=labels)
        self.all.append(family)
        return family

    def _counter(self, name: str, help_: str, *labels: str) -> CounterMetricFamily:
        family = CounterMetricFamily(name, help_, labels=labels)
        self.all.append(family)
        return family
