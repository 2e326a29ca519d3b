"""POST /api/chat: one turn, answered whole or as Server-Sent Events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import falcon

from rom_core.http.answer import answer
from rom_core.http.body import REFUSAL, BodySchema
from rom_core.http.openapi import TURN_ERRORS, Operation
from rom_core.http.stream import encode_event
from rom_core.runtime import Runtime
from rom_core.telemetry.ids import new_id
from rom_core.turn import Turn
from rom_core.turn_values import ChatRequest, TurnResult

NEEDS_TEXT = "must be text, and not blank"
# Far longer than any id of Bedrock: every alias that is listed may be asked for.
MAX_ALIAS_CHARS = 2048
CHAT_REQUEST = BodySchema(
    {
        "type": "object",
        "additionalProperties": False,
        "required": ["message"],
        "properties": {
            "message": {
                "type": "string",
                "pattern": r"\S",
                "description": "the person's new message",
                REFUSAL: NEEDS_TEXT,
            },
            "messages": {
                "type": "array",
                "maxItems": 1000,
                "description": "the earlier conversation, oldest first, without `message`",
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["role", "content"],
                    "properties": {
                        "role": {"enum": ["user", "assistant"]},
                        "content": {
                            "type": ["string", "null", "array"],
                            "maxItems": 0,
                            "description": "a message without text, `[]` too, is passed over",
                            REFUSAL: "must be text",
                        },
                    },
                },
            },
            "conversation_id": {"type": "string", "pattern": r"^[A-Za-z0-9._:-]{1,128}$"},
            "user": {
                "type": "string",
                "minLength": 1,
                "maxLength": 256,
                "description": "who asks, your own id",
            },
            "system": {"type": "string", "description": "appended to SYSTEM_PROMPT, never replaces it"},
            "model": {
                "type": "string",
                "minLength": 1,
                "maxLength": MAX_ALIAS_CHARS,
                "description": "an alias of MODELS",
            },
            "mode": {"enum": ["standard", "exhaustive"]},
            "stream": {"type": "boolean"},
            "max_tokens": {"type": "integer", "minimum": 1, "maximum": 1_000_000},
            "temperature": {"type": "number", "minimum": 0, "maximum": 1},
            "show_thinking": {"type": "boolean", "description": "show what a model thinks, as far as it does"},
        },
    }
)


CHAT_ANSWER: Mapping[str, Any] = TurnResult.schema()


def parse_chat(body: dict[str, Any], key_name: str) -> ChatRequest:
    """The request of a body that CHAT_REQUEST accepts."""
    said = [(message["role"], message["content"] or "") for message in body.get("messages", ())]
    earlier = [{"role": role, "content": [{"text": text}]} for role, text in said if text.strip()]
    return ChatRequest(
        messages=(*earlier, {"role": "user", "content": [{"text": body["message"]}]}),
        conversation_id=body.get("conversation_id") or f"conv-{new_id()}",
        system=body.get("system", ""),
        model=body.get("model"),
        mode=body.get("mode", "standard"),
        stream=body.get("stream", False),
        max_tokens=whole_number(body.get("max_tokens")),
        temperature=body.get("temperature"),
        user=body.get("user"),
        show_thinking=body.get("show_thinking", False),
        key_name=key_name,
    )


def whole_number(value: float | None) -> int | None:
    """To JSON Schema 1.0 is an integer; to Bedrock's client it is not."""
    return None if value is None else int(value)


class OwnDialect:
    """The answer and the events of /api/chat."""

    def whole(self, result: TurnResult) -> dict[str, Any]:
        """The turn's result as it is."""
        return result.as_dict()

    def event(self, turn: Turn, name: str, data: dict[str, Any]) -> bytes:
        """start, thinking, delta, tool_call, tool_result, done, error; of what is thought, the text."""
        if name == "thinking" and data and "text" not in data:
            return b""
        return encode_event(turn, name, data)


class ChatResource:
    """The route."""

    auth = "key"
    route = "/api/chat"
    takes_turns = True
    operations: Mapping[str, Operation] = {
        "POST": Operation(
            "Answer one message.",
            CHAT_ANSWER,
            CHAT_REQUEST,
            TURN_ERRORS,
            stream="with stream: true; events start, thinking, delta, tool_call, tool_result, and done or error",
        )
    }

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._dialect = OwnDialect()

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer the turn; see docs/api.md for the shapes."""
        answer(self._runtime, req, resp, self.route, self._read)

    def _read(self, req: falcon.Request) -> tuple[ChatRequest, OwnDialect]:
        body = CHAT_REQUEST.read(req, self._runtime.current.settings.MAX_BODY_BYTES)
        return parse_chat(body, req.context.key_name), self._dialect
