"""Telemetry of a real server, as it arrives at a receiver of OTLP."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
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
