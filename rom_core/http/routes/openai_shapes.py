"""The shapes of OpenAI's API as far as it is served here: requests, completions, models.

What cannot be honoured is in the schema with the reason for its refusal; a value that asks for nothing (`n: 1`,
`logprobs: false`, null) may stand; so may what changes nothing here, and the answer names it. Three fields are
ours: `conversation_id`, `mode` and `citations`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rom_core.http.body import REFUSAL, BodySchema, nullable
from rom_core.http.routes.chat import CHAT_ANSWER, CHAT_REQUEST, MAX_ALIAS_CHARS, NEEDS_TEXT, OBJECT_SCHEMA
from rom_core.http.routes.openai_checks import contradictions
from rom_core.http.routes.parts import OPENAI_MEDIA, OPENAI_RULES
from rom_core.structured import RESPONSE_FORMAT

_OURS = CHAT_REQUEST.schema["properties"]


def _only(allowed: Mapping[str, Any], reason: str) -> dict[str, Any]:
    """A field of OpenAI's API that may have these values, which ask for nothing, and no other."""
    return nullable({**allowed, REFUSAL: reason})


_NOTHING: Mapping[str, Any] = {"type": "null"}
_EMPTY_LIST = {"type": "array", "maxItems": 0}
_EMPTY_OBJECT = {"type": "object", "maxProperties": 0}
_UNSUPPORTED = "not supported here"
_USE_TOOLS = "is out of date; send tools and tool_choice"
_ONLY_FUNCTIONS = "only tools of type function are served"
MAX_TOOLS = 128
_REFUSED: Mapping[str, dict[str, Any]] = {
    "n": _only({"type": "integer", "minimum": 1, "maximum": 1}, "one request has one answer"),
    "functions": _only(_EMPTY_LIST, _USE_TOOLS),
    "function_call": _only({"enum": ["auto", "none"]}, _USE_TOOLS),
    "frequency_penalty": _only({"type": "number", "minimum": 0, "maximum": 0}, _UNSUPPORTED),
    "presence_penalty": _only({"type": "number", "minimum": 0, "maximum": 0}, _UNSUPPORTED),
    "logit_bias": _only(_EMPTY_OBJECT, _UNSUPPORTED),
    "logprobs": _only({"enum": [False]}, _UNSUPPORTED),
    "top_logprobs": _only({"type": "integer", "minimum": 0, "maximum": 0}, _UNSUPPORTED),
    "modalities": _only(
        {"type": "array", "items": {"enum": ["text"], REFUSAL: "answers are text"}}, "answers are text"
    ),
    "store": _only({"enum": [False]}, "nothing is stored"),
    "audio": {**_NOTHING, REFUSAL: _UNSUPPORTED},
    "web_search_options": {**_NOTHING, REFUSAL: _UNSUPPORTED},
}
# They may stand in a request, and change nothing here; the answer names them.
IGNORED = (
    "metadata",
    "moderation",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "seed",
    "service_tier",
    "verbosity",
)
# The latter ones other servers put into their messages, and clients send them back.
IGNORED_OF_MESSAGE = (
    "cache_control",
    "name",
    "provider_specific_fields",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "thinking_blocks",
)
IGNORED_OF_CALL = ("cache_control", "extra_content", "provider_specific_fields")
IGNORED_OF_PART = ("cache_control",)
IGNORED_OF_TOOL = ("cache_control",)
IGNORED_OF_FUNCTION = ("strict",)


def _ignored(names: tuple[str, ...]) -> dict[str, Any]:
    return {name: {"description": "changes nothing here"} for name in names}


