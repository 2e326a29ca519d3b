"""Spans around turns: requests, the wait for a slot, the store; and which traces are recorded at all."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import SpanKind, StatusCode
from support import make_runtime, make_turn, says
from telemetry_seen import REQUEST, TRACE, UNSET, Seen, own, parent, said, status

from rom_core.events import QueueLeft, RequestFinished, StoreUsed
from rom_core.span import Span


@pytest.mark.parametrize(
    ("outcome", "failed"),
    [
        ("started", False),
        ("released", False),
        ("client_gone", False),
        ("timeout", True),
        ("full", True),
        ("draining", True),
    ],
)
def test_the_wait_for_a_slot_is_a_span(seen: Seen, outcome: str, failed: bool) -> None:
    """As long as it took, below the turn; the refusals are failures."""
    runtime, _ = make_runtime(clock=seen.clock)
    turn = make_turn(runtime)
    turn.trace_id = TRACE
    seen.clock.advance(100.0)
    seen.observer.observe(QueueLeft(turn, 4.0, outcome, 3, 6))
    span = seen.span("queue")
    assert parent(span) == turn.span.id
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time - span.start_time == 4_000_000_000
    assert said(span).items() >= {"rom.queue.outcome": outcome, "rom.queue.depth": 3, "rom.queue.running": 6}.items()
    assert status(span) == ((StatusCode.ERROR, outcome) if failed else UNSET)


def test_the_store_is_a_span_of_the_request_that_needs_it(seen: Seen) -> None:
    """What the process does by itself, as polling, is none."""
    seen.observer.observe(StoreUsed("sqlite", "read", 0.5))
    seen.observer.observe(StoreUsed("sqlite", "write", 0.5, "", TRACE, REQUEST))
    seen.observer.observe(StoreUsed("postgresql", "read", 0.5, "store_unavailable", TRACE, REQUEST))
    write, read = seen.spans
    assert (write.name, write.kind, parent(write), status(write)) == ("store write", SpanKind.CLIENT, REQUEST.id, UNSET)
    assert said(write) == {"db.system.name": "sqlite", "rom.store.operation": "write"}
    assert status(read) == (StatusCode.ERROR, "store_unavailable")


def finished(
    route: str = "/api/chat", method: str = "POST", outcome: str = "ok", code: str = "", **more: Any
) -> RequestFinished:
    """A request that ended so."""
    http = {"ok": 200, "error": 502, "rejected": 503, "client_error": 422, "cancelled": 499}[outcome]
    span = more.pop("span", Span("1" * 16))
    return RequestFinished(route, method, outcome, http, code, "stable", TRACE, "req-1", 0.25, span)


@pytest.mark.parametrize(
    ("event", "name", "path", "error"),
    [
        (finished(), "POST /api/chat", "/api/chat", None),
        (finished("/api/files/{file_id}", "GET"), "GET /api/files/{file_id}", None, None),
        (finished("unmatched", "GET", "client_error", "not_found"), "GET", None, "not_found"),
        (finished("unmatched", "MINHA-SENHA", "client_error", "malformed_request"), "HTTP", None, "malformed_request"),
        (finished(outcome="error", code="upstream_refused"), "POST /api/chat", "/api/chat", "upstream_refused"),
        (finished(outcome="rejected", code="queue_full"), "POST /api/chat", "/api/chat", "queue_full"),
        (finished(outcome="cancelled", code="cancelled"), "POST /api/chat", "/api/chat", "cancelled"),
    ],
)
def test_a_request_is_a_span(
    seen: Seen, event: RequestFinished, name: str, path: str | None, error: str | None
) -> None:
    """Named after method and template, never after what a stranger sent; only our own failures are failures."""
    seen.observer.observe(event)
    (span,) = seen.spans
    assert (span.name, span.kind, own(span), span.parent) == (name, SpanKind.SERVER, "1" * 16, None)
    assert f"{span.context.trace_id:032x}" == TRACE
    assert (said(span).get("url.path"), said(span).get("error.type")) == (path, error)
    failed = event.status in ("error", "rejected")
    assert status(span) == ((StatusCode.ERROR, error) if failed else UNSET)
    assert "SENHA" not in str(span.to_json())


@pytest.mark.parametrize("route", ["/health", "/ready", "/metrics"])
def test_probes_are_no_spans(seen: Seen, route: str) -> None:
    """Asked for every few seconds, they would be most of what is stored."""
    seen.observer.observe(finished(route, "GET"))
    assert seen.spans == []


def test_the_callers_span_is_the_parent(seen: Seen) -> None:
    """Of another process: the backend shows one trace."""
    seen.observer.observe(finished(span=Span("1" * 16, "2" * 16, from_caller=True)))
    (span,) = seen.spans
    assert span.parent is not None
    assert (parent(span), span.parent.is_remote) == ("2" * 16, True)


def test_a_trace_that_its_caller_does_not_record_is_not_recorded(seen: Seen) -> None:
    """Neither the request nor anything in it; metrics count it all the same."""
    runtime, _ = make_runtime(says("ok"), plugins={"seen": seen}, clock=seen.clock)
    turn = make_turn(runtime)
    turn.trace_id, turn.span = TRACE, Span("1" * 16, "2" * 16, from_caller=True, sampled=False)
    runtime.run(turn)
    seen.observer.observe(finished(span=turn.span))
    assert seen.spans == []
    assert "gen_ai.invoke_agent.duration" in seen.points()


def test_the_sampler_decides_for_a_trace_as_a_whole() -> None:
    """What it leaves out has no spans at all; what a caller records we record."""
    seen = Seen(ParentBased(ALWAYS_OFF))
    seen.run(says("ok"))
    seen.observer.observe(finished())
    assert seen.spans == []
    seen.observer.observe(finished(span=Span("1" * 16, "2" * 16, from_caller=True)))
    assert len(seen.spans) == 1


def test_without_a_valid_trace_id_there_is_no_span(seen: Seen) -> None:
    """Nobody could find it; what is counted is counted."""
    runtime, _ = make_runtime(says("ok"), plugins={"seen": seen}, clock=seen.clock)
    runtime.run(make_turn(runtime))
    assert seen.spans == []
    assert runtime.observer_errors == {}


def test_times_are_those_of_the_wall_clock_even_when_it_is_set(seen: Seen) -> None:
    """Durations come from the monotonic clock, dates from the other."""
    seen.observer.observe(finished())
    before = seen.spans[0]
    assert before.end_time is not None
    assert before.start_time is not None
    assert before.end_time / 1e9 == pytest.approx(seen.clock.time())
    assert (before.end_time - before.start_time) / 1e9 == pytest.approx(0.25)
