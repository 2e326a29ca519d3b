"""The way out: nobody waits for it, and what is lost on it is counted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs
from support import make_settings
from telemetry_support import Receiver, receiving
from waiting import until

from plugins.telemetry import Telemetry, export
from plugins.telemetry.export import Export, Queue
from plugins.telemetry.losses import LOG_EVERY_SECONDS, Losses
from rom_core import hookspecs
from rom_core.concurrency.clock import FakeClock
from rom_core.plugin.catalogue import Catalogue


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """One that takes everything, until told otherwise."""
    with receiving() as running:
        yield running


@pytest.fixture
def losses() -> Losses:
    """On a clock that stands still."""
    return Losses(FakeClock())


def opened(url: str, losses: Losses, monkeypatch: pytest.MonkeyPatch, **environ: str) -> Export:
    """Open, and send soon."""
    for name, value in {"OTEL_BSP_SCHEDULE_DELAY": "20", "OTEL_METRIC_EXPORT_INTERVAL": "50", **environ}.items():
        monkeypatch.setenv(name, value)
    settings = make_settings(Catalogue.of(hookspecs, telemetry=Telemetry()), OTEL_EXPORTER_OTLP_ENDPOINT=url)
    return Export(settings, "me", losses, lambda: None)


def end_spans(provider: TracerProvider, count: int) -> None:
    """So many spans end."""
    tracer = provider.get_tracer("test")
    for number in range(count):
        tracer.start_span(f"span {number}").end()


def counted(losses: Losses, what: str) -> Any:
    """From the status."""
    return losses.status()[what]


def test_what_is_sent_is_counted(receiver: Receiver, losses: Losses, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the backend has taken it."""
    exporting = opened(receiver.url, losses, monkeypatch)
    try:
        end_spans(exporting.traces, 3)
        assert until(lambda: counted(losses, "spans_sent") == 3)
        assert len(receiver.spans()) == 3
    finally:
        exporting.close()
    assert sum(counted(losses, "spans_dropped").values()) == 0


@pytest.mark.parametrize(("answer", "why"), [(500, "HTTP 500"), (401, "HTTP 401"), (302, "HTTP 302")])
def test_what_the_backend_does_not_take_is_lost_and_counted(
    receiver: Receiver, losses: Losses, monkeypatch: pytest.MonkeyPatch, answer: int, why: str
) -> None:
    """Also an answer that sends us elsewhere: nobody has taken what was sent there."""
    receiver.answers[:] = [answer]
    # Both spans leave at once, as a full batch, and not when a timer says so.
    together = {"OTEL_BSP_SCHEDULE_DELAY": "600000", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "2"}
    exporting = opened(receiver.url, losses, monkeypatch, OTEL_METRICS_EXPORTER="none", **together)
    try:
        end_spans(exporting.traces, 2)
        assert until(lambda: counted(losses, "spans_dropped")["export_failed"] == 2)
    finally:
        exporting.close()
    assert counted(losses, "export_failures") == {"traces": 1, "metrics": 0}
    assert counted(losses, "last_failure") == f"traces: {why}"