_TOOL_NAME = {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,64}$"}
_PART = {
    "type": "object",
    "additionalProperties": False,
    "required": ["type"],
    "properties": {
        "type": {
            "enum": ["text", "refusal", *OPENAI_MEDIA],
            REFUSAL: f"only text, {' and '.join(OPENAI_MEDIA)} parts are read",
        },
        "text": {"type": "string"},
        "refusal": {"type": "string"},
        **OPENAI_MEDIA,
        **_ignored(IGNORED_OF_PART),
    },
    "allOf": OPENAI_RULES,
}
_TOOL_CALL = {
    "type": "object",
    "additionalProperties": False,
    "required": ["id", "function"],
    "properties": {
        "id": {"type": "string", "minLength": 1},
        "type": {"enum": ["function"], REFUSAL: _ONLY_FUNCTIONS},
        "index": {"type": "integer"},
        **_ignored(IGNORED_OF_CALL),
        "function": {
            "type": "object",
            "required": ["name"],
            "properties": {"name": {"type": "string", "minLength": 1}, "arguments": {"type": ["string", "null"]}},
        },
    },
}
_MESSAGE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["role"],
    "properties": {
        "role": {"enum": ["system", "developer", "user", "assistant", "tool"]},
        "content": {
            "type": ["string", "array", "null"],
            "items": _PART,
            "description": "text, or parts of text; a message without text is passed over, unless it is the last",
            REFUSAL: NEEDS_TEXT,
        },
        "tool_calls": nullable({"type": "array", "items": _TOOL_CALL, "description": "of an assistant"}),
        "tool_call_id": nullable({"type": "string", "description": "of a tool: which call its content answers"}),
        # A client that sends our own message back sends these with it.
        "refusal": {"type": ["string", "null"], "description": "what an assistant said in the place of its content"},
        "annotations": nullable({"type": "array", "description": "of an answer that is sent back; passed over"}),
        "audio": {**_NOTHING, REFUSAL: _UNSUPPORTED},
        "function_call": {**_NOTHING, REFUSAL: _USE_TOOLS},
        **_ignored(IGNORED_OF_MESSAGE),
    },
}
_TOOL = {
    "type": "object",
    "additionalProperties": False,
    "required": ["type", "function"],
    "properties": {
        "type": {"enum": ["function"], REFUSAL: _ONLY_FUNCTIONS},
        "function": {
            "type": "object",
            "additionalProperties": False,
            "required": ["name"],
            "properties": {
                "name": _TOOL_NAME,
                "description": nullable({"type": "string"}),
                "parameters": nullable(OBJECT_SCHEMA),
                **_ignored(IGNORED_OF_FUNCTION),
            },
        },
        **_ignored(IGNORED_OF_TOOL),
    },
}
_TOOL_CHOICE = {
    "anyOf": [
        {"enum": ["none", "auto", "required", None]},
        {
            "type": "object",
            "required": ["type", "function"],
            "properties": {
                "type": {"enum": ["function"]},
                "function": {"type": "object", "required": ["name"], "properties": {"name": _TOOL_NAME}},
            },
        },
    ],
    REFUSAL: "must be none, auto, required, or {type: function, function: {name: …}}",
}
COMPLETION_REQUEST = BodySchema(
    {
        "type": "object",
        "additionalProperties": False,
        "required": ["messages"],
        "properties": {
            "model": nullable(
                {
                    "type": "string",
                    "maxLength": MAX_ALIAS_CHARS,
                    "description": "an alias of MODELS; empty or `default`: the first",
                }
            ),
            "messages": {
                "type": "array",
                "minItems": 1,
                "maxItems": 1000,
                "description": "the whole conversation; the last message is the person's new one",
                "items": _MESSAGE,
            },
            "stream": nullable({"type": "boolean"}),
            "stream_options": nullable(
                {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "include_usage": nullable({"type": "boolean"}),
                        "include_obfuscation": _only({"enum": [False]}, _UNSUPPORTED),
                    },
                }
            ),
            "max_tokens": nullable(_OURS["max_tokens"]),
            "max_completion_tokens": nullable(_OURS["max_tokens"]),
            "temperature": nullable({**_OURS["temperature"], REFUSAL: "must be a number from 0 to 1"}),
            "top_p": nullable({"type": "number", "minimum": 0, "maximum": 1}),
            "stop": {
                "type": ["string", "array", "null"],
                "maxItems": 4,
                "items": {"type": "string"},
                REFUSAL: "must be a text, or up to four",
            },
            "tools": nullable(
                {
                    "type": "array",
                    "maxItems": MAX_TOOLS,
                    "items": _TOOL,
                    "description": "tools that the client runs; the server's own are left out then",
                }
            ),
            "tool_choice": _TOOL_CHOICE,
            "parallel_tool_calls": nullable({"type": "boolean"}),
            **_ignored(IGNORED),
            "user": nullable({**_OURS["user"], "minLength": 0}),
            "safety_identifier": nullable({**_OURS["user"], "minLength": 0}),
            "conversation_id": nullable(_OURS["conversation_id"]),
            "reasoning_effort": nullable(
                {
                    "enum": ["none", "minimal", "low", "medium", "high", "xhigh", "max"],
                    "description": "how much to think",
                }
            ),
            "response_format": nullable(RESPONSE_FORMAT),
            "mode": nullable(_OURS["mode"]),
            "citations": nullable(_OURS["citations"]),
            **_REFUSED,
        },
    },
    contradictions,
)

