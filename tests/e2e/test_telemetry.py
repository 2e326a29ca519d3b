"""Telemetry of a real server, as it arrives at a receiver of OTLP."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest
import requests
from e2e.serving import RomServer, serving, until
from telemetry_support import Receiver, SpanSeen, receiving

from local_bedrock import LocalBedrock
from rom_core import __version__

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADERS = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
SONNET = "global.anthropic.claude-sonnet-4-5-20250929-v1:0"
HAIKU = "global.anthropic.claude-haiku-4-5-20251001-v1:0"
SOON = {"OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_METRIC_EXPORT_INTERVAL": "200"}


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """A receiver that takes everything."""
    with receiving() as running:
        yield running


@pytest.fixture(scope="module")
def server(bedrock: LocalBedrock, receiver: Receiver) -> Iterator[RomServer]:
    """A server with telemetry, which retries at once."""
    with serving(
        BEDROCK_ENDPOINT_URL=bedrock.url,
        TELEMETRY_ENABLED="true",
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        OTEL_RESOURCE_ATTRIBUTES="team=juridico",
        RETRY_BACKOFF_SECONDS="[0.01, 0.01, 0.01]",
        **SOON,
    ) as running:
        yield running


@pytest.fixture
def traced(receiver: Receiver) -> Callable[[str], list[SpanSeen]]:
    """The spans of a trace, once that of the request has come."""

    def spans(trace_id: str) -> list[SpanSeen]:
        def all_of_it() -> list[SpanSeen]:
            found = [span for span in receiver.spans() if span.trace_id == trace_id]
            return found if any(span.kind == "SERVER" for span in found) else []

        until(all_of_it)
        return all_of_it()

    return spans


def tree(spans: list[SpanSeen]) -> dict[str, list[str]]:
    """The names of the children of each name."""
    names = {span.span_id: span.name for span in spans}
    found: dict[str, list[str]] = {}
    for span in spans:
        found.setdefault(names.get(span.parent_id, span.parent_id), []).append(span.name)
    return found


def test_a_turn_with_a_tool_is_one_tree(
    server: RomServer, bedrock: LocalBedrock, traced: Callable[[str], list[SpanSeen]]
) -> None:
    """Request, turn, model calls and tool, each with its name, kind and parent; the caller's trace goes on."""
    bedrock.reset()
    answer = server.chat("0001234-08.2023.8.26.0100 é válido?", headers=HEADERS, conversation_id="c-1").json()
    spans = traced(TRACE)
    agent = "invoke_agent rom-agent"
    (tool,) = [call["name"] for call in answer["tool_calls"]]
    assert tree(spans) == {
        CALLER: ["POST /api/chat"],
        "POST /api/chat": [agent],
        agent: [f"chat {SONNET}", f"execute_tool {tool}", f"chat {SONNET}"],
    }
    by_name = {span.name: span for span in spans}
    assert {span.name: span.kind for span in spans} == {
        "POST /api/chat": "SERVER",
        agent: "INTERNAL",
        f"chat {SONNET}": "CLIENT",
        f"execute_tool {tool}": "INTERNAL",
    }
    assert {(span.status, span.description) for span in spans} == {("UNSET", "")}
    for span in spans:
        assert span.resource["service.name"] == "rom-agent"
        assert span.resource["service.version"] == __version__
        assert span.resource["deployment.environment.name"] == "development"
        assert span.resource["service.instance.id"]
        assert span.resource["team"] == "juridico"
    (first, last) = [span for span in spans if span.name.startswith("chat")]
    # What went to Bedrock names the span that asked.
    sent = [{key.lower(): value for key, value in request.headers.items()} for request in bedrock.requests]
    assert [headers["traceparent"] for headers in sent] == [f"00-{TRACE}-{span.span_id}-01" for span in (first, last)]
    said = by_name[agent].attributes
    usage = answer["usage"]
    total = usage["input_tokens"] + usage["cache_read_tokens"] + usage["cache_write_tokens"]
    assert (
        said.items()
        >= {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": "rom-agent",
            "gen_ai.conversation.id": "c-1",
            "gen_ai.response.finish_reasons": ["end_turn"],
            "gen_ai.usage.input_tokens": total,
            "gen_ai.usage.output_tokens": usage["output_tokens"],
            "rom.iterations": 2,
        }.items()
    )


