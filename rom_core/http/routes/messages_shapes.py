"""The shapes of Anthropic's Messages API as far as it is served here: requests, messages, counts of tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rom_core.http.body import REFUSAL, BodySchema, nullable
from rom_core.http.routes.chat import CHAT_ANSWER, CHAT_REQUEST, MAX_ALIAS_CHARS
from rom_core.http.routes.openai_shapes import BESIDES
from rom_core.http.routes.parts import ANTHROPIC_MEDIA

_OURS = CHAT_REQUEST.schema["properties"]
_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_UNSUPPORTED = "not supported here"
MAX_TOOLS = 256
# They may stand in a request, and change nothing here; the answer names them.
IGNORED = ("cache_control", "context_management", "diagnostics", "service_tier", "speed", "top_k", "user_profile_id")
IGNORED_OF_BLOCK = ("cache_control",)
IGNORED_OF_TOOL = (
    "allowed_callers",
    "cache_control",
    "defer_loading",
    "eager_input_streaming",
    "input_examples",
    "strict",
)


def _ignored(names: tuple[str, ...]) -> dict[str, Any]:
    return {name: {"description": "changes nothing here"} for name in names}


_NAME = {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,64}$"}
_ID = {"type": "string", "minLength": 1, "maxLength": 256}
Kinds = Mapping[str, tuple[Mapping[str, Any], tuple[str, ...]]]


def _block(kinds: Kinds) -> dict[str, Any]:
    """A block of one of these types, each with its own fields and nobody else's."""
    rules = []
    for kind, (fields, required) in kinds.items():
        known = {"type": {}, **fields, **_ignored(IGNORED_OF_BLOCK)}
        rules.append(
            {
                "if": {"required": ["type"], "properties": {"type": {"enum": [kind]}}},
                "then": {"required": list(required), "additionalProperties": False, "properties": known},
            }
        )
    refusal = f"must be one of {', '.join(kinds)}"
    return {
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"enum": list(kinds), REFUSAL: refusal}},
        "allOf": rules,
    }


def _content(kinds: Kinds) -> dict[str, Any]:
    return {"type": ["string", "array"], "items": _block(kinds), REFUSAL: "must be text, or a list of blocks"}


