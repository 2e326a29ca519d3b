"""The part of a Converse request that the local model answers to: the current turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Turn:
    """The turn that the last plain-text user message began.

    `text`: that message; `request`: which model request of the turn this is, from 1; `tool_rounds`: how many assistant
    messages of the turn asked for tools; `results`: the toolResult blocks that the last message brings; `tool_names`:
    toolUseId → name for the whole conversation.
    """

    text: str
    request: int
    tool_rounds: int
    results: tuple[Mapping[str, Any], ...]
    tool_names: Mapping[str, str]


def current_turn(body: Mapping[str, Any]) -> Turn:
    """Read the turn from a valid Converse request."""
    messages = body["messages"]
    start, text = 0, ""
    for index in range(len(messages) - 1, -1, -1):
        content = messages[index]["content"]
        if messages[index]["role"] == "user" and not any(block.get("toolResult") for block in content):
            start, text = index, "\n".join(filter(None, map(_text, content)))
            break
    answers = [message["content"] for message in messages[start:] if message["role"] == "assistant"]
    return Turn(
        text=text,
        request=1 + len(answers),
        tool_rounds=sum(any(block.get("toolUse") for block in content) for content in answers),
        results=tuple(block["toolResult"] for block in messages[-1]["content"] if block.get("toolResult")),
        tool_names={
            block["toolUse"]["toolUseId"]: block["toolUse"]["name"]
            for message in messages
            for block in message["content"]
            if block.get("toolUse")
        },
    )


def _text(block: Mapping[str, Any]) -> str:
    guarded = (block.get("guardContent") or {}).get("text") or {}
    return str(block.get("text") or guarded.get("text") or "")
