"""One registry for all plugins: a scrape has everything but what failed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import Counter, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from structlog.testing import capture_logs

from rom_core.telemetry.registry import IsolatingRegistry


class Plugins(Collector):
    """A collector of a plugin: one good family, then what the test wants."""

    def __init__(self, then: Any) -> None:
        self.then = then

    def collect(self) -> Iterator[Metric]:
        """The families."""
        yield GaugeMetricFamily("good_before", "help", value=1)
        if isinstance(self.then, Exception):
            raise self.then
        if self.then is not None:
            family = GaugeMetricFamily("bad", "help", labels=("name",))
            family.add_metric(*self.then)
            yield family


@pytest.mark.parametrize(
    "then",
    [RuntimeError("down"), (("x",), None), (("x",), "one"), ((7,), 1.0)],
    ids=["it raises", "no value", "text for a value", "a number for a label"],
)
def test_a_collector_that_fails_takes_nothing_else_away(then: Any) -> None:
    """The rest is shown, it is counted at each scrape, and logged once until it works again."""
    registry = IsolatingRegistry()
    before, after = Counter("before", "help", registry=None), Counter("after", "help", registry=None)
    plugins = Plugins(then)
    for collector in (before, plugins, after):
        registry.register(collector)
    with capture_logs() as lines:
        for _ in range(2):
            text = generate_latest(registry).decode()
            assert all(name in text for name in ("before_total", "good_before 1.0", "after_total"))
            assert "bad{" not in text
        plugins.then = None
        text = generate_latest(registry).decode()
        assert 'rom_collector_errors_total{collector="Plugins"} 2.0' in text
        plugins.then = then
        generate_latest(registry)
    assert [line["event"] for line in lines] == ["metrics.collector_failed"] * 2
    assert lines[0]["collector"] == "Plugins"


def test_what_is_registered_can_be_taken_out_again() -> None:
    """By the collector that was given, whatever the registry has made of it; a name is taken once."""
    registry = IsolatingRegistry()
    plugins, counter = Plugins(None), Counter("one", "help", registry=None)
    registry.register(plugins)
    registry.register(counter)
    with pytest.raises(ValueError, match="Duplicated"):
        registry.register(Counter("one", "help", registry=None))
    registry.unregister(plugins)
    registry.unregister(counter)
    text = generate_latest(registry).decode()
    assert "good_before" not in text
    assert "one_total" not in text
