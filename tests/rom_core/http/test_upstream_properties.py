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
from support import NOWHERE, Toolkit, tool

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
from rom_core.settings import CORE_SETTINGS, load_settings
from rom_core.turn import Attempt
from rom_core.turn_values import ChatRequest, ModelReply, Usage

ROWS = [
    row
    for row in load_settings(CORE_SETTINGS, root=NOWHERE, environ={"ROM_ENV": "testing"}).models.values()
    if not row.end_of_life
]
ALIASES = [row.alias for row in ROWS]

NAMES = st.sampled_from(["look", "search", "final_answer"])
IDS = st.sampled_from(["t1", "t2", "call with space", "x" * 70])
TEXTS = st.sampled_from(["sim", "", " ", "{}", '{"a": 1}', '{"a": "x"}', "```json\n{}\n```", "\ud83d", "não " * 9])
PLAIN_TEXTS = st.sampled_from(["sim", "", " ", "não " * 9])
OBJECTS: Any = st.sampled_from([{}, {"a": 1}, {"a": "x"}, {"q": [1, None]}])
SCHEMAS: Any = st.sampled_from(
    [
        {"type": "object"},
        {"type": "object", "properties": {"a": {"type": "integer", "minimum": 0}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"$ref": "#"}}},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "array", "items": {"type": "string"}},
        {"anyOf": [{"type": "object"}, {"type": "null"}]},
        {},
    ]
)
NATIVE: Any = {
    "type": "json_schema",
    "json_schema": {
        "name": "a b",
        "schema": {"type": "object", "properties": {"a": {"type": "integer", "minimum": 0}}, "required": ["a"]},
    },
}
FORMATS = st.one_of(
    st.just(NATIVE),
    st.just({"type": "json_object"}),
    SCHEMAS.map(lambda schema: {"type": "json_schema", "json_schema": {"name": "a b", "schema": schema}}),
)
SAMPLING = {"temperature": st.sampled_from([0, 0.5, 1]), "max_tokens": st.sampled_from([1, 2000, 1_000_000])}


def name_of(tool: dict[str, Any]) -> str:
    """A tool's name, which is unique."""
    return str(tool["name"])