_CITATIONS = nullable({"type": "array", "description": "of an answer that is sent back"})
_TEXT_KINDS: Kinds = {"text": ({"text": _TEXT, "citations": _CITATIONS}, ("text",))}
_TEXTS = _content(_TEXT_KINDS)
_RESULTS = _content({**_TEXT_KINDS, **ANTHROPIC_MEDIA})
_RESULT = {"tool_use_id": _ID, "content": nullable(_RESULTS), "is_error": nullable({"type": "boolean"})}
_KINDS: Kinds = {
    **_TEXT_KINDS,
    **ANTHROPIC_MEDIA,
    "tool_use": ({"id": _ID, "name": _NAME, "input": {"type": "object"}, "caller": {}}, ("id", "name", "input")),
    "tool_result": (_RESULT, ("tool_use_id",)),
    "thinking": ({"thinking": _TEXT, "signature": nullable(_TEXT)}, ("thinking",)),
    "redacted_thinking": ({"data": _TEXT}, ("data",)),
}
_MESSAGE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["role", "content"],
    "properties": {"role": {"enum": ["user", "assistant", "system"]}, "content": _content(_KINDS)},
}
_TOOL = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "input_schema"],
    "properties": {
        "type": nullable({"enum": ["custom"], REFUSAL: "only tools with a schema of the client's are served"}),
        "name": _NAME,
        "description": nullable(_TEXT),
        "input_schema": {"type": "object", "description": "a JSON Schema of type object"},
        **_ignored(IGNORED_OF_TOOL),
    },
}
_TOOL_CHOICE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["type"],
    "properties": {
        "type": {"enum": ["auto", "any", "tool", "none"]},
        "name": _NAME,
        "disable_parallel_tool_use": {"type": "boolean"},
    },
}
_THINKING = {
    "type": "object",
    "additionalProperties": False,
    "required": ["type"],
    "properties": {
        "type": {"enum": ["enabled", "adaptive", "disabled", "between_tools"]},
        "budget_tokens": {"type": "integer", "minimum": 1024, "maximum": 1_000_000},
        "display": nullable({"enum": ["summarized", "omitted", "full"]}),
    },
    "description": "what the model thinks is shown then; as far as it takes the setting",
}
_FORMAT = nullable(
    {
        "type": "object",
        "additionalProperties": False,
        "required": ["type", "schema"],
        "properties": {"type": {"enum": ["json_schema"]}, "schema": {"type": "object"}, "name": nullable(_TEXT)},
        "description": "a JSON Schema that the answer satisfies; references lead within it",
    }
)
_NOTHING: Mapping[str, Any] = {"type": "null"}
_CONVERSATION: Mapping[str, Any] = {
    "model": {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_ALIAS_CHARS,
        "description": "an alias of MODELS; `default`: MODEL_PRIMARY",
    },
    "messages": {"type": "array", "minItems": 1, "maxItems": 10_000, "items": _MESSAGE},
    "system": nullable({**_TEXTS, "description": "appended to SYSTEM_PROMPT, never replaces it"}),
    "tools": nullable({"type": "array", "maxItems": MAX_TOOLS, "items": _TOOL}),
    "tool_choice": nullable(_TOOL_CHOICE),
    "thinking": nullable(_THINKING),
    "output_config": nullable(
        {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "effort": nullable({"enum": ["low", "medium", "high", "xhigh", "max"]}),
                "format": _FORMAT,
            },
        }
    ),
    "output_format": _FORMAT,
    "mcp_servers": nullable(
        {"type": "array", "maxItems": 0, REFUSAL: "the server connects to no server that a request names"}
    ),
    "container": {**_NOTHING, REFUSAL: _UNSUPPORTED},
    "inference_geo": {**_NOTHING, REFUSAL: "where models run is the server's setting (DATA_RESIDENCY)"},
    **_ignored(IGNORED),
}
MESSAGE_REQUEST = BodySchema(
    {
        "type": "object",
        "additionalProperties": False,
        "required": ["model", "messages", "max_tokens"],
        "properties": {
            **_CONVERSATION,
            "max_tokens": _OURS["max_tokens"],
            "stream": nullable({"type": "boolean"}),
            "temperature": nullable({**_OURS["temperature"], REFUSAL: "must be a number from 0 to 1"}),
            "top_p": nullable({"type": "number", "exclusiveMinimum": 0, "maximum": 1}),
            "stop_sequences": nullable({"type": "array", "maxItems": 100, "items": _TEXT}),
            "metadata": nullable(
                {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"user_id": nullable({**_TEXT, "maxLength": 256})},
                }
            ),
            "conversation_id": _OURS["conversation_id"],
            "mode": _OURS["mode"],
        },
    }
)
COUNT_REQUEST = BodySchema(
    {
        "type": "object",
        "additionalProperties": False,
        "required": ["model", "messages"],
        "properties": dict(_CONVERSATION),
    }
)
COUNT: Mapping[str, Any] = {
    "type": "object",
    "required": ["input_tokens", "rom"],
    "properties": {
        "input_tokens": _COUNT,
        "rom": {
            "type": "object",
            "required": ["estimated"],
            "properties": {"estimated": {"type": "boolean", "description": "reckoned here: Bedrock did not count"}},
        },
    },
}
STOP_REASONS = (
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "pause_turn",
    "refusal",
    "model_context_window_exceeded",
)
MESSAGE: Mapping[str, Any] = {
    "type": "object",
    "required": [
        "id",
        "type",
        "role",
        "model",
        "content",
        "stop_reason",
        "stop_sequence",
        "stop_details",
        "usage",
        "rom",
    ],
    "properties": {
        "id": _TEXT,
        "type": {"enum": ["message"]},
        "role": {"enum": ["assistant"]},
        "model": {"type": "string", "description": "the alias of the model that answered"},
        "content": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["type"],
                "properties": {"type": {"enum": ["text", "tool_use", "thinking", "redacted_thinking"]}},
            },
        },
        "stop_reason": {"enum": list(STOP_REASONS)},
        "stop_sequence": {"type": ["string", "null"]},
        "stop_details": {"type": ["object", "null"]},
        "usage": {
            "type": "object",
            "required": [
                "input_tokens",
                "output_tokens",
                "cache_creation_input_tokens",
                "cache_read_input_tokens",
                "cache_creation",
            ],
            "properties": {
                "input_tokens": {**_COUNT, "description": "without the cached ones"},
                "output_tokens": _COUNT,
                "cache_creation_input_tokens": _COUNT,
                "cache_read_input_tokens": _COUNT,
                "cache_creation": {
                    "type": "object",
                    "properties": {"ephemeral_5m_input_tokens": _COUNT, "ephemeral_1h_input_tokens": _COUNT},
                },
                "service_tier": {"enum": ["standard"]},
            },
        },
        "rom": {
            "type": "object",
            "description": "what /api/chat tells besides",
            "required": [name for name in BESIDES if name in CHAT_ANSWER["required"]],
            "properties": {name: CHAT_ANSWER["properties"][name] for name in BESIDES},
        },
    },
}
