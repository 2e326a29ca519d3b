"""POST /v1/messages, for programs that speak to Anthropic's Messages API.

The order of a stream: message_start, ping, for each block content_block_start, content_block_delta … and
content_block_stop, message_delta with the stop reason and the usage, message_stop; or `error` at any place, which ends
it. Both versions of the API are served; a beta that a client names in `anthropic-beta` changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import falcon

from rom_core.errors import InvalidRequest
from rom_core.http.answer import answer
from rom_core.http.error_styles import envelope_of
from rom_core.http.openapi import TURN_ERRORS, Operation
from rom_core.http.routes.chat import NEEDS_TEXT, whole_number
from rom_core.http.routes.messages_shapes import MESSAGE, MESSAGE_REQUEST
from rom_core.http.routes.openai import DEFAULT_MODEL
from rom_core.http.routes.openai_shapes import BESIDES
from rom_core.http.sse import sse_event
from rom_core.runtime import Runtime
from rom_core.settings import Settings
from rom_core.telemetry.ids import new_id
from rom_core.turn import Turn
from rom_core.turn_values import ChatRequest, TurnResult, Usage

VERSIONS = ("2023-06-01", "2026-10-21")
# From this version on the API refuses them for every model.
_NO_SAMPLING_VERSION = "2026-10-21"
_SAMPLING = ("temperature", "top_p", "top_k")
# Bedrock's stop reasons that are Anthropic's too, or have another name there; ours are end_turn.
_STOP_REASONS: Mapping[str, str] = {
    "end_turn": "end_turn",
    "max_tokens": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_use",
    "model_context_window_exceeded": "model_context_window_exceeded",
    "content_filtered": "refusal",
    "guardrail_intervened": "refusal",
}


def check_version(req: falcon.Request, body: Mapping[str, Any]) -> None:
    """Raise InvalidRequest for a version of the API that does not exist, or for what the one named refuses.

    A client that names none is served as one of the older version.
    """
    version = req.get_header("anthropic-version") or VERSIONS[0]
    if version not in VERSIONS:
        raise InvalidRequest(f"anthropic-version: must be one of {', '.join(VERSIONS)}", param="anthropic-version")
    if version < _NO_SAMPLING_VERSION:
        return
    for name in _SAMPLING:
        if body.get(name) is not None:
            raise InvalidRequest(f"{name}: not taken with anthropic-version {version}", param=name)
    for index, message in enumerate(body["messages"]):
        if message["role"] == "user" and isinstance(message["content"], list):
            for number, block in enumerate(message["content"]):
                if block.get("citations"):
                    field = f"messages.{index}.content.{number}.citations"
                    raise InvalidRequest(f"{field}: must be empty in a user's message", param=field)


def served_model(body: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """`body` with the primary model in the place of `default`."""
    if body["model"] == DEFAULT_MODEL and DEFAULT_MODEL not in settings.models:
        body["model"] = settings.MODEL_PRIMARY
    return body


def parse_message(body: Mapping[str, Any], key_name: str) -> ChatRequest:
    """The request of a body that MESSAGE_REQUEST accepts.

    Blocks without text are passed over, and so are messages without any. Raises InvalidRequest if the last message is
    not the user's, or says nothing.
    """
    system = _texts(body.get("system"))
    messages: list[dict[str, Any]] = []
    for message in body["messages"]:
        texts = _texts(message["content"])
        if message["role"] == "system":
            system += texts
        elif texts:
            messages.append({"role": message["role"], "content": [{"text": text} for text in texts]})
        elif message["role"] == "user" and message is body["messages"][-1]:
            field = f"messages.{len(body['messages']) - 1}.content"
            raise InvalidRequest(f"{field}: {NEEDS_TEXT}", param=field)
    if not messages or messages[-1]["role"] != "user":
        raise InvalidRequest("messages: the last one must be the user's; an answer cannot be begun", param="messages")
    model = body["model"]
    return ChatRequest(
        messages=tuple(messages),
        conversation_id=body.get("conversation_id") or f"conv-{new_id()}",
        system="\n\n".join(system),
        model=model,
        mode=body.get("mode", "standard"),
        stream=body.get("stream", False),
        max_tokens=whole_number(body.get("max_tokens")),
        temperature=body.get("temperature"),
        user=(body.get("metadata") or {}).get("user_id") or None,
        key_name=key_name,
    )


def _texts(content: Any) -> list[str]:
    """The texts of a content that are not blank."""
    texts = [content] if isinstance(content, str) else [block["text"] for block in content or ()]
    return [text for text in texts if text.strip()]


class MessagesDialect:
    """One answer as a message, or as its events; it knows which block is open, so that each turn has its own."""

    def __init__(self) -> None:
        self._begun = False

    def whole(self, result: TurnResult) -> dict[str, Any]:
        """The message."""
        return {
            "id": message_id(result.id),
            "type": "message",
            "role": "assistant",
            "model": result.model,
            "content": [{"type": "text", "text": result.reply}],
            **_stop(result.stop_reason),
            "usage": usage_object(result.usage),
            "rom": _besides(result.as_dict()),
        }

    def event(self, turn: Turn, name: str, data: dict[str, Any]) -> bytes:
        """Events for start, delta, done and error; the server's tools run unseen."""
        if name == "start":
            return self._start(turn) + sse_event({"type": "ping"}, "ping")
        if name == "delta":
            return self._open() + _event("content_block_delta", index=0, delta=_text_delta(data["text"]))
        if name == "error":
            return sse_event(envelope_of(data), "error")
        if name != "done":
            return b""
        return b"".join(
            (
                self._open(),
                _event("content_block_stop", index=0),
                _event(
                    "message_delta",
                    delta=_stop(data["stop_reason"]),
                    usage=usage_object(turn.usage),
                    rom=_besides(data),
                ),
                _event("message_stop"),
            )
        )

    def _start(self, turn: Turn) -> bytes:
        message = {
            "id": message_id(turn.id),
            "type": "message",
            "role": "assistant",
            "model": turn.model,
            "content": [],
            **_stop(None),
            "usage": usage_object(Usage()),
        }
        return _event("message_start", message=message)

    def _open(self) -> bytes:
        """The start of the block, if it has not been said."""
        if self._begun:
            return b""
        self._begun = True
        return _event("content_block_start", index=0, content_block={"type": "text", "text": ""})


