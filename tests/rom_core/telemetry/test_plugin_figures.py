"""`rom_collectors`: figures of anybody's plugin at GET /metrics, under names of their own, no danger to the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import falcon.testing
import pytest
from prometheus_client import Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from structlog.testing import capture_logs
from support import make_runtime, make_settings

from plugins.metrics import Metrics
from rom_core.concurrency.clock import FakeClock
from rom_core.errors import PluginError
from rom_core.http.app import create_app
from rom_core.markers import hookimpl
from rom_core.runtime import Runtime
from rom_core.telemetry import plugin_figures
from rom_core.telemetry.plugin_figures import MAX_SAMPLES


@pytest.fixture(autouse=True)
def patient() -> Iterator[None]:
    """A collector has all the time that a busy machine may need; the one that hangs has a wait of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plugin_figures, "WAIT_SECONDS", 60)
        yield


class Figures:
    """A plugin that gives these collectors."""

    def __init__(self, *collectors: Any) -> None:
        self._collectors = collectors

    @hookimpl
    def rom_collectors(self) -> Any:
        """All of them."""
        return self._collectors


class Looks(Collector):
    """A collector that gives what `look` gives."""

    def __init__(self, look: Callable[[], Any]) -> None:
        self.look = look

    def collect(self) -> Iterator[Metric]:
        """The families."""
        yield from self.look()


def gauge(name: str, value: Any = 1) -> GaugeMetricFamily:
    """A family with one sample."""
    return GaugeMetricFamily(name, "help", value=value)


def raises(error: BaseException) -> Callable[[], Any]:
    """A look that fails."""

    def look() -> Any:
        raise error

    return look


def started(clock: FakeClock | None = None, **plugins: Any) -> Runtime:
    """A runtime that has started with these plugins and metrics."""
    runtime, _ = make_runtime(plugins={"metrics": Metrics(), **plugins}, clock=clock)
    try:
        runtime.start()
    except BaseException:
        runtime.stop()
        raise
    return runtime


def scraped(runtime: Runtime) -> str:
    """What a scraper reads."""
    return generate_latest(runtime.registry).decode()


def errors(runtime: Runtime, plugin: str) -> float | None:
    """How often figures of the plugin were lacking."""
    return runtime.registry.get_sample_value("rom_collector_errors_total", {"collector": plugin})


def test_figures_of_a_plugin_are_shown_while_it_is_on() -> None:
    """Of this moment; off, they are left out, and back as they were when it is switched on again."""
    said = Counter("acme_said", "Things said", registry=None)
    runtime = started(acme=Figures(said, Looks(lambda: [gauge("acme_open", 3)])))
    client = falcon.testing.TestClient(create_app(runtime))
    try:
        said.inc(2)
        for on, shown in ((True, True), (False, False), (True, True)):
            runtime.swap(runtime.build(make_settings(runtime.catalogue, METRICS_ENABLED=True, ACME_ENABLED=on)))
            text = client.simulate_get("/metrics").text
            assert ("acme_said_total 2.0" in text, "acme_open 3.0" in text) == (shown, shown)
        said.inc()
        assert "acme_said_total 3.0" in client.simulate_get("/metrics").text
    finally:
        runtime.stop()


def test_they_may_be_yielded() -> None:
    """As tools and settings."""

    class Yields:
        @hookimpl
        def rom_collectors(self) -> Any:
            yield Gauge("acme_open", "Open", registry=None)

    runtime = started(acme=Yields())
    runtime.stop()
    assert "acme_open 0.0" in scraped(runtime)


@pytest.mark.parametrize(
    ("plugins", "reason"),
    [
        ({"acme": Figures(Gauge("rom_x", "x", registry=None))}, "rom_x begins with rom_"),
        ({"acme": Figures(Looks(lambda: [gauge("process_x")]))}, "process_x begins with"),
        ({"acme": Figures(Looks(lambda: [gauge("bad-name")]))}, "'bad-name' is no name"),
        ({"acme": Figures(Looks(lambda: [gauge("é")]))}, "is no name"),
        ({"acme": Figures("no collector")}, "collectors of prometheus-client only"),
        ({"acme": Figures(Looks(lambda: [gauge("a")]), Looks(lambda: [gauge("a")]))}, "another collector of 'acme'"),
        (
            {
                "before": Figures(Counter("a", "x", registry=None)),
                "acme": Figures(Gauge("a_total", "x", registry=None)),
            },
            "a_total belongs to another collector of 'before'",
        ),
        (
            {
                "before": Figures(Gauge("a_count", "x", registry=None)),
                "acme": Figures(Histogram("a", "x", registry=None)),
            },
            "a_count belongs to another collector of 'before'",
        ),
    ],
)
def test_a_name_that_may_not_be_stops_the_start(plugins: dict[str, Any], reason: str) -> None:
    """With the name of the plugin."""
    with pytest.raises(PluginError, match=reason) as caught:
        started(**plugins)
    assert caught.value.plugin == "acme"


def test_what_a_plugin_registered_by_itself_is_not_taken_from_it() -> None:
    """The registry is asked as well."""

    class Own:
        @hookimpl
        def rom_start(self, runtime: Runtime) -> None:
            Gauge("acme_open", "Open", registry=runtime.registry)

    with pytest.raises(PluginError, match="acme_open") as caught:
        started(own=Own(), acme=Figures(Gauge("acme_open", "Open", registry=None)))
    assert caught.value.plugin == "acme"