def test_a_turn_that_fails_after_retries_and_fallback(
    server: RomServer, bedrock: LocalBedrock, traced: Callable[[str], list[SpanSeen]]
) -> None:
    """Request, turn and model call are failed spans; what was tried is told by the events of the call."""
    bedrock.reset()
    trace = "a" * 32
    answer = server.chat("[[fault=500]] conte", headers={"traceparent": f"00-{trace}-{CALLER}-01"})
    assert answer.status_code >= 500
    code = answer.json()["code"]
    spans = {span.name.split()[0]: span for span in traced(trace)}
    assert {name: s.status for name, s in spans.items()} == dict.fromkeys(("POST", "invoke_agent", "chat"), "ERROR")
    assert (spans["POST"].description, spans["POST"].attributes["http.response.status_code"]) == (
        code,
        answer.status_code,
    )
    kind = spans["chat"].attributes["error.type"]
    assert spans["chat"].description == spans["invoke_agent"].description == kind
    events = spans["chat"].events
    attempts = [said for name, said in events if name == "rom.attempt.finished"]
    assert len(attempts) == len(bedrock.requests)
    assert {said["rom.attempt.outcome"] for said in attempts} >= {"server_error"}
    assert [said["rom.attempt.number"] for said in attempts] == list(range(1, len(attempts) + 1))
    assert "rom.retry.scheduled" in dict(events)
    assert "rom.fallback.used" in dict(events)


def test_a_retried_turn_went_well(
    server: RomServer, bedrock: LocalBedrock, traced: Callable[[str], list[SpanSeen]]
) -> None:
    """One chat span, whose events say what the first request came to; streamed, too."""
    bedrock.reset()
    trace = "b" * 32
    stream = server.chat(
        "[[fault=429]] [[times=1]] [[say=pronto]] conte",
        headers={"traceparent": f"00-{trace}-{CALLER}-01"},
        stream=True,
    )
    assert "event: done" in stream.text
    (chat,) = [span for span in traced(trace) if span.name.startswith("chat")]
    assert (chat.status, chat.attributes["gen_ai.request.stream"]) == ("UNSET", True)
    outcomes = [said["rom.attempt.outcome"] for name, said in chat.events if name == "rom.attempt.finished"]
    assert outcomes == ["throttled", "ok"]


def test_metrics_arrive_too(server: RomServer, receiver: Receiver) -> None:
    """Under the names of v0.1.0, and no older one."""
    assert server.chat("[[say=um]] oi").ok
    assert until(lambda: "gen_ai.invoke_agent.duration" in receiver.metrics())
    names = receiver.metrics().keys()
    assert names >= {"gen_ai.client.inference.duration", "gen_ai.client.inference.usage.input_tokens"}
    assert not names & {"gen_ai.client.operation.duration", "gen_ai.client.token.usage"}
    assert all(name.startswith("gen_ai.") for name in names)


def test_an_administrators_request_shows_what_it_did_in_the_store(bedrock: LocalBedrock, receiver: Receiver) -> None:
    """And telemetry that is switched on while the server runs needs no restart."""
    admin = {"Authorization": f"Bearer {'a' * 24}"}
    with serving(
        BEDROCK_ENDPOINT_URL=bedrock.url,
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        ADMIN_TOKEN=f"ops={'a' * 24}",
        **SOON,
    ) as running:
        for data in ({"TELEMETRY_ENABLED": "on"}, {"MAX_TOKENS": "1000"}):
            answer = requests.post(f"{running.url}/admin/reload-flags", data=data, headers=admin, timeout=60)
            assert answer.ok, answer.text
        trace = answer.headers["X-Trace-Id"]
        assert until(lambda: any(s.trace_id == trace and s.kind == "SERVER" for s in receiver.spans()))
        spans = [span for span in receiver.spans() if span.trace_id == trace]
        children = tree(spans)["POST /admin/reload-flags"]
        assert "store write" in children
        assert set(children) <= {"store read", "store write"}
        assert {span.attributes["db.system.name"] for span in spans if span.name == "store write"} == {"sqlite"}


@pytest.mark.parametrize("trouble", ["hangs", "refuses", "fails"])
def test_a_backend_in_trouble_costs_nobody_a_turn(bedrock: LocalBedrock, trouble: str) -> None:
    """Turns are answered, what is lost is counted and logged, and the server stops all the same."""
    with receiving() as backend:
        url = backend.url
        if trouble == "hangs":
            backend.open.clear()
        elif trouble == "fails":
            backend.answers[:] = [500]
        else:
            with socket.socket() as taken:
                taken.bind(("127.0.0.1", 0))
                url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with serving(
            BEDROCK_ENDPOINT_URL=bedrock.url,
            TELEMETRY_ENABLED="true",
            OTEL_EXPORTER_OTLP_ENDPOINT=url,
            OTEL_EXPORTER_OTLP_TIMEOUT="1",
            OTEL_BSP_MAX_QUEUE_SIZE="4",
            OTEL_BSP_MAX_EXPORT_BATCH_SIZE="2",
            **SOON,
        ) as running:
            assert all(running.chat(f"[[say=um]] oi {number}").ok for number in range(10))

            def lost() -> float:
                return sum(
                    float(line.split()[-1])
                    for line in running.get("/metrics").text.splitlines()
                    if line.startswith("rom_telemetry_spans_dropped_total")
                )

            assert until(lambda: lost() > 0)
            assert 'rom_observer_errors_total{hook="rom_event",plugin="telemetry"} 0.0' in running.get("/metrics").text
            running.signal()
            assert running.wait(60) == 0
        assert [line for line in running.lines if '"telemetry.' in line and '"warning"' in line]
        assert backend.spans() == []
