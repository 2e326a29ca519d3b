"""POST /v1/messages, for programs that speak to Anthropic's Messages API.

The order of a stream: message_start, ping, for each block content_block_start, content_block_delta … and
content_block_stop, message_delta with the stop reason and the usage, message_stop; or `error` at any place, which ends
it. Both versions of the API are served; a beta that a client names in `anthropic-beta` changes nothing.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import falcon

from rom_core.http.answer import answer
from rom_core.http.error_styles import envelope_of
from rom_core.http.openapi import TURN_ERRORS, Operation
from rom_core.http.routes.cited import anthropic_citation, cited_texts
from rom_core.http.routes.messages_request import read_request
from rom_core.http.routes.messages_shapes import MESSAGE, MESSAGE_REQUEST
from rom_core.http.routes.openai_shapes import BESIDES
from rom_core.http.sse import sse_event
from rom_core.runtime import Runtime
from rom_core.turn import Turn
from rom_core.turn_values import ChatRequest, TurnResult, Usage

# Who called a tool: the model itself, not a program that it wrote.
_DIRECT = {"type": "direct"}
PING = sse_event({"type": "ping"}, "ping")
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


class MessagesDialect:
    """One answer as a message, or as its events; it knows which block is open, so that each turn has its own.

    What a model has thought is shown if the request has `thinking`. It is signed for the client to send back only where
    the conversation that the client has is the one that the model saw: not where the server's own tools ran in between.
    """

    def __init__(self) -> None:
        self._index = -1
        self._open = ""

    def whole(self, turn: Turn, result: TurnResult) -> dict[str, Any]:
        """The message: what was thought, what was said, the tools that the client is to run."""
        return {
            "id": message_id(result.id),
            "type": "message",
            "role": "assistant",
            "model": result.model,
            "content": [
                *_thoughts(turn),
                *(_text(text, citations) for text, citations in cited_texts(result.reply, result.citations)),
                *({"type": "tool_use", **use, "caller": _DIRECT} for use in result.tool_uses),
            ],
            **_stop(turn, result.stop_reason),
            "usage": usage_object(result.usage),
            "rom": _besides(result.as_dict()),
        }

    def event(self, turn: Turn, name: str, data: dict[str, Any]) -> bytes:
        """Events for start, thinking, delta, citation, done and error; the server's tools run unseen."""
        if name == "start":
            return self._start(turn) + PING
        if name == "thinking":
            return self._thinking(turn, data)
        if name == "delta":
            return self._begin("text", text="", citations=None) + self._delta("text_delta", text=data["text"])
        if name == "citation" and self._open == "text":
            return self._delta("citations_delta", citation=anthropic_citation(data))
        if name == "block" and self._open == "text":
            return self._end()
        if name == "error":
            return sse_event(envelope_of(data), "error")
        return self._done(turn, data) if name == "done" else b""

    def _start(self, turn: Turn) -> bytes:
        message = {
            "id": message_id(turn.id),
            "type": "message",
            "role": "assistant",
            "model": turn.model,
            "content": [],
            **_stop(turn, None),
            "usage": usage_object(Usage()),
        }
        return _event("message_start", message=message)

    def _thinking(self, turn: Turn, piece: Mapping[str, Any]) -> bytes:
        """What is thought, where it is asked for; to everybody else the model is at work."""
        if not turn.request.show_thinking:
            return PING
        if "redactedContent" in piece:
            if not _signs(turn):
                return b""
            return self._begin("redacted_thinking", data=_encoded(piece["redactedContent"])) + self._end()
        if "text" in piece:
            begun = self._begin("thinking", thinking="", signature="")
            return begun + self._delta("thinking_delta", thinking=piece["text"])
        if "signature" in piece and _signs(turn):
            begun = self._begin("thinking", thinking="", signature="")
            return begun + self._delta("signature_delta", signature=piece["signature"]) + self._end()
        # It begins to think, perhaps anew after a failure: what was thought before is another block.
        return self._end() if self._open == "thinking" else PING

    def _done(self, turn: Turn, data: dict[str, Any]) -> bytes:
        written = [self._end()]
        for use in data.get("tool_uses", ()):
            written += [
                self._begin("tool_use", id=use["id"], name=use["name"], input={}, caller=_DIRECT),
                self._delta("input_json_delta", partial_json=json.dumps(use["input"], ensure_ascii=False)),
                self._end(),
            ]
        stop, usage = _stop(turn, data["stop_reason"]), usage_object(turn.usage)
        written += [
            _event("message_delta", delta=stop, usage=usage, rom=_besides(data)),
            _event("message_stop"),
        ]
        return b"".join(written)

    def _begin(self, kind: str, **members: Any) -> bytes:
        """The start of a block of this kind, unless such a one is open."""
        if self._open == kind:
            return b""
        ended = self._end()
        self._open = kind
        self._index += 1
        return ended + _event("content_block_start", index=self._index, content_block={"type": kind, **members})

    def _delta(self, kind: str, **members: Any) -> bytes:
        return _event("content_block_delta", index=self._index, delta={"type": kind, **members})

    def _end(self) -> bytes:
        """The end of the block that is open."""
        if not self._open:
            return b""
        self._open = ""
        return _event("content_block_stop", index=self._index)


def _text(text: str, citations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"type": "text", "text": text, "citations": [anthropic_citation(one) for one in citations] or None}


def _thoughts(turn: Turn) -> Iterator[dict[str, Any]]:
    """The blocks of what was thought in a turn that ended, as the client may see them and send them back."""
    if not turn.request.show_thinking:
        return
    signs = _signs(turn)
    for message in turn.messages[len(turn.request.messages) :]:
        for block in message["content"]:
            thought = block.get("reasoningContent", {})
            text = thought.get("reasoningText")
            if text is not None:
                signature = text.get("signature", "") if signs else ""
                yield {"type": "thinking", "thinking": text.get("text", ""), "signature": signature}
            elif signs and "redactedContent" in thought:
                yield {"type": "redacted_thinking", "data": _encoded(thought["redactedContent"])}


def _signs(turn: Turn) -> bool:
    """Whether the model answers in one round, so that what it signs still holds when the client sends it back."""
    return turn.request.client_tools is not None or not turn.snapshot.tools


def _encoded(data: Any) -> str:
    return base64.b64encode(data).decode() if isinstance(data, bytes) else str(data)


def _event(kind: str, **members: Any) -> bytes:
    return sse_event({"type": kind, **members}, kind)


def _stop(turn: Turn, reason: str | None) -> dict[str, Any]:
    """The members that say why an answer ended; before its end all are null. Of a container there never is any.

    Bedrock does not say which sequence it was: with one there is no doubt.
    """
    shown = None if reason is None else _STOP_REASONS.get(reason, "end_turn")
    details = {"type": "refusal", "category": None, "explanation": None} if shown == "refusal" else None
    stops = turn.request.stop_sequences
    sequence = stops[0] if shown == "stop_sequence" and len(stops) == 1 else None
    return {"stop_reason": shown, "stop_sequence": sequence, "stop_details": details, "container": None}


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
        "output_tokens_details": None,
        "server_tool_use": None,
        "service_tier": "standard",
        "inference_geo": None,
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
        return read_request(req, MESSAGE_REQUEST, self._runtime.current.settings), MessagesDialect()
