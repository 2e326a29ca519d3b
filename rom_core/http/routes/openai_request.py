"""A request of OpenAI's API as a turn: messages, tools, and what changes nothing here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rom_core.http.routes.chat import whole_number
from rom_core.http.routes.client_tools import ONLY_WITH_TOOLS, client_tools, saying, tool_result, tool_spec, tool_use
from rom_core.http.routes.openai_checks import Body, parts_of, said
from rom_core.http.routes.openai_shapes import (
    IGNORED,
    IGNORED_OF_CALL,
    IGNORED_OF_FUNCTION,
    IGNORED_OF_MESSAGE,
    IGNORED_OF_PART,
    IGNORED_OF_TOOL,
)
from rom_core.http.routes.parts import openai_block
from rom_core.structured import read_format
from rom_core.telemetry.ids import new_id
from rom_core.turn_values import ChatRequest, ClientTools

# What Anthropic's models have no word for: thinking that is switched off is another setting.
_EFFORTS: Mapping[str, str | None] = {"none": None, "minimal": "low"}
_KINDS: Mapping[str, str] = {"required": "any"}


def parse_completion(body: Body, key_name: str) -> ChatRequest:
    """The request of a body that COMPLETION_REQUEST accepts.

    System and developer messages become the turn's `system`, wherever they stand. Messages and parts without text are
    passed over, as by the API that is imitated.
    """
    given = {name: value for name, value in body.items() if value is not None}
    system: list[str] = []
    messages: list[dict[str, Any]] = []
    for index, message in enumerate(given["messages"]):
        role, texts = message["role"], said(message)
        if role in ("system", "developer"):
            system += texts
        elif role == "tool":
            result = tool_result(message.get("tool_call_id") or "", [{"text": text} for text in texts])
            messages.append({"role": "user", "content": [result]})
        elif content := [*_media(message, index), *({"text": text} for text in texts), *_calls(message)]:
            messages.append({"role": role, "content": content})
    stops = [given["stop"]] if isinstance(given.get("stop"), str) else given.get("stop", [])
    kept = tuple(stop for stop in stops if stop.strip())
    return ChatRequest(
        messages=tuple(messages),
        conversation_id=given.get("conversation_id") or f"conv-{new_id()}",
        system="\n\n".join(system),
        model=given.get("model") or None,
        mode=given.get("mode", "standard"),
        stream=given.get("stream", False),
        max_tokens=whole_number(given.get("max_completion_tokens", given.get("max_tokens"))),
        temperature=given.get("temperature"),
        top_p=given.get("top_p"),
        stop_sequences=kept,
        client_tools=_client_tools(given),
        ignored=tuple(dict.fromkeys((*_ignored(given), *(("stop",) if len(kept) < len(stops) else ())))),
        thinking={"type": "disabled"} if given.get("reasoning_effort") == "none" else None,
        effort=_EFFORTS.get(given.get("reasoning_effort", ""), given.get("reasoning_effort")),
        response_format=read_format(given.get("response_format")),
        citations=given.get("citations", False),
        user=given.get("user") or given.get("safety_identifier") or None,
        key_name=key_name,
    )


def _media(message: Body, index: int) -> Iterator[dict[str, Any]]:
    """Blocks that stand for the images and files of a person's message: before its texts, as models read them best."""
    for number, part in enumerate(parts_of(message) if message["role"] == "user" else ()):
        if (block := openai_block(part, f"messages.{index}.content.{number}")) is not None:
            yield block


def _calls(message: Body) -> Iterator[dict[str, Any]]:
    """The toolUse blocks of an assistant's message."""
    for call in message.get("tool_calls") or ():
        function = call["function"]
        yield tool_use(call["id"], function["name"], _input(function))


def _input(function: Body) -> dict[str, Any]:
    """The arguments as an object; what is none came from a model, and must not end the conversation."""
    text = function.get("arguments") or "{}"
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {"arguments": text}


def _client_tools(given: Body) -> ClientTools | None:
    choice = given.get("tool_choice", "auto")
    forced = choice["function"]["name"] if isinstance(choice, Mapping) else ""
    return client_tools(
        (_spec(tool["function"]) for tool in given.get("tools", ())),
        "tool" if forced else _KINDS.get(choice, choice),
        forced,
        parallel=given.get("parallel_tool_calls", True),
    )


def _spec(function: Body) -> dict[str, Any]:
    description = (function.get("description") or "").strip()
    return tool_spec(function["name"], description, function.get("parameters") or None)


def _ignored(given: Body) -> Iterator[str]:
    """The names of fields that say something and change nothing here, in the order of the body's parts."""
    yield from saying(given, IGNORED)
    yield from (name for name in ONLY_WITH_TOOLS if name in given and not given.get("tools"))
    for message in given["messages"]:
        yield from saying(message, IGNORED_OF_MESSAGE, "messages.")
        for part in message["content"] if isinstance(message.get("content"), list) else ():
            yield from saying(part, IGNORED_OF_PART, "messages.content.")
        for call in message.get("tool_calls") or ():
            yield from saying(call, IGNORED_OF_CALL, "messages.tool_calls.")
    for tool in given.get("tools", ()):
        yield from saying(tool, IGNORED_OF_TOOL, "tools.")
        yield from saying(tool["function"], IGNORED_OF_FUNCTION, "tools.function.")