def _event(kind: str, **members: Any) -> bytes:
    return sse_event({"type": kind, **members}, kind)


def _text_delta(text: str) -> dict[str, str]:
    return {"type": "text_delta", "text": text}


def _stop(reason: str | None) -> dict[str, Any]:
    """The three members that say why an answer ended; before its end all are null."""
    shown = None if reason is None else _STOP_REASONS.get(reason, "end_turn")
    details = {"type": "refusal", "category": None, "explanation": None} if shown == "refusal" else None
    return {"stop_reason": shown, "stop_sequence": None, "stop_details": details}


def message_id(turn_id: str) -> str:
    """Anthropic's kind of id for a turn's."""
    return f"msg_{turn_id.removeprefix('chat-')}"


def usage_object(usage: Usage) -> dict[str, Any]:
    """Anthropic's `usage`, whose input tokens leave out cached ones, as Bedrock's do."""
    hour = usage.cache_write_1h_tokens
    return {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_tokens - hour,
            "ephemeral_1h_input_tokens": hour,
        },
        "output_tokens": usage.output_tokens,
        "service_tier": "standard",
    }


def _besides(result: Mapping[str, Any]) -> dict[str, Any]:
    return {name: result[name] for name in BESIDES if name in result}


class MessagesResource:
    """POST /v1/messages."""

    auth = "key"
    route = "/v1/messages"
    takes_turns = True
    operations: Mapping[str, Operation] = {
        "POST": Operation(
            "Answer a conversation as Anthropic's API does.",
            MESSAGE,
            MESSAGE_REQUEST,
            TURN_ERRORS,
            stream="with stream: true; the events of Anthropic's API, message_start to message_stop, or error",
        )
    }

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer the turn; see docs/api.md for what is honoured."""
        answer(self._runtime, req, resp, self.route, self._read)

    def _read(self, req: falcon.Request) -> tuple[ChatRequest, MessagesDialect]:
        settings = self._runtime.current.settings
        body = MESSAGE_REQUEST.read(req, settings.MAX_BODY_BYTES)
        check_version(req, body)
        return parse_message(served_model(body, settings), req.context.key_name), MessagesDialect()
