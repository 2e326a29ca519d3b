"""POST /api/chat: one turn, answered whole or as Server-Sent Events."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import falcon

from rom_core.errors import InvalidRequest
from rom_core.http.body import BodySchema, read_json
from rom_core.http.patience import with_patience
from rom_core.http.stream import TurnStream
from rom_core.runtime import Runtime
from rom_core.turn import ChatRequest

CHAT_REQUEST = BodySchema(
    {
        "type": "object",
        "additionalProperties": False,
        "required": ["message"],
        "properties": {
            "message": {"type": "string", "pattern": r"\S", "description": "the person's new message"},
            "messages": {
                "type": "array",
                "maxItems": 1000,
                "description": "the earlier conversation, oldest first, without `message`",
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["role", "content"],
                    "properties": {"role": {"enum": ["user", "assistant"]}, "content": {"type": "string"}},
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
                "maxLength": 128,
                "description": "an alias of MODELS",
            },
            "mode": {"enum": ["standard", "exhaustive"]},
            "stream": {"type": "boolean"},
            "max_tokens": {"type": "integer", "minimum": 1, "maximum": 1_000_000},
            "temperature": {"type": "number", "minimum": 0, "maximum": 1},
        },
    }
)


def parse_chat(body: dict[str, Any], key_name: str) -> ChatRequest:
    """The request of a body that CHAT_REQUEST accepts."""
    earlier = [{"role": m["role"], "content": [{"text": m["content"]}]} for m in body.get("messages", ())]
    return ChatRequest(
        messages=(*earlier, {"role": "user", "content": [{"text": body["message"]}]}),
        conversation_id=body.get("conversation_id") or f"conv-{uuid4().hex}",
        system=body.get("system", ""),
        model=body.get("model"),
        mode=body.get("mode", "standard"),
        stream=body.get("stream", False),
        max_tokens=body.get("max_tokens"),
        temperature=body.get("temperature"),
        user=body.get("user"),
        key_name=key_name,
    )


class ChatResource:
    """The route; one place of the core's admission is held until the last byte of the answer."""

    auth = "key"
    route = "/api/chat"

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer the turn; see docs/api.md for the shapes."""
        runtime = self._runtime
        body = read_json(req, runtime.current.settings.MAX_BODY_BYTES)
        CHAT_REQUEST.validate(body)
        if "" in (m["content"].strip() for m in body.get("messages", ())):
            raise InvalidRequest("messages: every content needs some text", param="messages")
        request = with_patience(parse_chat(body, req.context.key_name), req)
        release = runtime.admit(self.route)
        try:
            turn = runtime.turn(
                request,
                route=self.route,
                trace_id=req.context.trace_id,
                request_id=req.context.request_id,
                accepted_at=req.context.accepted_at,
            )
            req.context.outcome.cohort = turn.cohort
            disconnected = disconnect_probe(req)
            if request.stream:
                stream = TurnStream(runtime, turn, disconnected, release, req.context.outcome)
                stream.start()
                release = stream.close
                resp.content_type = "text/event-stream; charset=utf-8"
                resp.set_header("Cache-Control", "no-cache")
                resp.set_header("X-Accel-Buffering", "no")
                resp.stream = stream
                return
            result = runtime.run(turn, disconnected)
        except BaseException:
            release()
            raise
        release()
        resp.content_type = falcon.MEDIA_JSON
        resp.data = json.dumps(result.as_dict(), ensure_ascii=False).encode()


def disconnect_probe(req: falcon.Request) -> Callable[[], bool]:
    """Tells whether the client has left; waitress offers that when it reads ahead (`channel_request_lookahead`)."""
    probe: Callable[[], bool] | None = req.env.get("waitress.client_disconnected")
    return probe or (lambda: False)
