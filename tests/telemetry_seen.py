"""A runtime whose events become spans and metrics in memory, on a fake clock."""

from __future__ import annotations

import contextlib
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.trace import StatusCode
from support import make_runtime, make_turn

from plugins.telemetry.ids import GivenIds
from plugins.telemetry.meters import Meters
from plugins.telemetry.observer import Observer
from plugins.telemetry.spans import Spans
from rom_core.concurrency.clock import FakeClock
from rom_core.errors import RomError
from rom_core.events import Event
from rom_core.markers import hookimpl
from rom_core.runtime import Runtime
from rom_core.span import Span
from rom_core.turn import Turn

UNSET = (StatusCode.UNSET, None)
TRACE, REQUEST = "4bf92f3577b34da6a3ce929d0e0e4736", Span("00f067aa0ba902b7")


class Seen:
    """An observer that makes spans and metrics as the plugin does, and keeps them."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        self.clock = FakeClock()
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.settings: dict[str, Any] = {"TELEMETRY_OLD_METRIC_NAMES": False}
        ids = GivenIds()
        traces = TracerProvider(sampler, Resource({}), shutdown_on_exit=False, id_generator=ids)
        traces.add_span_processor(SimpleSpanProcessor(self.exporter))
        meters = MeterProvider([self.reader], Resource({}), shutdown_on_exit=False)
        self.observer = Observer(
            Spans(traces, ids, self.clock), Meters(meters), self.clock, lambda name: self.settings[name]
        )

    @hookimpl
    def rom_event(self, event: Event) -> None:
        """As the plugin."""
        self.observer.observe(event)

    @property
    def spans(self) -> list[ReadableSpan]:
        """In the order of their end."""
        return list(self.exporter.get_finished_spans())

    def span(self, beginning: str) -> ReadableSpan:
        """The one whose name begins so."""
        (found,) = [span for span in self.spans if span.name.startswith(beginning)]
        return found

    def points(self) -> dict[str, list[Any]]:
        """The points of each metric, by its name."""
        data = self.reader.get_metrics_data()
        scopes = [scope for resource in (data.resource_metrics if data else ()) for scope in resource.scope_metrics]
        return {metric.name: list(metric.data.data_points) for scope in scopes for metric in scope.metrics}

    def run(self, *steps: Any, plugins: dict[str, Any] | None = None, **options: Any) -> tuple[Runtime, Turn]:
        """Run one turn of TRACE, part of REQUEST, whose model plays `steps`; its RomError is passed over."""
        request = options.pop("request", {})
        runtime, _ = make_runtime(*steps, plugins={"seen": self, **(plugins or {})}, clock=self.clock, **options)
        turn = make_turn(runtime, **request)
        turn.trace_id, turn.span = TRACE, Span(turn.span.id, REQUEST.id)
        with contextlib.suppress(RomError):
            runtime.run(turn)
        return runtime, turn


def status(span: ReadableSpan) -> tuple[StatusCode, str | None]:
    """Its code and description."""
    return span.status.status_code, span.status.description


def said(span: ReadableSpan) -> dict[str, Any]:
    """Its attributes."""
    return dict(span.attributes or {})


def happened(span: ReadableSpan) -> list[tuple[str, dict[str, Any]]]:
    """Its events."""
    return [(event.name, dict(event.attributes or {})) for event in span.events]


def parent(span: ReadableSpan) -> str:
    """The id of its parent."""
    return f"{span.parent.span_id:016x}" if span.parent else ""


def own(span: ReadableSpan) -> str:
    """Its own id."""
    return f"{span.context.span_id:016x}"
