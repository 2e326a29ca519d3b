"""A request of OpenAI's API as a turn: messages, tools, and what changes nothing here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rom_core.http.body import invalid
from rom_core.http.routes.chat import NEEDS_TEXT, whole_number
from rom_core.http.routes.openai_shapes import (
    IGNORED,
    IGNORED_OF_FUNCTION,
    IGNORED_OF_MESSAGE,
    IGNORED_OF_PART,
    IGNORED_OF_TOOL,
)
from rom_core.structured import read_format
from rom_core.telemetry.ids import new_id
from rom_core.turn_values import ChatRequest, ClientTools

Body = Mapping[str, Any]
_CHOICES: Mapping[str, dict[str, Any]] = {"auto": {"auto": {}}, "required": {"any": {}}}


def parse_completion(body: Body, key_name: str) -> ChatRequest:
    """The request of a body that COMPLETION_REQUEST accepts.

    System and developer messages become the turn's `system`, wherever they stand. Messages and parts without text are
    passed over, as by the API that is imitated. Raises InvalidRequest, with all that is wrong: no message of a person
    with text, or of a tool, at the end; both limits on tokens; stream_options without stream; tools that contradict
    each other.
    """
    given = {name: value for name, value in body.items() if value is not None}
    problems = [*_contradictions(given)]
    system: list[str] = []
    messages: list[dict[str, Any]] = []
    last = len(given["messages"]) - 1
    for index, message in enumerate(given["messages"]):
        role, texts = message["role"], _texts(message)
        if role in ("system", "developer"):
            system += texts
        elif role == "tool":
            messages.append({"role": "user", "content": [_result(message, texts)]})
        elif content := [*({"text": text} for text in texts), *_calls(message)]:
            messages.append({"role": role, "content": content})
        elif role == "user" and index == last:
            problems.append((f"messages.{index}.content", NEEDS_TEXT))
    if not problems and (not messages or messages[-1]["role"] != "user"):
        problems.append(("messages", "the last one must be the user's or a tool's"))
    if problems:
        raise invalid(problems)
    stops = [given["stop"]] if isinstance(given.get("stop"), str) else given.get("stop", [])
    said = tuple(stop for stop in stops if stop.strip())
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
        stop_sequences=said,
        client_tools=_client_tools(given),
        ignored=tuple(dict.fromkeys((*_ignored(given), *(("stop",) if len(said) < len(stops) else ())))),
        response_format=read_format(given.get("response_format")),
        user=given.get("user") or given.get("safety_identifier") or None,
        key_name=key_name,
    )


def _contradictions(given: Body) -> Iterator[tuple[str, str]]:
    """What the schema cannot say, as pairs of field and reason."""
    if "max_tokens" in given and "max_completion_tokens" in given:
        yield "max_tokens", "send either this or max_completion_tokens"
    if "stream_options" in given and not given.get("stream"):
        yield "stream_options", "only with stream: true"
    for index, message in enumerate(given["messages"]):
        if message["role"] == "tool" and not message.get("tool_call_id"):
            yield f"messages.{index}.tool_call_id", "is required of a tool"
        if message["role"] != "assistant" and message.get("tool_calls"):
            yield f"messages.{index}.tool_calls", "only an assistant calls tools"
    names = [tool["function"]["name"] for tool in given.get("tools", ())]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield f"tools.{index}.function.name", "is the name of another tool, too"
    choice = given.get("tool_choice")
    if isinstance(choice, Mapping) and choice["function"]["name"] not in names:
        yield "tool_choice", "names no tool of the request"
    elif choice == "required" and not names:
        yield "tool_choice", "needs tools"


def _texts(message: Body) -> list[str]:
    """The texts of a message that are not blank; of an assistant that refused, the refusal."""
    content = message.get("content")
    parts = content if isinstance(content, list) else [{"text": content or ""}]
    texts = [part.get("text") or part.get("refusal") or "" for part in parts]
    if message["role"] == "assistant":
        texts.append(message.get("refusal") or "")
    return [text for text in texts if text.strip()]


def _calls(message: Body) -> Iterator[dict[str, Any]]:
    """The toolUse blocks of an assistant's message."""
    for call in message.get("tool_calls") or ():
        function = call["function"]
        yield {"toolUse": {"toolUseId": call["id"], "name": function["name"], "input": _input(function)}}


def _input(function: Body) -> dict[str, Any]:
    """The arguments as an object; what is none came from a model, and must not end the conversation."""
    text = function.get("arguments") or "{}"
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {"arguments": text}


def _result(message: Body, texts: list[str]) -> dict[str, Any]:
    """A tool's message as a toolResult block."""
    return {
        "toolResult": {"toolUseId": message.get("tool_call_id") or "", "content": [{"text": text} for text in texts]}
    }


def _client_tools(given: Body) -> ClientTools | None:
    if not given.get("tools"):
        return None
    choice = given.get("tool_choice", "auto")
    named = {"tool": {"name": choice["function"]["name"]}} if isinstance(choice, Mapping) else None
    return ClientTools(
        specs=tuple(_spec(tool["function"]) for tool in given["tools"]),
        choice=named or _CHOICES.get(choice if isinstance(choice, str) else ""),
        parallel=given.get("parallel_tool_calls", True),
        offered=choice != "none",
    )


def _spec(function: Body) -> dict[str, Any]:
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    spec = {"name": function["name"], "inputSchema": {"json": {**schema, "type": "object"}}}
    description = (function.get("description") or "").strip()
    return {"toolSpec": spec | ({"description": description} if description else {})}


def _ignored(given: Body) -> Iterator[str]:
    """The names of fields that say something and change nothing here, in the order of the body's parts."""
    yield from _saying(given, IGNORED)
    for message in given["messages"]:
        yield from _saying(message, IGNORED_OF_MESSAGE, "messages.")
        for part in message["content"] if isinstance(message.get("content"), list) else ():
            yield from _saying(part, IGNORED_OF_PART, "messages.content.")
    for tool in given.get("tools", ()):
        yield from _saying(tool, IGNORED_OF_TOOL, "tools.")
        yield from _saying(tool["function"], IGNORED_OF_FUNCTION, "tools.function.")


def _saying(given: Body, names: Iterable[str], before: str = "") -> list[str]:
    return [f"{before}{name}" for name in names if given.get(name) not in (None, False, "", [], {})]
