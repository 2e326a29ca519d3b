"""Ids on their way: W3C traceparent in and out, and in the log lines of every thread that works for a request."""

from __future__ import annotations

import re
from typing import Any

import falcon.testing
import pytest
import structlog
from support import Toolkit, asks, make_runtime, make_turn, says, tool

from local_bedrock import LocalBedrock
from rom_core.bedrock.wire import Wire
from rom_core.concurrency.cancel import CancelToken, Deadline
from rom_core.concurrency.clock import FakeClock, SystemClock
from rom_core.http.app import create_app
from rom_core.telemetry.tracing import traceparent
from rom_core.tools import ToolContext

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = re.compile(rf"00-{TRACE}-(?!0{{16}})[0-9a-f]{{16}}-01")


@pytest.mark.parametrize("trace_id", ["", "trace", "0" * 32, TRACE.upper(), TRACE + "0"])
def test_no_header_without_a_valid_trace_id(trace_id: str) -> None:
    """An invalid header would make every receiver start a trace of its own."""
    assert traceparent(trace_id) == ""


def test_every_outgoing_request_is_a_span_of_its_own() -> None:
    """The trace id stays, the parent id is new each time and never all zero."""
    headers = {traceparent(TRACE) for _ in range(100)}
    assert len(headers) == 100
    assert all(PARENT.fullmatch(header) for header in headers)


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        (f"00-{TRACE}-00f067aa0ba902b7-01", True),
        (f"00-{TRACE}-00f067aa0ba902b7-00", True),
        (f"01-{TRACE}-00f067aa0ba902b7-01-more", True),
        (f"00-{TRACE}-00f067aa0ba902b7-01-more", False),
        (f"00-{TRACE}-00f067aa0ba902b7-01-", False),
        (f"ff-{TRACE}-00f067aa0ba902b7-01", False),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE.upper()}-00f067aa0ba902b7-01", False),
        ("nonsense", False),
    ],
)
def test_an_incoming_traceparent_is_kept_if_it_is_valid(header: str, kept: bool) -> None:
    """The trace goes on, on an answer of 404 as on any, and log lines say who began it; else a new one begins."""
    runtime, _ = make_runtime()
    client = falcon.testing.TestClient(create_app(runtime))
    answer = client.simulate_get("/nowhere", headers={"traceparent": header})
    assert answer.status_code == 404
    assert (answer.headers["X-Trace-Id"] == TRACE) is kept
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Trace-Id"])
    assert structlog.contextvars.get_contextvars().get("trace_id_from") == ("client" if kept else None)
    assert answer.json["trace_id"] == answer.headers["X-Trace-Id"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("case-7.b_C", True),
        ("a" * 64, True),
        ("a" * 65, False),
        ("a b", False),
        ("é", False),
        ('"{}"', False),
        ("", False),
    ],
)
def test_an_incoming_request_id_is_kept_if_it_is_short_and_plain(given: str, kept: bool) -> None:
    """What goes into logs and headers is at most 64 letters, digits, dots, dashes and underscores."""
    runtime, _ = make_runtime()
    client = falcon.testing.TestClient(create_app(runtime))
    answer = client.simulate_get("/health", headers={"X-Request-Id": given.encode().decode("latin-1")})
    assert (answer.headers["X-Request-Id"] == given) is kept
    assert answer.headers["X-Request-Id"] == answer.headers["request-id"]


LONGEST = ",".join(["a=" + "v" * 253, "b=" + "w" * 254])


