"""Spans of turns, model calls and tools: names, kinds, parents, attributes, status, events."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode
from support import Toolkit, asks, failure, make_runtime, says, tool
from telemetry_seen import REQUEST, TRACE, UNSET, Seen, happened, own, parent, said, status

from rom_core.errors import ModelRefused, ModelThrottled
from rom_core.markers import hookimpl
from rom_core.turn import Attempt
from rom_core.turn_values import ModelReply, TryAgain, Usage

FIRST, SECOND = "global.anthropic.first-v1:0", "global.anthropic.second-v1:0"


class Persistent:
    """Tries the same model again after two seconds, then the second one."""

    @hookimpl
    def rom_model_failed(self, attempt: Attempt) -> TryAgain:
        return TryAgain(2.0) if attempt.number == 1 else TryAgain(0.0, "anthropic.second")


def throttled(**more: Any) -> Any:
    """Bedrock says 429."""
    return failure(ModelThrottled, kind="throttled", http_status=429, aws_code="ThrottlingException", **more)


def test_retries_and_the_fallback_are_events_of_one_chat_span(seen: Seen) -> None:
    """One span for the logical call: the model that was asked names it, the one that answered is in it."""
    answer = ModelReply(({"text": "ok"},), "end_turn", "anthropic.second", Usage(10, 5, 100, 30))
    _, turn = seen.run(throttled(aws_request_id="aws-1"), throttled(), answer, plugins={"persistent": Persistent()})
    chat, agent = seen.spans
    assert (chat.name, chat.kind, status(chat)) == (f"chat {FIRST}", SpanKind.CLIENT, UNSET)
    assert parent(chat) == own(agent) == turn.span.id
    error = {"error.type": "throttled"}
    wire = {"http.response.status_code": 429, "rom.upstream.code": "ThrottlingException"}
    first = {"rom.model": "anthropic.first", "gen_ai.request.model": FIRST, "rom.attempt.duration": 0.0}
    second = {"rom.model": "anthropic.second", "gen_ai.request.model": SECOND, "rom.attempt.duration": 0.0}
    failed = {"rom.attempt.outcome": "throttled", **wire, **error}
    assert happened(chat) == [
        ("rom.attempt.finished", {"rom.attempt.number": 1, **first, **failed, "aws.request_id": "aws-1"}),
        ("rom.retry.scheduled", {"rom.model": "anthropic.first", "rom.retry.after": 2.0, **error}),
        ("rom.attempt.finished", {"rom.attempt.number": 2, **first, **failed}),
        ("rom.retry.scheduled", {"rom.model": "anthropic.second", "rom.retry.after": 0.0, **error}),
        ("rom.fallback.used", {"rom.model.from": "anthropic.first", "rom.model.to": "anthropic.second"}),
        ("rom.attempt.finished", {"rom.attempt.number": 3, **second, "rom.attempt.outcome": "ok"}),
    ]
    assert said(chat) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "aws.bedrock",
        "gen_ai.request.model": FIRST,
        "gen_ai.response.model": SECOND,
        "gen_ai.conversation.id": "conv-1",
        "gen_ai.request.stream": True,
        "gen_ai.request.max_tokens": 4096,
        "gen_ai.response.finish_reasons": ("end_turn",),
        "gen_ai.response.time_to_first_chunk": 2.0,
        # What the cache had and got is part of the input.
        "gen_ai.usage.input_tokens": 140,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 100,
        "gen_ai.usage.cache_write.input_tokens": 30,
        "server.address": "bedrock-runtime.us-west-2.amazonaws.com",
        "server.port": 443,
        "rom.iteration": 1,
        "rom.model_requests": 3,
    }
    assert chat.start_time is not None
    assert chat.end_time is not None
    assert chat.end_time - chat.start_time == 2_000_000_000


def test_a_turn_is_a_span_below_its_request(seen: Seen) -> None:
    """With the usage of all its calls; without what v0.1.0 removed: provider, agent id, version, cache."""
    runtime, turn = seen.run(
        asks(("look", {})), says("ok"), plugins={"kit": Toolkit(tool())}, request={"key_name": "ana"}
    )
    agent = seen.span("invoke_agent")
    assert (agent.name, agent.kind, status(agent)) == ("invoke_agent rom-agent", SpanKind.INTERNAL, UNSET)
    assert (f"{agent.context.trace_id:032x}", parent(agent)) == (TRACE, REQUEST.id)
    assert said(agent) == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "rom-agent",
        "gen_ai.conversation.id": "conv-1",
        "gen_ai.request.model": FIRST,
        "gen_ai.response.finish_reasons": ("end_turn",),
        "gen_ai.usage.input_tokens": 20,
        "gen_ai.usage.output_tokens": 10,
        "rom.turn.id": turn.id,
        "rom.request.id": "req",
        "rom.route": "",
        "rom.cohort": "stable",
        "rom.mode": "standard",
        "rom.stream": False,
        "rom.flags_version": runtime.current.version,
        "rom.iterations": 2,
        "rom.model_requests": 2,
        "rom.degraded": False,
        "rom.api_key": "ana",
        "rom.status": "ok",
    }
    assert [span.name.split()[0] for span in seen.spans] == ["chat", "execute_tool", "chat", "invoke_agent"]
    assert {parent(span) for span in seen.spans[:3]} == {own(agent)}


def test_a_failure_shows_on_the_call_and_on_its_turn(seen: Seen) -> None:
    """Status ERROR with the kind of the failure; no text of anybody's in the description."""
    seen.run(failure(ModelRefused, kind="access_denied", http_status=403, upstream_message="the secret"))
    chat, agent = seen.spans
    for span in (chat, agent):
        assert status(span) == (StatusCode.ERROR, "access_denied")
        assert said(span)["error.type"] == "access_denied"
        assert said(span)["gen_ai.response.finish_reasons"] == ("error",)
        assert "the secret" not in str(span.to_json())
    assert said(agent)["rom.status"] == "error"
    assert "gen_ai.response.model" not in said(chat)


