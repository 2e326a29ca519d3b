"""The registry of a process: what one collector raises does not hide what the others have."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

_NAME = "rom_collector_errors"
logger = structlog.get_logger("rom.metrics")


class IsolatingRegistry(CollectorRegistry):
    """A registry that leaves out what a collector fails to give, counts it, and logs it once until it works again.

    `rom_collector_errors_total` has a series for each kind of collector that has failed, by its class.
    """

    def __init__(self) -> None:
        super().__init__()
        self._guards: dict[Collector, _Guard] = {}
        self.errors: Counter[str] = Counter()
        super().register(_Errors(self.errors))

    def register(self, collector: Collector) -> None:
        """As in prometheus-client. Raises ValueError for a name that is taken."""
        if isinstance(collector, MetricWrapperBase):
            # Its own counters, gauges and histograms only read numbers.
            super().register(collector)
            return
        guard = _Guard(collector, self.errors)
        super().register(guard)
        self.errors[type(collector).__name__] += 0
        self._guards[collector] = guard

    def unregister(self, collector: Collector) -> None:
        """As in prometheus-client. Raises KeyError for one that is not registered."""
        super().unregister(self._guards.pop(collector, collector))


class _Guard(Collector):
    def __init__(self, collector: Collector, errors: Counter[str]) -> None:
        self._collector = collector
        self._errors = errors
        self._failing = False
        self._lock = threading.Lock()

    def describe(self) -> Iterable[Metric]:
        """Names by which a registry knows it; none if it does not say."""
        describe = getattr(self._collector, "describe", None)
        return describe() if describe is not None else ()

    def collect(self) -> Iterator[Metric]:
        """All that can be written of what it has at this moment; nothing after what it raised."""
        try:
            for family in self._collector.collect():
                check_family(family)
                yield family
        except Exception:
            name = type(self._collector).__name__
            with self._lock:
                first, self._failing = not self._failing, True
                self._errors[name] += 1
            if first:
                logger.exception("metrics.collector_failed", collector=name)
        else:
            self._failing = False


class _Errors(Collector):
    def __init__(self, errors: Counter[str]) -> None:
        self._errors = errors

    def collect(self) -> Iterator[Metric]:
        """One family; a scrape shows the failures of those before it."""
        family = CounterMetricFamily(_NAME, "Scrapes that lack what a collector failed to give", labels=("collector",))
        for name, count in tuple(self._errors.items()):
            family.add_metric((name,), count)
        yield family


def check_family(family: Metric) -> None:
    """Raises what would end the whole scrape when the family is written."""
    for sample in family.samples:
        float(sample.value)
        if not all(isinstance(text, str) for text in (sample.name, *sample.labels, *sample.labels.values())):
            raise TypeError(f"a label of {family.name} is no text")
