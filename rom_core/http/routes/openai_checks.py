"""What a schema cannot say of a chat completion's request: its members against each other, and where it ends."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from rom_core.http.routes import client_tools
from rom_core.http.routes.chat import NEEDS_TEXT
from rom_core.http.routes.parts import OPENAI_MEDIA

Body = Mapping[str, Any]


def contradictions(given: Body, unsound: Collection[str]) -> Iterator[tuple[str, str]]:
    """Pairs of field and reason, of a body's sound members; see `BodySchema`.

    Both limits on tokens; stream_options without stream; calls and results in the wrong role; no message of a person
    with text, or of a tool, at the end; tools that contradict each other.
    """
    if "max_tokens" in given and "max_completion_tokens" in given:
        yield "max_tokens", "send either this or max_completion_tokens"
    if "stream_options" in given and not given.get("stream"):
        yield "stream_options", "only with stream: true"
    messages = given.get("messages", ())
    for index, message in enumerate(messages):
        if message["role"] == "tool" and not message.get("tool_call_id"):
            yield f"messages.{index}.tool_call_id", "is required of a tool"
        if message["role"] != "assistant" and message.get("tool_calls"):
            yield f"messages.{index}.tool_calls", "only an assistant calls tools"
        if message["role"] != "user" and has_media(message):
            yield f"messages.{index}.content", "images and files belong to the user"
    if messages:
        yield from _end(messages)
    names = [tool["function"]["name"] for tool in given.get("tools", ())]
    yield from client_tools.contradictions(given, unsound, names, "function.name", "required")


def parts_of(message: Body) -> list[Body]:
    """The parts of a message; text by itself is one."""
    content = message.get("content")
    return content if isinstance(content, list) else [{"type": "text", "text": content or ""}]


def has_media(message: Body) -> bool:
    """Whether an image or a file is among the parts."""
    return any(part.get("type") in OPENAI_MEDIA for part in parts_of(message))


def said(message: Body) -> list[str]:
    """The texts of a message that are not blank; of an assistant that refused, the refusal."""
    texts = [part.get("text") or part.get("refusal") or "" for part in parts_of(message)]
    if message["role"] == "assistant":
        texts.append(message.get("refusal") or "")
    return [text for text in texts if text.strip()]


def _end(messages: Sequence[Body]) -> Iterator[tuple[str, str]]:
    last = messages[-1]
    if last["role"] == "user" and not said(last) and not has_media(last):
        yield f"messages.{len(messages) - 1}.content", NEEDS_TEXT
        return
    spoken = (
        message["role"]
        for message in reversed(messages)
        if message["role"] == "tool"
        or (
            message["role"] not in ("system", "developer")
            and (said(message) or has_media(message) or message.get("tool_calls"))
        )
    )
    if next(spoken, "assistant") == "assistant":
        yield "messages", "the last one must be the user's or a tool's"
