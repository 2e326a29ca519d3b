"""The shapes of Anthropic's Messages API as far as it is served here: requests, messages, counts of tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rom_core.http.body import REFUSAL, BodySchema, nullable
from rom_core.http.routes.chat import CHAT_ANSWER, CHAT_REQUEST, MAX_ALIAS_CHARS
from rom_core.http.routes.openai_shapes import BESIDES

_OURS = CHAT_REQUEST.schema["properties"]
_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_UNSUPPORTED = "not supported here"
NO_MEDIA = "images and documents are not read on this route; send their text"
_CACHE_CONTROL = nullable(
    {
        "type": "object",
        "description": "the server places cache points by itself",
        "required": ["type"],
        "properties": {"type": {"enum": ["ephemeral"]}, "ttl": {"enum": ["5m", "1h"]}},
    }
)
_TEXT_BLOCK = {
    "type": "object",
    "additionalProperties": False,
    "required": ["type", "text"],
    "properties": {
        "type": {"enum": ["text"], REFUSAL: f"must be text: {NO_MEDIA}"},
        "text": _TEXT,
        "cache_control": _CACHE_CONTROL,
        "citations": nullable({"type": "array", "description": "of an answer that is sent back; passed over"}),
    },
}
_TEXTS = {"type": ["string", "array"], "items": _TEXT_BLOCK, REFUSAL: "must be text, or a list of blocks"}
_MESSAGE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["role", "content"],
    "properties": {"role": {"enum": ["user", "assistant", "system"]}, "content": _TEXTS},
}
_NOTHING: Mapping[str, Any] = {"type": "null"}
_CONVERSATION: Mapping[str, Any] = {
    "model": {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_ALIAS_CHARS,
        "description": "an alias of MODELS; `default`: MODEL_PRIMARY",
    },
    "messages": {"type": "array", "minItems": 1, "maxItems": 1000, "items": _MESSAGE},
    "system": {**_TEXTS, "description": "appended to SYSTEM_PROMPT, never replaces it"},
    "cache_control": _CACHE_CONTROL,
}
MESSAGE_REQUEST = BodySchema(
    {
        "type": "object",
        "additionalProperties": False,
        "required": ["model", "messages", "max_tokens"],
        "properties": {
            **_CONVERSATION,
            "max_tokens": _OURS["max_tokens"],
            "stream": {"type": "boolean"},
            "temperature": {**_OURS["temperature"], REFUSAL: "must be a number from 0 to 1"},
            "metadata": nullable(
                {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"user_id": nullable({**_TEXT, "maxLength": 256})},
                }
            ),
            "service_tier": {"enum": ["auto", "standard_only"], REFUSAL: "the server chooses the tier"},
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
                "properties": {"type": {"enum": ["text"]}, "text": _TEXT},
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