@pytest.mark.parametrize(
    ("parent", "state", "kept"),
    [
        ("01", "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7", True),
        ("01", "fw529a3039@dt=FfAAAA ,\t, 1vendor_*/-=a b!", True),
        ("01", LONGEST, True),
        ("01", LONGEST + "w", False),
        ("01", ",".join(f"k{number}=v" for number in range(32)), True),
        ("01", ",".join(f"k{number}=v" for number in range(33)), False),
        ("01", "a=1,a=2", False),
        ("01", "a=1,b", False),
        ("01", "A=1", False),
        ("01", "a=b=c", False),
        ("01", "a=é", False),
        ("01", "a=", False),
        ("01", ",", False),
        ("nonsense", "congo=t61rcWkgMzE", False),
    ],
)
def test_an_incoming_tracestate_goes_on_to_tools_along_a_valid_traceparent(parent: str, state: str, kept: bool) -> None:
    """Unchanged, if it is well formed and has at most 512 characters; without a valid parent it says nothing."""
    seen: list[dict[str, str]] = []

    def look(_value: Any, context: ToolContext) -> str:
        seen.append(dict(context.trace_headers))
        return "ok"

    runtime, _ = make_runtime(asks(("look", {})), says("ok"), plugins={"kit": Toolkit(tool(run=look))})
    client = falcon.testing.TestClient(create_app(runtime))
    headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-{parent}", "tracestate": state.encode().decode("latin-1")}
    assert client.simulate_post("/api/chat", json={"message": "question"}, headers=headers).status_code == 200
    (sent,) = seen
    assert sent.get("tracestate") == (state if kept else None)
    assert PARENT.fullmatch(sent["traceparent"]) or parent == "nonsense"


def test_a_run_without_a_trace_sends_no_header_of_one() -> None:
    """A tracestate alone is invalid, and so is an empty traceparent."""
    context = ToolContext(Deadline(FakeClock(), 1.0), CancelToken(), settings=None, trace_id="", tracestate="a=1")
    assert context.trace_headers == {}


def test_ids_follow_the_turn_into_the_threads_of_tools() -> None:
    """A tool's thread logs with the ids of its turn, and hands them on as traceparent; afterwards they are gone."""
    seen: list[tuple[dict[str, Any], str]] = []

    def look(_value: Any, context: ToolContext) -> str:
        assert context.traceparent == context.traceparent
        seen.append((structlog.contextvars.get_contextvars(), context.traceparent))
        return "ok"

    runtime, _ = make_runtime(asks(("look", {}), ("look", {})), says("ok"), plugins={"kit": Toolkit(tool(run=look))})
    turn = make_turn(runtime)
    turn.trace_id = TRACE
    runtime.run(turn)
    assert [bound for bound, _ in seen] == [
        {"trace_id": TRACE, "request_id": "req", "turn_id": turn.id, "cohort": "stable"}
    ] * 2
    assert all(PARENT.fullmatch(header) for _, header in seen)
    assert len({header for _, header in seen}) == 2
    assert structlog.contextvars.get_contextvars() == {}


def test_the_ids_of_one_request_do_not_reach_the_next_one_in_the_same_thread() -> None:
    """Server threads are reused: what is bound is cleared at the start of a request."""
    runtime, _ = make_runtime()
    client = falcon.testing.TestClient(create_app(runtime))
    structlog.contextvars.bind_contextvars(turn_id="of the one before")
    first = client.simulate_get("/health")
    bound = structlog.contextvars.get_contextvars()
    assert bound == {"trace_id": first.headers["X-Trace-Id"], "request_id": first.headers["X-Request-Id"]}


def test_requests_to_the_model_carry_the_trace(bedrock_local: LocalBedrock) -> None:
    """Each request on the wire is a span of the turn's trace, in a header that is not part of the signature."""
    known = {"alias": "anthropic.first", "id": "global.anthropic.claude-sonnet-4-5-20250929-v1:0", "max_tokens": 100}
    known |= {"prompt_caching": False, "price_input": 3.0, "price_output": 15.0}
    runtime, _ = make_runtime(MODELS=[known], MODEL_FALLBACKS=[])
    wire = Wire(runtime.current.settings, SystemClock(), endpoint_url=bedrock_local.url)
    runtime._transport = wire
    try:
        turn = make_turn(runtime, "[[say=ok]]")
        turn.trace_id = TRACE
        runtime.run(turn)
    finally:
        wire.close()
    headers = {name.lower(): value for name, value in bedrock_local.requests[0].headers.items()}
    assert PARENT.fullmatch(headers["traceparent"])
    assert "traceparent" not in headers["authorization"].lower()