def test_a_full_queue_drops_and_counts_and_nobody_waits(
    receiver: Receiver, losses: Losses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the backend hangs: what ends a span never speaks to it."""
    monkeypatch.setattr(export, "CLOSE_SECONDS", 0.2)
    receiver.open.clear()
    before = threading.enumerate()
    exporting = opened(
        receiver.url, losses, monkeypatch, OTEL_BSP_MAX_QUEUE_SIZE="4", OTEL_BSP_MAX_EXPORT_BATCH_SIZE="2"
    )
    threads: set[str] = set()
    request = export.Session.request

    def sent(*args: Any, **options: Any) -> Any:
        threads.add(threading.current_thread().name)
        return request(*args, **options)

    monkeypatch.setattr(export.Session, "request", sent)
    end_spans(exporting.traces, 50)
    assert 44 <= counted(losses, "spans_dropped")["queue_full"] <= 46
    assert threading.current_thread().name not in threads
    exporting.close()
    receiver.open.set()
    for thread in threading.enumerate():
        if thread not in before and thread.name.startswith("OtelBatch"):
            thread.join(60)
            assert not thread.is_alive()
    end_spans(exporting.traces, 3)
    # What still waited, and what was under way, is lost or sent: nothing is forgotten, and nothing both.
    assert counted(losses, "spans_sent") == len(receiver.spans())
    assert sum(counted(losses, "spans_dropped").values()) + counted(losses, "spans_sent") == 53


def test_closing_is_bounded(receiver: Receiver, losses: Losses, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend that hangs is left behind, and what still waits is counted as lost."""
    monkeypatch.setattr(export, "CLOSE_SECONDS", 0.2)
    receiver.open.clear()
    exporting = opened(receiver.url, losses, monkeypatch)
    end_spans(exporting.traces, 1)
    closing = threading.Thread(target=exporting.close, daemon=True)
    closing.start()
    closing.join(30.0)
    assert not closing.is_alive()


def test_a_queue_without_anything_behind_it_loses_what_it_is_given(losses: Losses) -> None:
    """And says so."""
    queue = Queue(10, losses)
    queue.on_end(object())  # type: ignore[arg-type]
    assert counted(losses, "spans_dropped")["queue_full"] == 1


def test_each_signal_can_be_left_out(receiver: Receiver, losses: Losses, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the standard variables."""
    exporting = opened(receiver.url, losses, monkeypatch, OTEL_TRACES_EXPORTER="none")
    exporting.meters.get_meter("test").create_counter("things").add(1)
    try:
        end_spans(exporting.traces, 2)
        assert until(lambda: "things" in receiver.metrics())
    finally:
        exporting.close()
    assert receiver.spans() == []


def test_headers_go_out_and_show_nowhere(receiver: Receiver, losses: Losses, monkeypatch: pytest.MonkeyPatch) -> None:
    """They carry the backend's key."""
    settings = make_settings(
        Catalogue.of(hookspecs, telemetry=Telemetry()),
        OTEL_EXPORTER_OTLP_ENDPOINT=f"{receiver.url}/chave-no-caminho",
        OTEL_EXPORTER_OTLP_HEADERS="api-key=abc%20def",
        OTEL_SERVICE_NAME="advogado",
    )
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    # The exporter would add these, which are no settings of ours.
    for signal in ("TRACES_HEADERS", "METRICS_HEADERS", "HEADERS"):
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{signal}", "authorization=Bearer%20elsewhere,api-key=old")
    exporting = Export(settings, "me", losses, lambda: None)
    exporting.meters.get_meter("test").create_counter("things").add(1)
    try:
        end_spans(exporting.traces, 1)
        assert until(lambda: bool(receiver.requests))
    finally:
        exporting.close()
    assert {path for path, _, _ in receiver.requests} == {
        "/chave-no-caminho/v1/traces",
        "/chave-no-caminho/v1/metrics",
    }
    for _, headers, _ in receiver.requests:
        assert headers["api-key"] == "abc def"
        assert headers["content-type"] == "application/x-protobuf"
        assert "authorization" not in {name.lower() for name in headers}
    assert exporting.where() == {"traces": receiver.url, "metrics": receiver.url}


def test_the_log_has_one_line_a_minute(losses: Losses) -> None:
    """With how many spans were lost since the last one."""
    clock = losses._clock
    assert isinstance(clock, FakeClock)
    with capture_logs() as lines:
        losses.failed("traces", "HTTP 500", 3)
        losses.dropped("queue_full", 2)
        losses.failed("metrics", "ConnectionError")
        clock.advance(LOG_EVERY_SECONDS)
        losses.dropped("queue_full")
    assert [(line["event"], line["spans_lost"]) for line in lines] == [
        ("telemetry.export_failed", 3),
        ("telemetry.spans_dropped", 3),
    ]


def test_the_counters_are_there_from_the_beginning(losses: Losses) -> None:
    """A rule on their growth needs a zero to start from."""
    registry = CollectorRegistry()
    losses.register(registry)
    samples = {
        (sample.name.removeprefix("rom_telemetry_"), *sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name.endswith("_total")
    }
    assert samples == {
        ("spans_sent_total",): 0,
        ("spans_dropped_total", "queue_full"): 0,
        ("spans_dropped_total", "export_failed"): 0,
        ("spans_dropped_total", "closed"): 0,
        ("export_failures_total", "traces"): 0,
        ("export_failures_total", "metrics"): 0,
    }
