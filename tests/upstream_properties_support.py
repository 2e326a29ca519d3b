"""Bodies of the chat routes and replies of models in any combination, for properties."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from support import NOWHERE

from rom_core.settings import CORE_SETTINGS, load_settings

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
