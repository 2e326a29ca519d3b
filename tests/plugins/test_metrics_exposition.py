"""Our counters, gauges and histograms: what they hold, how many there may be, and the text they are exposed as."""

from __future__ import annotations

import re
import threading
from typing import Any

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from support import make_runtime

from plugins.metrics import Metrics
from plugins.metrics.children import MAX_CHILDREN, Counter, Gauge, Histogram
from plugins.metrics.exposition import CONTENT_TYPE, Exposition
from rom_core.events import RequestFinished

ODD = 'q"\\\n'


def without_ages(text: bytes) -> list[bytes]:
    """The lines, but for those that tell when a series was created, and those of the process that never stand still."""
    lines = text.split(b"\n")
    return [line for line in lines if b"_created" not in line and not re.match(b"process_(cpu|res|vir|open)", line)]


def test_a_label_set_has_a_ceiling() -> None:
    """Beyond it every new value counts as "other"."""
    registry = CollectorRegistry()
    counter = Counter("x_total", "x", ["a", "b"])
    registry.register(counter)
    for number in range(MAX_CHILDREN + 50):
        counter(str(number), "b").inc()
    assert registry.get_sample_value("x_total", {"a": "other", "b": "other"}) == 50
    assert registry.get_sample_value("x_total", {"a": "3", "b": "b"}) == 1


def test_a_child_has_a_value_for_each_label() -> None:
    """One too few is a mistake of ours, found at once and not at the next scrape."""
    with pytest.raises(ValueError, match="x_total"):
        Counter("x_total", "x", ["a", "b"])("1")


def test_the_text_of_a_registry_is_the_one_that_prometheus_client_writes() -> None:
    """Byte for byte, but for the series that tell when others were created."""
    registry = CollectorRegistry()
    counter = prometheus_client.Counter("a", 'help with \\ and\nnew "line"', ["z", "b"], registry=registry)
    counter.labels(ODD, "é").inc(2)
    counter.labels("", "x").inc(1e16)
    prometheus_client.Histogram("h_seconds", "h", ["l"], registry=registry, buckets=(0.5, 1e7)).labels("1").observe(31)
    prometheus_client.Gauge("g", "g", registry=registry).set(float("nan"))
    ProcessCollector(registry=registry)
    encoder, content_type = choose_encoder("")
    exposition = Exposition(registry)
    for _ in range(2):
        assert without_ages(exposition.render()) == without_ages(encoder(registry))
        counter.labels("", "x").inc()
    assert content_type == CONTENT_TYPE
    assert b"_created" not in exposition.render()


def test_our_metrics_hold_and_write_what_those_of_prometheus_client_would() -> None:
    """The same counting done with both gives the same text, by our own hand and through a registry."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    bounds = (0.01, 0.5, 30, 1e7)
    mine: tuple[Any, ...] = (
        Counter("a_total", 'help with \\ and\nnew "line"', ["z", "b"]),
        Histogram("h_seconds", "h", ["l"], bounds),
        Gauge("g", "g", []),
        Gauge("i", "i", ["m"]),
        Counter("never_total", "n", ["l"]),
        Counter("plain_total", "p", []),
    )
    for metric in mine:
        ours.register(metric)
    a, h, g, i, _, plain = mine
    known = (
        prometheus_client.Counter("a", 'help with \\ and\nnew "line"', ["z", "b"], registry=theirs),
        prometheus_client.Histogram("h_seconds", "h", ["l"], registry=theirs, buckets=bounds),
        prometheus_client.Gauge("g", "g", registry=theirs),
        prometheus_client.Gauge("i", "i", ["m"], registry=theirs),
        prometheus_client.Counter("never", "n", ["l"], registry=theirs),
        prometheus_client.Counter("plain", "p", registry=theirs),
    )
    encoder, _ = choose_encoder("")
    exposition = Exposition(CollectorRegistry(), mine)
    for _ in range(2):
        for first, second in ((a(ODD, "é"), known[0].labels(ODD, "é")), (plain(), known[5])):
            first.inc(0.1)
            second.inc(0.1)
        for seconds in (-1, 0, 0.01, 0.010001, 0.5, 29.9, 30, 1e7, 1e8):
            for label in ("1", ODD):
                h(label).observe(seconds)
                known[1].labels(label).observe(seconds)
        for gauge in (g(), known[2]):
            gauge.inc()
            gauge.dec()
            gauge.set(float("-inf"))
        for gauge in (i("x"), known[3].labels("x")):
            gauge.inc()
            gauge.inc(2.5)
            gauge.dec()
        assert without_ages(exposition.render()) == without_ages(encoder(theirs))
        assert without_ages(encoder(ours)) == without_ages(encoder(theirs))


def test_two_threads_never_count_at_the_same_moment() -> None:
    """What one adds while the other is in the middle of adding would be lost."""
    metrics = Metrics()
    runtime, _ = make_runtime(plugins={"metrics": metrics})
    inside, let_go = threading.Event(), threading.Event()

    class Slow(float):
        """A duration that takes its time to be added."""

        def __radd__(self, other: Any) -> float:
            inside.set()
            let_go.wait(5)
            return float(other) + float(self)

    def finish(seconds: float) -> None:
        runtime.emit(RequestFinished("/r", "GET", "ok", 200, "", "stable", "t", "r", seconds))

    slow, quick = (threading.Thread(target=finish, args=(seconds,)) for seconds in (Slow(1.0), 2.0))
    slow.start()
    assert inside.wait(5)
    quick.start()
    quick.join(0.05)
    waited = quick.is_alive()
    let_go.set()
    for thread in (slow, quick):
        thread.join(5)
    labels = {"route": "/r", "status": "ok", "cohort": "stable"}
    assert waited
    assert metrics.registry.get_sample_value("rom_requests_duration_seconds_sum", labels) == 3.0
    assert metrics.registry.get_sample_value("rom_requests_total", labels) == 2
