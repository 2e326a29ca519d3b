"""What was said, as attributes of spans: only while LOG_CONTENT is on, and in production never.

In the shapes of gen_ai.input.messages and its kin (JSON schemas of the conventions, v0.1.0), as JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from rom_core.files import without_files
from rom_core.turn import ModelCall, ToolCall, Turn
from rom_core.turn_values import ModelReply

# Of each text, and of the messages of a long conversation: a span is no archive.
MAX_CHARS = 8_000
MAX_MESSAGES = 50


def wants_content(turn: Turn) -> bool:
    """Whether the turn's content may go out."""
    settings = turn.settings
    return settings.environment != "production" and bool(getattr(settings, "LOG_CONTENT", False))


def call_content(call: ModelCall, reply: ModelReply | None) -> dict[str, Any]:
    """What a model was asked and answered."""
    turn = call.turn
    if not wants_content(turn):
        return {}
    system = [text for text in (turn.settings.SYSTEM_PROMPT, turn.request.system) if text.strip()]
    said = {
        "gen_ai.input.messages": [_message(one) for one in turn.messages[-MAX_MESSAGES:]],
        "gen_ai.system_instructions": [{"type": "text", "content": _cut(text)} for text in system],
        "gen_ai.tool.definitions": [_definition(spec["toolSpec"]) for spec in turn.tool_specs],
    }
    if reply is not None:
        answer = _message({"role": "assistant", "content": reply.content})
        said["gen_ai.output.messages"] = [{**answer, "finish_reason": reply.stop_reason}]
    return {name: _json(value) for name, value in said.items() if value}


def tool_content(call: ToolCall) -> dict[str, Any]:
    """What a tool was given and returned."""
    if not wants_content(call.turn):
        return {}
    said = {"gen_ai.tool.call.arguments": _cut(_json(call.input))}
    if call.result is not None:
        said["gen_ai.tool.call.result"] = _cut(_json(call.result.as_json()))
    return said


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    return {"role": message["role"], "parts": [part for block in message["content"] for part in _parts(block)]}


def _parts(block: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    if "text" in block:
        yield {"type": "text", "content": _cut(block["text"])}
    elif "toolUse" in block:
        use = block["toolUse"]
        yield {"type": "tool_call", "id": use["toolUseId"], "name": use["name"], "arguments": _short(use["input"])}
    elif "toolResult" in block:
        result = block["toolResult"]
        yield {
            "type": "tool_call_response",
            "id": result["toolUseId"],
            "response": _short(without_files(result["content"])),
        }
    elif "reasoningContent" in block:
        text = block["reasoningContent"].get("reasoningText", {}).get("text", "")
        yield {"type": "reasoning", "content": _cut(text)}
    else:
        # A picture or a document, of which only what it is goes out; cache points and the like say nothing.
        for kind in ("image", "document"):
            if kind in block:
                yield {"type": kind, "format": str(block[kind].get("format", ""))}


def _definition(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "function", "name": spec["name"], "description": _cut(spec.get("description", ""))}


def _short(value: Any) -> Any:
    """The value, or the beginning of its JSON."""
    text = _json(value)
    return value if len(text) <= MAX_CHARS else _cut(text)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CHARS else f"{text[:MAX_CHARS]}…"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