FUNCTIONS = st.fixed_dictionaries({"name": NAMES}, optional={"parameters": SCHEMAS, "description": PLAIN_TEXTS})
CALLS = st.lists(
    st.builds(
        lambda number, name, given: {"id": number, "type": "function", "function": {"name": name, "arguments": given}},
        IDS,
        NAMES,
        st.sampled_from(["{}", '{"a": 1}', "[1", ""]),
    ),
    max_size=2,
)
COMPLETION_MESSAGES = st.one_of(
    st.builds(lambda text: {"role": "user", "content": text}, PLAIN_TEXTS),
    st.builds(lambda text: {"role": "system", "content": text}, PLAIN_TEXTS),
    st.builds(lambda text, calls: {"role": "assistant", "content": text, "tool_calls": calls}, PLAIN_TEXTS, CALLS),
    st.builds(lambda number, text: {"role": "tool", "tool_call_id": number, "content": text}, IDS, PLAIN_TEXTS),
)
LOOK_TOO: Any = {"type": "tool", "name": "look"}
LOOK: Any = {"type": "function", "function": {"name": "look"}}
LOOK_UP: Any = {"type": "function", "function": {"name": "look"}}
COMPLETIONS = st.fixed_dictionaries(
    {"messages": st.lists(COMPLETION_MESSAGES, max_size=5).map(lambda m: [*m, {"role": "user", "content": "fim?"}])},
    optional={
        "model": st.sampled_from(ALIASES),
        "tools": st.lists(FUNCTIONS, max_size=2, unique_by=name_of).map(
            lambda ones: [{"type": "function", "function": one} for one in ones]
        ),
        "tool_choice": st.sampled_from(
            ["auto", "none", "required", {"type": "function", "function": {"name": "look"}}]
        ),
        "response_format": FORMATS,
        "reasoning_effort": st.sampled_from(["none", "minimal", "high"]),
        "top_p": st.sampled_from([0.5, 1]),
        "stop": st.sampled_from(["fim", ["", "x"]]),
        **SAMPLING,
    },
)
CHAT_MESSAGES = st.one_of(
    st.builds(lambda text: {"role": "user", "content": text}, PLAIN_TEXTS),
    st.builds(
        lambda text, uses: {"role": "assistant", "content": text, "tool_uses": uses},
        PLAIN_TEXTS,
        st.lists(st.fixed_dictionaries({"id": st.just("t1"), "name": NAMES, "input": OBJECTS}), max_size=2),
    ),
    st.builds(
        lambda results: {"role": "user", "tool_results": results},
        st.lists(st.fixed_dictionaries({"id": st.sampled_from(["t1", "t2"]), "content": PLAIN_TEXTS}), max_size=2),
    ),
)
CHATS = st.fixed_dictionaries(
    {"message": st.just("fim?")},
    optional={
        "messages": st.lists(CHAT_MESSAGES, max_size=5),
        "model": st.sampled_from(ALIASES),
        "system": PLAIN_TEXTS,
        "tools": st.lists(
            st.fixed_dictionaries({"name": NAMES}, optional={"input_schema": SCHEMAS}),
            max_size=2,
            unique_by=name_of,
        ),
        "tool_choice": st.sampled_from(["auto", "any", "none", {"name": "look"}]),
        "server_tools": st.booleans(),
        "show_thinking": st.booleans(),
        "response_format": FORMATS,
        **SAMPLING,
    },
)
MESSAGE_BLOCKS: dict[str, Any] = {
    "user": st.one_of(
        PLAIN_TEXTS.map(lambda text: {"type": "text", "text": text}),
        IDS.map(lambda number: {"type": "tool_result", "tool_use_id": number, "content": "found"}),
        IDS.map(lambda number: {"type": "tool_result", "tool_use_id": number, "is_error": True}),
    ),
    "assistant": st.one_of(
        PLAIN_TEXTS.map(lambda text: {"type": "text", "text": text}),
        st.builds(lambda i, name, has: {"type": "tool_use", "id": i, "name": name, "input": has}, IDS, NAMES, OBJECTS),
        st.sampled_from(
            [
                {"type": "thinking", "thinking": "hm", "signature": "another model's"},
                {"type": "thinking", "thinking": "hm"},
                {"type": "redacted_thinking", "data": "c2VjcmV0"},
            ]
        ),
    ),
}
MESSAGES = st.fixed_dictionaries(
    {
        "model": st.sampled_from(ALIASES),
        "max_tokens": st.sampled_from([1, 2000, 200_000]),
        "messages": st.lists(
            st.sampled_from(["user", "assistant"]).flatmap(
                lambda role: st.builds(
                    lambda blocks: {"role": role, "content": blocks}, st.lists(MESSAGE_BLOCKS[role], max_size=3)
                )
            ),
            max_size=5,
        ).map(lambda messages: [*messages, {"role": "user", "content": "fim?"}]),
    },
    optional={
        "tools": st.lists(
            st.fixed_dictionaries({"name": NAMES, "input_schema": SCHEMAS}),
            max_size=2,
            unique_by=name_of,
        ),
        "tool_choice": st.sampled_from(
            [{"type": "auto"}, {"type": "any"}, {"type": "none"}, {"type": "tool", "name": "look"}]
        ),
        "thinking": st.sampled_from(
            [
                {"type": "enabled", "budget_tokens": 1024},
                {"type": "adaptive", "display": "summarized"},
                {"type": "disabled"},
                {"type": "between_tools"},
            ]
        ),
        "output_config": st.fixed_dictionaries(
            {},
            optional={
                "effort": st.sampled_from(["low", "max"]),
                "format": SCHEMAS.map(lambda schema: {"type": "json_schema", "schema": schema}),
            },
        ),
        "temperature": st.sampled_from([0, 1]),
        "top_p": st.sampled_from([0.5, 1]),
        "stop_sequences": st.just(["fim", " "]),
    },
)
MEDIA: Any = st.sampled_from(
    [
        {"image": {"format": "png", "source": {"bytes": b"PNG"}}},
        {"document": {"name": "a", "format": "pdf", "source": {"bytes": b"PDF"}}},
    ]
)
THOUGHTS: Any = st.sampled_from(
    [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "another model's"}}},
        {"reasoningContent": {"redactedContent": b"secret"}},
    ]
)
USES = st.builds(
    lambda number, name, given: {"toolUse": {"toolUseId": number, "name": name, "input": given}}, IDS, NAMES, OBJECTS
)
PARTS = st.one_of(
    TEXTS.map(lambda text: {"text": text}),
    USES,
    st.sampled_from(["shown", "hidden", "redacted"]).map(lambda how: {"thought": how}),
)
REPLIES = st.tuples(
    st.lists(PARTS, max_size=4),
    st.sampled_from(["end_turn", "tool_use", "tool_use", "max_tokens", "content_filtered"]),
)
BODIES = st.one_of(
    st.tuples(st.just("/v1/chat/completions"), COMPLETIONS),
    st.tuples(st.just("/api/chat"), CHATS),
    st.tuples(st.just("/v1/messages"), MESSAGES),
)
STEPS = st.lists(REPLIES | st.none(), min_size=1, max_size=8)


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
