"""Spans, made of events once what they tell of is over: nothing is open that an event could fail to close."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from plugins.telemetry.ids import GivenIds
from rom_core import __version__
from rom_core.concurrency.clock import Clock
from rom_core.span import Span
from rom_core.telemetry.tracing import valid_trace_id

Attributes = Mapping[str, Any]
SCOPE = "rom_agent"
_NANO = 1_000_000_000
# The wall clock may be set while the process runs; what it wavers by less than this is not followed.
_DRIFT_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Happening:
    """An event within a span; `at` is on the monotonic clock."""

    name: str
    at: float
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Finished:
    """What a span says. `began` and `ended` are on the monotonic clock; `span_id` "" draws one.

    `parent_id` "" is that of none, `remote`: it is the caller's. `place` is where the request or turn stands that it
    belongs to. `error` is the description of a failure, None for none.
    """

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    place: Span
    began: float
    ended: float
    attributes: Attributes
    kind: SpanKind = SpanKind.INTERNAL
    error: str | None = None
    remote: bool = False
    happenings: Sequence[Happening] = field(default=())


class Spans:
    """Makes spans at the SDK's tracer; safe from any thread."""

    def __init__(self, provider: TracerProvider, ids: GivenIds, clock: Clock) -> None:
        self._tracer = provider.get_tracer(SCOPE, __version__)
        self._sampler = provider.sampler
        self._ids = ids
        self._clock = clock
        self._offset = clock.time() - clock.monotonic()

    def record(self, done: Finished) -> None:
        """Hand the span to the SDK, unless its trace is not recorded."""
        if not valid_trace_id(done.trace_id):
            return
        trace_id = int(done.trace_id, 16)
        if not self._sampled(trace_id, done.place):
            return
        self._ids.give(trace_id, int(done.span_id or "0", 16))
        span = self._tracer.start_span(
            done.name,
            _within(trace_id, done.parent_id, remote=done.remote),
            done.kind,
            done.attributes,
            start_time=self._wall(done.began),
        )
        for happening in done.happenings:
            span.add_event(happening.name, happening.attributes, self._wall(happening.at))
        if done.error is not None:
            span.set_status(Status(StatusCode.ERROR, done.error))
        span.end(self._wall(max(done.began, done.ended)))

    def _sampled(self, trace_id: int, place: Span) -> bool:
        """What the sampler says of the trace: all spans of ours are recorded or none."""
        caller = None
        if place.from_caller:
            flags = TraceFlags.SAMPLED if place.sampled else TraceFlags.DEFAULT
            caller = _within(trace_id, "1", remote=True, flags=flags)
        return self._sampler.should_sample(caller or Context(), trace_id, SCOPE).decision is Decision.RECORD_AND_SAMPLE

    def _wall(self, monotonic: float) -> int:
        offset = self._clock.time() - self._clock.monotonic()
        if abs(offset - self._offset) > _DRIFT_SECONDS:
            self._offset = offset
        return round((monotonic + self._offset) * _NANO)


def _within(trace_id: int, parent_id: str, *, remote: bool, flags: int = TraceFlags.SAMPLED) -> Context:
    """The context of a parent; without one, of none."""
    if not parent_id:
        return Context()
    parent = SpanContext(trace_id, int(parent_id, 16), is_remote=remote, trace_flags=TraceFlags(flags))
    return set_span_in_context(NonRecordingSpan(parent), Context())