def test_an_unforeseen_exception_is_an_internal_error(seen: Seen) -> None:
    """Of the plugin's own code, for example: the class and the text stay in the log."""

    class Defect:
        @hookimpl
        def rom_model_call(self) -> None:
            raise ZeroDivisionError("the secret")

    seen.run(plugins={"defect": Defect()})
    assert [status(span) for span in seen.spans] == [(StatusCode.ERROR, "internal_error")] * 2


def test_a_client_that_left_has_not_failed(seen: Seen) -> None:
    """`error.type` tells it, the status stays unset."""

    def leaves(attempt: Attempt, _request: dict[str, Any]) -> ModelReply:
        attempt.turn.cancel.cancel("client_gone")
        attempt.turn.check()
        raise AssertionError

    seen.run(leaves)
    for span in seen.spans:
        assert (status(span), said(span)["error.type"]) == (UNSET, "cancelled")
    assert happened(seen.span("chat"))[0][1]["rom.attempt.outcome"] == "cancelled"


@pytest.mark.parametrize(
    ("asked", "name", "error"),
    [
        (("look", {}), "look", None),
        (("fails", {}), "fails", "failed"),
        (("typed", {"q": 1}), "typed", "invalid_input"),
        (("eu inventei", {}), "unknown", "unknown_tool"),
    ],
)
def test_a_tools_run_is_a_span(seen: Seen, asked: tuple[str, dict[str, Any]], name: str, error: str | None) -> None:
    """Named after the tool, never after what a model made up; an error result is a failed span."""

    def fails(*_: Any) -> None:
        raise ValueError("the secret")

    typed = {"type": "object", "properties": {"q": {"type": "string"}}}
    kit = Toolkit(tool(), tool("fails", fails), tool("typed", input_schema=typed))
    seen.run(asks(asked), says("ok"), plugins={"kit": kit})
    span = seen.span("execute_tool")
    expected: dict[str, Any] = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": name,
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": "t1",
        "rom.iteration": 1,
    }
    assert (span.name, span.kind) == (f"execute_tool {name}", SpanKind.INTERNAL)
    assert said(span) == (expected if error is None else expected | {"error.type": error})
    assert status(span) == (UNSET if error is None else (StatusCode.ERROR, error))


def test_a_tool_that_the_turns_end_cuts_off_has_its_span_too(seen: Seen) -> None:
    """Its result is never known; the turn's end is its end."""
    runtime, _ = make_runtime(clock=seen.clock)

    def leaves(_value: Any, context: Any) -> str:
        context.cancel.cancel("client_gone")
        return "too late"

    seen.run(asks(("look", {})), says("ok"), plugins={"kit": Toolkit(tool(run=leaves))})
    assert said(seen.span("execute_tool"))["error.type"] == "cancelled"
    assert status(seen.span("execute_tool")) == UNSET
    runtime.stop()


def test_what_goes_out_names_the_span_that_asks(seen: Seen) -> None:
    """A tool's `traceparent` has the id of its span."""
    sent: list[str] = []

    def look(_value: Any, context: Any) -> str:
        sent.append(context.trace_headers["traceparent"])
        return "ok"

    seen.run(asks(("look", {}), ("look", {})), says("ok"), plugins={"kit": Toolkit(tool(run=look))})
    spans = [span for span in seen.spans if span.name == "execute_tool look"]
    assert sorted(sent) == sorted(f"00-{TRACE}-{own(span)}-01" for span in spans)
