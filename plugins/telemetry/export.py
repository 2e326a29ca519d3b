"""The way out: the SDK's providers, exporters and bounded queue, with what is lost on the way counted."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
import structlog
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.util.re import parse_env_headers

from plugins.telemetry.ids import GivenIds
from plugins.telemetry.settings import HEADERS, SERVICE_NAME, endpoints
from rom_core import __version__
from rom_core.concurrency.bounded import finished_within
from rom_core.ops.requesting import DirectSession

if TYPE_CHECKING:
    from plugins.telemetry.losses import Losses
    from rom_core.settings import Settings

logger = structlog.get_logger("rom.telemetry")
_QUEUE, _QUEUE_SIZE = "OTEL_BSP_MAX_QUEUE_SIZE", 2048
_BATCH, _BATCH_SIZE = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512
_EXPORTERS = {"traces": "OTEL_TRACES_EXPORTER", "metrics": "OTEL_METRICS_EXPORTER"}
_OF_THE_PROTOCOL = frozenset(("content-type", "content-encoding", "user-agent"))
# What is left in the queue is sent when the plugin closes, if that takes no longer.
CLOSE_SECONDS = 4.0


class Session(DirectSession):
    """Our rules for requests; `last` says in a word how the last one ended: its status, or the kind of its failure.

    `headers_of_ours` are those of our setting: the exporter adds what its own variables say to all that it sends.
    """

    def __init__(self, headers_of_ours: Iterable[str]) -> None:
        super().__init__()
        self.last = ""
        self._sent = _OF_THE_PROTOCOL.union(name.lower() for name in headers_of_ours)

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **options: Any) -> requests.Response:
        """As in requests. An answer that sends us elsewhere is a failure: nobody has taken what was sent."""
        given = options.pop("headers", None) or {}
        options["headers"] = {name: value for name, value in given.items() if name.lower() in self._sent}
        try:
            response = super().request(method, url, *args, **options)
        except Exception as error:
            self.last = type(error).__name__
            raise
        self.last = f"HTTP {response.status_code}"
        if response.is_redirect:
            raise requests.TooManyRedirects(self.last)
        return response


class CountedSpans(OTLPSpanExporter):
    """Sends spans, and tells what became of them."""

    def __init__(self, losses: Losses, queue: Queue, session: Session, **options: Any) -> None:
        super().__init__(session=session, **options)
        self._losses, self._queue_of, self._last = losses, queue, session

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """As in the SDK; what is counted as lost already is not sent as well."""
        if not self._queue_of.taken(len(spans)):
            return SpanExportResult.FAILURE
        result = super().export(spans)
        if result is SpanExportResult.SUCCESS:
            self._losses.sent(len(spans))
        else:
            self._losses.failed("traces", self._last.last or "not sent", len(spans))
        return result


class CountedMetrics(OTLPMetricExporter):
    """Sends metrics, and tells what became of them; `look` is called each time before."""

    def __init__(self, losses: Losses, look: Callable[[], None], session: Session, **options: Any) -> None:
        super().__init__(session=session, **options)
        self._losses, self._look, self._last = losses, look, session

    def export(
        self, metrics_data: MetricsData, timeout_millis: float | None = 10000, **kwargs: Any
    ) -> MetricExportResult:
        """As in the SDK."""
        self._look()
        result = super().export(metrics_data, timeout_millis, **kwargs)
        if result is not MetricExportResult.SUCCESS:
            self._losses.failed("metrics", self._last.last or "not sent")
        return result


@dataclass
class Queue(SpanProcessor):
    """The gate before the SDK's queue: what finds `size` spans waiting is dropped, and counted, and nobody waits.

    After `abandon` it is closed: nothing passes any more, neither into the SDK's queue nor out of it.
    """

    size: int
    losses: Losses
    behind: SpanProcessor | None = None
    waiting: int = 0
    closed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def on_end(self, span: ReadableSpan) -> None:
        """Let it pass, or drop it."""
        with self._lock:
            reason = "closed" if self.closed else "queue_full" if self.waiting >= self.size else ""
            self.waiting += not reason
        if reason or self.behind is None:
            self.losses.dropped(reason or "queue_full")
        else:
            self.behind.on_end(span)

    def taken(self, count: int) -> bool:
        """So many are about to be sent; False if they must not be, as they have been counted as lost."""
        with self._lock:
            if self.closed:
                return False
            self.waiting -= count
            return True

    def shutdown(self) -> None:
        """Send what is left; what nobody could send is lost."""
        if self.behind is not None:
            self.behind.shutdown()
        self.abandon()

    def abandon(self) -> None:
        """Close, and count what still waits as lost."""
        with self._lock:
            self.closed = True
            left, self.waiting = self.waiting, 0
        if left:
            self.losses.dropped("closed", left)


class Export:
    """Everything that is open while telemetry is on; `traces` and `meters` are the SDK's providers.

    `look` is called now and then, from a thread of the SDK.
    Raises ValueError where a standard variable says something that cannot be.
    """

    def __init__(self, settings: Settings, instance: str, losses: Losses, look: Callable[[], None]) -> None:
        # One line a minute of ours says what its many would (Losses).
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        given = OTELResourceDetector().detect().attributes
        resource = Resource.create(
            {
                "service.version": __version__,
                "deployment.environment.name": settings.environment,
                "service.instance.id": instance,
                **given,
                "service.name": getattr(settings, SERVICE_NAME),
            }
        )
        self.ids = GivenIds()
        self.addresses = dict(zip(("traces", "metrics"), endpoints(settings), strict=True))
        headers = dict(parse_env_headers(getattr(settings, HEADERS), liberal=True))
        self._queue: Queue | None = None
        self.traces = TracerProvider(resource=resource, id_generator=self.ids, shutdown_on_exit=False)
        if _sends("traces"):
            size = int(os.environ.get(_QUEUE) or _QUEUE_SIZE)
            self._queue = Queue(size, losses)
            spans = CountedSpans(
                losses, self._queue, session := Session(headers), endpoint=self.addresses["traces"], headers=headers
            )
            _trust(session)
            batch = min(int(os.environ.get(_BATCH) or _BATCH_SIZE), size)
            self._queue.behind = BatchSpanProcessor(spans, max_queue_size=size, max_export_batch_size=batch)
            self.traces.add_span_processor(self._queue)
        readers = []
        if _sends("metrics"):
            metrics = CountedMetrics(
                losses, look, session := Session(headers), endpoint=self.addresses["metrics"], headers=headers
            )
            _trust(session)
            readers.append(PeriodicExportingMetricReader(metrics))
        self.meters = MeterProvider(readers, resource, shutdown_on_exit=False)

    def close(self) -> None:
        """Send what is left, for a few seconds at most."""
        whole = finished_within(CLOSE_SECONDS, self.traces.shutdown, name="telemetry-close-traces")
        if self._queue is not None and not whole:
            self._queue.abandon()
        finished_within(CLOSE_SECONDS, self.meters.shutdown, name="telemetry-close-metrics")

    def where(self) -> dict[str, str]:
        """Scheme, host and port of what is sent to, by signal: a path or a user may be a secret."""
        return {signal: _origin(url) for signal, url in self.addresses.items()}


def _sends(signal: str) -> bool:
    return os.environ.get(_EXPORTERS[signal], "").strip().lower() != "none"


def _trust(session: Session) -> None:
    """The exporter sets `verify` to True where no OTEL_EXPORTER_OTLP_CERTIFICATE is given: then our rules hold."""
    if session.verify is True:
        session.verify = DirectSession().verify


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