_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
# Of our own answer, what has no place of its own in a completion.
BESIDES = (
    "conversation_id",
    "stop_reason",
    "degraded",
    "iterations",
    "tool_calls",
    "trace_id",
    "request_id",
    "stand_in",
    "structured",
    "thinking",
    "citations",
    "warnings",
    "ignored",
)
_CALLED = {
    "type": "object",
    "required": ["id", "type", "function"],
    "properties": {
        "id": _TEXT,
        "type": {"enum": ["function"]},
        "function": {
            "type": "object",
            "required": ["name", "arguments"],
            "properties": {"name": _TEXT, "arguments": {"type": "string", "description": "JSON text of an object"}},
        },
    },
}
COMPLETION: Mapping[str, Any] = {
    "type": "object",
    "required": ["id", "object", "created", "model", "choices", "usage", "rom"],
    "properties": {
        "id": _TEXT,
        "object": {"enum": ["chat.completion"]},
        "created": {"type": "integer", "description": "seconds since 1970"},
        "model": {"type": "string", "description": "the alias of the model that answered"},
        "choices": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,
            "items": {
                "type": "object",
                "required": ["index", "message", "finish_reason", "logprobs"],
                "properties": {
                    "index": {"enum": [0]},
                    "message": {
                        "type": "object",
                        "required": ["role", "content", "refusal"],
                        "properties": {
                            "role": {"enum": ["assistant"]},
                            "content": {"type": ["string", "null"]},
                            "refusal": {"type": "null"},
                            "annotations": {"type": "array", "description": "as in `rom.citations`, with places"},
                            "tool_calls": {"type": "array", "items": _CALLED},
                        },
                    },
                    "finish_reason": {"enum": ["stop", "content_filter", "length", "tool_calls"]},
                    "logprobs": {"type": "null"},
                },
            },
        },
        "usage": {
            "type": "object",
            "required": ["prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details"],
            "properties": {
                "prompt_tokens": _COUNT,
                "completion_tokens": _COUNT,
                "total_tokens": _COUNT,
                "prompt_tokens_details": {"type": "object", "properties": {"cached_tokens": _COUNT}},
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
MODEL: Mapping[str, Any] = {
    "type": "object",
    "required": ["id", "object", "created", "owned_by", "type", "display_name", "created_at", "lifecycle"],
    "properties": {
        "id": _TEXT,
        "object": {"enum": ["model"]},
        "created": {"type": "integer"},
        "owned_by": _TEXT,
        "type": {"enum": ["model"]},
        "display_name": _TEXT,
        "created_at": {"type": "string", "format": "date-time"},
        "lifecycle": {"enum": ["active"]},
    },
}
MODELS_ANSWER: Mapping[str, Any] = {
    "type": "object",
    "required": ["object", "data", "has_more", "first_id", "last_id"],
    "properties": {
        "object": {"enum": ["list"]},
        "data": {"type": "array", "items": MODEL},
        "has_more": {"enum": [False]},
        "first_id": _TEXT,
        "last_id": _TEXT,
    },
}
