"""Spans around turns, each made of one event: requests, the wait for a slot, the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry.trace import SpanKind

from plugins.telemetry.spans import Finished
from rom_core.events import Event, QueueLeft, RequestFinished, StoreUsed
from rom_core.http.requests import UNMATCHED

# Asked for every few seconds by machines: a span each would say nothing.
PROBES = ("/health", "/ready", "/metrics")
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"))
_OTHER = "_OTHER"
# Ends of a wait after which nobody has failed: the client may have left.
_HARMLESS = ("started", "released", "client_gone")


def request_span(event: RequestFinished, now: float) -> Finished | None:
    """The request's, as a child of its caller's; none for probes. `now` is on the monotonic clock."""
    if event.span is None or event.route in PROBES:
        return None
    method = event.method if event.method in _METHODS else _OTHER
    verb = "HTTP" if method == _OTHER else method
    said: dict[str, Any] = {
        "http.request.method": method,
        "http.response.status_code": event.http_status,
        "url.scheme": "http",
        "rom.request.id": event.request_id,
        "rom.status": event.status,
        "rom.cohort": event.cohort,
    }
    matched = event.route != UNMATCHED
    if matched:
        said["http.route"] = event.route
        if "{" not in event.route:
            # What a stranger asked for in other paths may be anything.
            said["url.path"] = event.route
    if event.status != "ok":
        said["error.type"] = event.code or str(event.http_status)
    # https://opentelemetry.io/docs/specs/semconv/http/http-spans: to a server, a client's own mistake is no error.
    failed = event.status in ("error", "rejected")
    return Finished(
        name=f"{verb} {event.route}" if matched else verb,
        trace_id=event.trace_id,
        span_id=event.span.id,
        parent_id=event.span.parent_id,
        place=event.span,
        began=now - event.duration,
        ended=now,
        attributes=said,
        kind=SpanKind.SERVER,
        error=said["error.type"] if failed else None,
        remote=True,
    )


def queue_span(event: QueueLeft, now: float) -> Finished:
    """The wait of a turn for its slot."""
    turn = event.turn
    said = {"rom.queue.outcome": event.outcome, "rom.queue.depth": event.depth, "rom.queue.running": event.running}
    error = None if event.outcome in _HARMLESS else event.outcome
    return Finished(
        name="queue",
        trace_id=turn.trace_id,
        span_id="",
        parent_id=turn.span.id,
        place=turn.span,
        began=now - event.waited,
        ended=now,
        attributes=said if error is None else said | {"error.type": error},
        error=error,
    )


def store_span(event: StoreUsed, now: float) -> Finished | None:
    """What was done for a request or a turn; none for what the process does by itself every few seconds."""
    if event.span is None:
        return None
    said = {"db.system.name": event.kind, "rom.store.operation": event.operation}
    return Finished(
        name=f"store {event.operation}",
        trace_id=event.trace_id,
        span_id="",
        parent_id=event.span.id,
        place=event.span,
        began=now - event.duration,
        ended=now,
        attributes=said | {"error.type": event.code} if event.code else said,
        kind=SpanKind.CLIENT,
        error=event.code or None,
    )


SPAN_OF: Mapping[type[Event], Callable[[Any, float], Finished | None]] = {
    RequestFinished: request_span,
    QueueLeft: queue_span,
    StoreUsed: store_span,
}
