"""What became of telemetry: counters, and a line in the log once a minute while something is lost."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter

from rom_core.concurrency.clock import Clock

logger = structlog.get_logger("rom.telemetry")
REASONS = ("queue_full", "export_failed", "closed")
SIGNALS = ("traces", "metrics")
LOG_EVERY_SECONDS = 60.0


class Losses:
    """Counts spans that were sent and dropped, and exports that failed; safe from any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._told_at: float | None = None
        self._untold = 0
        self.last_failure = ""
        self._sent = Counter("rom_telemetry_spans_sent", "Spans that the backend has taken.", registry=None)
        self._dropped = Counter(
            "rom_telemetry_spans_dropped", "Spans that nobody will see, by reason.", ("reason",), registry=None
        )
        self._failures = Counter(
            "rom_telemetry_export_failures", "Requests with telemetry that failed.", ("signal",), registry=None
        )
        for reason in REASONS:
            self._dropped.labels(reason)
        for signal in SIGNALS:
            self._failures.labels(signal)

    def register(self, registry: CollectorRegistry) -> None:
        """Show the counters at /metrics."""
        for counter in (self._sent, self._dropped, self._failures):
            registry.register(counter)

    def sent(self, count: int) -> None:
        """The backend has taken so many spans."""
        self._sent.inc(count)
        self.last_failure = ""

    def dropped(self, reason: str, count: int = 1) -> None:
        """So many spans are lost."""
        self._dropped.labels(reason).inc(count)
        untold = self._due(count)
        if untold is not None:
            logger.warning("telemetry.spans_dropped", reason=reason, spans_lost=untold)

    def failed(self, signal: str, why: str, spans: int = 0) -> None:
        """A request with telemetry failed, and so many spans were in it."""
        self._failures.labels(signal).inc()
        self.last_failure = f"{signal}: {why}"
        if spans:
            self._dropped.labels("export_failed").inc(spans)
        untold = self._due(spans)
        if untold is not None:
            logger.warning("telemetry.export_failed", signal=signal, reason=why, spans_lost=untold)

    def status(self) -> Mapping[str, Any]:
        """The counts since the process began."""
        return {
            "spans_sent": round(_value(self._sent)),
            "spans_dropped": {reason: round(_value(self._dropped.labels(reason))) for reason in REASONS},
            "export_failures": {signal: round(_value(self._failures.labels(signal))) for signal in SIGNALS},
            "last_failure": self.last_failure,
        }

    def _due(self, spans: int) -> int | None:
        """How many spans were lost since the last line, if another one is due."""
        now = self._clock.monotonic()
        with self._lock:
            self._untold += spans
            if self._told_at is not None and now - self._told_at < LOG_EVERY_SECONDS:
                return None
            self._told_at, untold, self._untold = now, self._untold, 0
        return untold


def _value(counter: Counter) -> float:
    return sum(
        sample.value for metric in counter.collect() for sample in metric.samples if sample.name.endswith("_total")
    )