def test_a_hook_that_raises_stops_the_start() -> None:
    """With the name of the plugin."""

    class Broken:
        @hookimpl
        def rom_collectors(self) -> Any:
            raise KeyError("x")

    with pytest.raises(PluginError, match="rom_collectors failed: KeyError"):
        started(acme=Broken())


@pytest.mark.parametrize(
    "look",
    [
        raises(RuntimeError("down")),
        raises(SystemExit(1)),
        lambda: [gauge("x", "text")],
        lambda: None,
        lambda: ["no family"],
        lambda: [gauge("rom_requests")],
        lambda: [gauge("bad-name")],
        lambda: [gauge("other_figures")],
    ],
    ids=["raises", "exits", "text", "nothing", "no family", "the core's name", "no name", "another's name"],
)
def test_a_collector_that_fails_at_a_scrape_takes_nothing_else_away(look: Callable[[], Any]) -> None:
    """The rest is shown, it is counted under the plugin's name at each scrape, and logged once until it works again."""
    odd = Looks(lambda: [gauge("acme_odd")])
    other = Gauge("other_figures", "x", registry=None)
    runtime = started(acme=Figures(odd, Gauge("acme_open", "Open", registry=None)), other=Figures(other))
    good = odd.look
    try:
        for turn in (1, 2):
            odd.look = look
            with capture_logs() as logs:
                for _ in range(2):
                    text = scraped(runtime)
                    assert "acme_open 0.0" in text
                    assert "other_figures 0.0" in text
                    assert "rom_requests_total" in text
                    assert "acme_odd" not in text
            assert [line["collector"] for line in logs if line["event"] == "metrics.collector_failed"] == ["acme"]
            assert errors(runtime, "acme") == 2 * turn
            odd.look = good
            assert "acme_odd 1.0" in scraped(runtime)
        assert errors(runtime, "other") == 0
    finally:
        runtime.stop()


def test_a_collector_that_does_not_work_at_start_does_not_stop_it() -> None:
    """Its names are looked at when it is scraped."""
    down = Looks(raises(RuntimeError("down")))
    runtime = started(acme=Figures(down), other=Figures(Gauge("taken", "x", registry=None)))
    runtime.stop()
    # At start, and at the last scrape when it stopped.
    assert errors(runtime, "acme") == 2
    down.look = lambda: [gauge("acme_back"), gauge("taken", 7)]
    text = scraped(runtime)
    assert "acme_back 1.0" in text
    assert "taken 0.0" in text
    assert "taken 7" not in text


def test_a_plugin_has_a_bounded_share_of_a_scrape() -> None:
    """What would be too much is left out, so that a scrape stays within its bound."""

    def labelled(name: str, count: int) -> Metric:
        family = GaugeMetricFamily(name, "help", labels=("n",))
        for number in range(count):
            family.add_metric((str(number),), 1)
        return family

    many = Looks(lambda: [labelled("acme_few", MAX_SAMPLES), labelled("acme_many", 1)])
    runtime = started(acme=Figures(many))
    text = scraped(runtime)
    assert text.count("acme_few{") == MAX_SAMPLES
    assert "acme_many" not in text
    assert errors(runtime, "acme") == 1
    runtime.stop()


def test_one_that_is_slow_is_asked_once_a_second() -> None:
    """A fast one at each scrape."""
    clock = FakeClock()
    asked = {"slow": 0, "fast": 0}

    def look(name: str, seconds: float) -> list[Metric]:
        clock.advance(seconds)
        asked[name] += 1
        return [gauge(name, asked[name])]

    slow, fast = Figures(Looks(lambda: look("slow", 0.02))), Figures(Looks(lambda: look("fast", 0.0)))
    runtime = started(clock, slow=slow, fast=fast)
    asked |= {"slow": 0, "fast": 0}
    for _ in range(3):
        assert "slow 1.0" in scraped(runtime)
    assert asked == {"slow": 1, "fast": 3}
    clock.advance(1)
    assert "slow 2.0" in scraped(runtime)
    runtime.stop()


def test_one_that_hangs_holds_up_one_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left out and counted until it has answered, and only one thread waits for it."""
    go, looks = threading.Event(), [0]

    def hang() -> list[Metric]:
        looks[0] += 1
        go.wait(60)
        return [gauge("acme_open")]

    odd = Looks(lambda: [gauge("acme_open")])
    runtime = started(acme=Figures(odd), other=Figures(Gauge("other_open", "x", registry=None)))
    monkeypatch.setattr(plugin_figures, "finished_within", briefly)
    odd.look = hang
    with capture_logs() as logs:
        for _ in range(3):
            text = scraped(runtime)
            assert "acme_open" not in text
            assert "other_open 0.0" in text
    assert (looks, errors(runtime, "acme")) == ([1], 3)
    assert len([line for line in logs if line["event"] == "metrics.collector_failed"]) == 1
    go.set()
    for thread in threading.enumerate():
        if thread.name == "rom-figures-acme":
            thread.join(60)
    monkeypatch.undo()
    assert "acme_open 1.0" in scraped(runtime)
    runtime.stop()


def briefly(seconds: float, call: Callable[[], None], *, name: str) -> bool:
    """As finished_within, for a collector that either answers at once or hangs."""
    thread = threading.Thread(target=call, name=name, daemon=True)
    thread.start()
    thread.join(0.05 if name == "rom-figures-acme" else 60)
    return not thread.is_alive()
