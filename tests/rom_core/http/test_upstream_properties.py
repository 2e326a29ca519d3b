"""Whatever clients send and models answer, no request goes upstream that the model it goes to would refuse.

Bodies of the chat routes, with tools, results, media, thinking, formats of the answer and sampling in any combination;
replies with tools, reasoning, truncations and failures in any order; the shipped models, each falling back to others.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import jsonschema
import pytest
from conversation_support import as_body
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from resilience import Bench
from support import Toolkit, tool
from upstream_properties_support import ALIASES, BODIES, LOOK, LOOK_UP, MEDIA, NATIVE, ROWS, STEPS, THOUGHTS

from local_bedrock.models import ModelInfo, resolve_model
from local_bedrock.reasoning import signature
from local_bedrock.validation import validate
from rom_core.concurrency.clock import SystemClock
from rom_core.errors import InvalidRequest, ModelRefused, ModelServerError, RomError
from rom_core.http.routes.chat import CHAT_REQUEST, parse_chat
from rom_core.http.routes.messages_request import parse_message
from rom_core.http.routes.messages_shapes import MESSAGE_REQUEST
from rom_core.http.routes.openai_request import parse_completion
from rom_core.http.routes.openai_shapes import COMPLETION_REQUEST
from rom_core.turn import Attempt
from rom_core.turn_values import ChatRequest, ModelReply, Usage


class Model:
    """What stands for Bedrock: it refuses what the local Bedrock refuses, and answers by a plan, signed as it would."""

    def __init__(self) -> None:
        self.plan: list[Any] = []
        self.refusals: list[Any] = []
        self.asked: Counter[str] = Counter()

    def __call__(self, attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        """The next reply of the plan, or a failure of the service."""
        body = as_body(request)
        refusal = validate(request["modelId"], "ConverseStream", body)
        if refusal is not None and "Invalid `signature`" in refusal.message:
            # Only the model can tell what a client brings; the turn goes on without it.
            self.asked["signature"] += 1
            raise ModelRefused(kind="ValidationException", upstream_message=refusal.message)
        if refusal is not None:
            # Told to the test, not raised: a loop that is closed goes on without an answer.
            self.refusals.append((refusal.message, request))
        self.asked.update(_kinds(body))
        step = self.plan.pop(0) if self.plan else ([{"text": "fim"}], "end_turn")
        if step is None:
            raise ModelServerError("", kind="500")
        parts, stop = step
        model = resolve_model(request["modelId"])
        assert isinstance(model, ModelInfo)
        content = [_signed(model, body, part) for part in parts]
        return ModelReply(tuple(content), stop, attempt.model.alias, Usage(1, 1))


def _kinds(body: dict[str, Any]) -> Iterator[str]:
    """What a request holds, for the count."""
    yield "requests"
    yield from {kind for message in body["messages"] for block in message["content"] for kind in block}
    yield from (body.get("toolConfig") or {}).get("toolChoice") or {}
    yield from body.get("outputConfig") or {}
    yield from body["inferenceConfig"]


def _signed(model: ModelInfo, body: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    how = part.get("thought")
    if how is None:
        return part
    if how == "redacted":
        return {"reasoningContent": {"redactedContent": b"secret"}}
    text = {"text": "hm" if how == "shown" else "", "signature": signature(model, body, "hm")}
    return {"reasoningContent": {"reasoningText": text}}


_EVEN_IF_0 = ("sampling", "forced_tool_choice")


@pytest.fixture(scope="module")
def bench() -> Iterator[tuple[Bench, Model]]:
    """A runtime for all examples, with the shipped models, each of which all others may stand in for."""
    model = Model()
    kit = Toolkit(tool("look", lambda value, context: value), tool("broken", lambda value, context: 1 / 0))
    made = Bench(
        model,
        plugins="fallback",
        more={"kit": kit},
        clock=SystemClock(),
        MODELS=[{name: value for name, value in asdict(row).items() if value or name in _EVEN_IF_0} for row in ROWS],
        MODEL_PRIMARY=ALIASES[0],
        MODEL_FALLBACKS=ALIASES[1:],
        MAX_LOOPS_ABSOLUTE=3,
        MAX_MODEL_REQUESTS=3,
    )
    yield made, model
    made.runtime.tool_pool.stop()


def read(path: str, body: dict[str, Any]) -> ChatRequest | None:
    """The request of a body; None for one that a client is told to mend."""
    try:
        if path == "/api/chat":
            CHAT_REQUEST.validate(body)
            return parse_chat(body, "")
        if path == "/v1/messages":
            MESSAGE_REQUEST.validate(body)
            return parse_message(body, "")
        COMPLETION_REQUEST.validate(body)
        return parse_completion(body, "")
    except InvalidRequest:
        return None


# What chance may leave out: a schema that a model takes as it is, and a tool that it is made to use.
@example(
    asked=("/api/chat", {"message": "fim?", "response_format": NATIVE}),
    plan=[([{"text": '{"a": 1}'}], "end_turn")],
    media=[],
    thoughts=[],
)
@example(
    asked=(
        "/v1/chat/completions",
        {"messages": [{"role": "user", "content": "fim?"}], "tools": [LOOK_UP], "tool_choice": LOOK},
    ),
    plan=[([{"text": "sim"}], "end_turn")],
    media=[],
    thoughts=[],
)
@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(asked=BODIES, plan=STEPS, media=st.lists(MEDIA, max_size=2), thoughts=st.lists(THOUGHTS, max_size=2))
def no_request_is_refused(
    bench: tuple[Bench, Model],
    asked: tuple[str, dict[str, Any]],
    plan: list[Any],
    media: list[Any],
    thoughts: list[Any],
) -> None:
    """And each turn ends with an answer, of the form that was asked for, or with an error that has a name."""
    made, model = bench
    path, body = asked
    request = read(path, body)
    if request is None:
        return
    beside = {"user": media, "assistant": thoughts}
    model.asked[path] += 1
    messages = [{**message, "content": [*beside[message["role"]], *message["content"]]} for message in request.messages]
    request = replace(request, messages=tuple(messages))
    model.plan = list(plan)
    model.refusals.clear()
    code = ""
    try:
        result = made.runtime.run(made.runtime.turn(request))
        if request.response_format is not None and not result.tool_uses:
            jsonschema.validate(json.loads(result.reply), request.response_format.schema)
    except RomError as error:
        code = error.code
    assert model.refusals == []
    assert code in ("", "invalid_output", "upstream_unavailable", "invalid_request")


def test_no_request_is_refused(bench: tuple[Bench, Model]) -> None:
    """And the examples hold what they are about: a property of nothing would hold of anything."""
    no_request_is_refused(bench)
    asked = bench[1].asked
    assert all(asked[path] > 40 for path in ("/v1/chat/completions", "/api/chat", "/v1/messages")), asked
    assert asked["requests"] > 400
    for kind in (
        "toolUse",
        "reasoningContent",
        "image",
        "document",
        "any",
        "tool",
        "textFormat",
        "temperature",
        "stopSequences",
    ):
        assert asked[kind], (kind, asked)
