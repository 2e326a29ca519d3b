"""A request of Anthropic's Messages API as a turn: messages, tools, thinking, and what changes nothing here."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import falcon

from rom_core.errors import InvalidRequest
from rom_core.http.body import BodySchema, invalid, read_json
from rom_core.http.routes.chat import NEEDS_TEXT, whole_number
from rom_core.http.routes.cited import converse_citations
from rom_core.http.routes.client_tools import client_tools, saying, tool_result, tool_spec, tool_use, twice
from rom_core.http.routes.messages_shapes import IGNORED, IGNORED_OF_BLOCK, IGNORED_OF_TOOL
from rom_core.http.routes.openai import DEFAULT_MODEL
from rom_core.http.routes.parts import ANTHROPIC_MEDIA, anthropic_block
from rom_core.settings import Settings
from rom_core.structured import read_format
from rom_core.telemetry.ids import new_id
from rom_core.turn_values import ChatRequest, ClientTools, ResponseFormat

Body = Mapping[str, Any]
VERSIONS = ("2023-06-01", "2026-10-21")
# From this version on the API refuses them for every model.
_NO_SAMPLING_VERSION = "2026-10-21"
_SAMPLING = ("temperature", "top_p", "top_k")


def read_request(req: falcon.Request, schema: BodySchema, settings: Settings) -> ChatRequest:
    """The turn that a body asks for.

    Of a client that names betas, fields that nobody here knows are passed over and named as ignored. Raises as
    `BodySchema.read`, and InvalidRequest with all that is wrong.
    """
    body = read_json(req, settings.MAX_BODY_BYTES, with_attachments=settings.MAX_ATTACHMENT_BYTES)
    unknown: list[str] = []
    if isinstance(body, dict) and req.get_header("anthropic-beta"):
        unknown = [name for name in body if name not in schema.schema["properties"]]
        body = {name: value for name, value in body.items() if name not in unknown}
    schema.validate(body)
    _check_version(req, body)
    if body["model"] == DEFAULT_MODEL and DEFAULT_MODEL not in settings.models:
        body["model"] = settings.MODEL_PRIMARY
    return parse_message(body, req.context.key_name, unknown)


def _check_version(req: falcon.Request, body: Body) -> None:
    """Raise InvalidRequest for a version of the API that does not exist, or for what the one named refuses.

    A client that names none is served as one of the older version.
    """
    version = req.get_header("anthropic-version") or VERSIONS[0]
    if version not in VERSIONS:
        raise InvalidRequest(f"anthropic-version: must be one of {', '.join(VERSIONS)}", param="anthropic-version")
    if version < _NO_SAMPLING_VERSION:
        return
    problems = [(name, f"not taken with anthropic-version {version}") for name in _SAMPLING if body.get(name)]
    for index, message in enumerate(body["messages"]):
        blocks = message["content"] if message["role"] == "user" and isinstance(message["content"], list) else ()
        cited = (number for number, block in enumerate(blocks) if block["type"] == "text" and block.get("citations"))
        problems += [(f"messages.{index}.content.{n}.citations", "must be empty in a user's message") for n in cited]
    if problems:
        raise invalid(problems)


def parse_message(body: Body, key_name: str, unknown: Iterable[str] = ()) -> ChatRequest:
    """The request of a body that MESSAGE_REQUEST or COUNT_REQUEST accepts.

    Blocks without text are passed over, and so are messages without anything. Raises InvalidRequest, with all that is
    wrong: blocks in the wrong role, tools that contradict each other, nothing of the user's at the end.
    """
    given = {name: value for name, value in body.items() if value is not None}
    problems = [*_contradictions(given)]
    system = [block["text"] for block in _blocks(given.get("system")) if block["text"].strip()]
    messages: list[dict[str, Any]] = []
    last = len(given["messages"]) - 1
    for index, message in enumerate(given["messages"]):
        role, blocks = message["role"], _blocks(message["content"])
        if role == "system":
            system += [block["text"] for block in blocks if block.get("text", "").strip()]
        elif content := [*_content(blocks, f"messages.{index}.content", cited=role == "assistant")]:
            messages.append({"role": role, "content": content})
        elif role == "user" and index == last:
            problems.append((f"messages.{index}.content", NEEDS_TEXT))
    if not problems and (not messages or messages[-1]["role"] != "user"):
        problems.append(("messages", "the last one must be the user's; an answer cannot be begun"))
    if problems:
        raise invalid(problems)
    thinking: Body = given.get("thinking") or {}
    return ChatRequest(
        messages=tuple(messages),
        conversation_id=given.get("conversation_id") or f"conv-{new_id()}",
        system="\n\n".join(system),
        model=given["model"],
        mode=given.get("mode", "standard"),
        stream=given.get("stream", False),
        max_tokens=whole_number(given.get("max_tokens")),
        temperature=given.get("temperature"),
        top_p=given.get("top_p"),
        stop_sequences=tuple(stop for stop in given.get("stop_sequences", ()) if stop.strip()),
        client_tools=_client_tools(given),
        thinking=thinking or None,
        effort=(given.get("output_config") or {}).get("effort"),
        response_format=_format(given),
        citations=any(cites for _, cites in _asked_to_cite(given)),
        show_thinking=thinking.get("type", "disabled") != "disabled" and thinking.get("display") != "omitted",
        ignored=tuple(dict.fromkeys((*unknown, *_ignored(given)))),
        user=(given.get("metadata") or {}).get("user_id") or None,
        key_name=key_name,
    )


def _blocks(content: Any) -> list[Body]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content or ())


def _contradictions(given: Body) -> Iterator[tuple[str, str]]:
    """What the schema cannot say, as pairs of field and reason."""
    for index, message in enumerate(given["messages"]):
        for number, block in enumerate(_blocks(message["content"])):
            belongs = _ROLES.get(block["type"])
            if belongs is not None and belongs != message["role"]:
                yield f"messages.{index}.content.{number}.type", f"{block['type']} belongs to the role {belongs}"
    asked = [*_asked_to_cite(given)]
    if any(cites for _, cites in asked):
        yield from ((f"{path}.citations", _ALL_OR_NONE) for path, cites in asked if not cites)
    names = [tool["name"] for tool in given.get("tools", ())]
    yield from twice(names, "name")
    choice = given.get("tool_choice", {"type": "auto"})
    if choice["type"] == "tool" and choice.get("name") not in names:
        yield "tool_choice.name", "names no tool of the request"
    elif choice["type"] == "any" and not names:
        yield "tool_choice", "needs tools"


def _asked_to_cite(given: Body) -> Iterator[tuple[str, bool]]:
    """Where each document of a message stands, and whether citations are asked for on it."""
    for index, message in enumerate(given["messages"]):
        for number, block in enumerate(_blocks(message["content"])):
            if block["type"] == "document":
                path = f"messages.{index}.content.{number}"
                yield path, bool((block.get("citations") or {}).get("enabled"))


_ALL_OR_NONE = "must be enabled on all documents of the messages, or on none"
_ROLES = {
    "image": "user",
    "document": "user",
    "tool_use": "assistant",
    "thinking": "assistant",
    "redacted_thinking": "assistant",
    "tool_result": "user",
}


def _content(blocks: Iterable[Body], path: str, *, cited: bool = False) -> Iterator[dict[str, Any]]:
    """Blocks as Converse has them, those that say something; texts keep their citations if they may be `cited`."""
    for number, block in enumerate(blocks):
        citations = converse_citations(block.get("citations") or ()) if cited and block["type"] == "text" else []
        if citations and block["text"].strip():
            yield {"citationsContent": {"content": [{"text": block["text"]}], "citations": citations}}
        elif (made := _converse(block, f"{path}.{number}")) is not None:
            yield made


def _converse(block: Body, path: str) -> dict[str, Any] | None:
    """A block as Converse has it; None for one that says nothing, and for thinking that nobody has signed."""
    kind = block["type"]
    if kind in ANTHROPIC_MEDIA:
        return anthropic_block(block, path)
    if kind == "text":
        return {"text": block["text"]} if block["text"].strip() else None
    if kind == "tool_use":
        return tool_use(block["id"], block["name"], block["input"])
    if kind == "tool_result":
        said = [*_content(_blocks(block.get("content")), f"{path}.content")]
        return tool_result(block["tool_use_id"], said, "error" if block.get("is_error") else "success")
    if kind == "thinking":
        signed = {"text": block["thinking"], "signature": block.get("signature") or ""}
        return {"reasoningContent": {"reasoningText": signed}} if signed["signature"] else None
    try:
        return {"reasoningContent": {"redactedContent": base64.b64decode(block["data"], validate=True)}}
    except (binascii.Error, ValueError):
        return None


def _format(given: Body) -> ResponseFormat | None:
    """What the answer is to be; an earlier beta had the field at the top."""
    path, asked = "output_config.format", (given.get("output_config") or {}).get("format")
    if asked is None:
        path, asked = "output_format", given.get("output_format")
    if asked is None:
        return None
    try:
        return read_format({"type": "json_schema", "json_schema": {"schema": asked["schema"]}})
    except InvalidRequest as error:
        reason = error.detail.partition(": ")[2]
        raise InvalidRequest(f"{path}.schema: {reason}", param=f"{path}.schema") from None


def _client_tools(given: Body) -> ClientTools | None:
    choice = given.get("tool_choice", {"type": "auto"})
    tools = given.get("tools", ())
    return client_tools(
        (tool_spec(tool["name"], tool.get("description"), tool["input_schema"]) for tool in tools),
        choice["type"],
        choice.get("name") or "",
        parallel=not choice.get("disable_parallel_tool_use"),
    )


def _ignored(given: Body) -> Iterator[str]:
    """The names of fields that say something and change nothing here."""
    yield from saying(given, IGNORED)
    parts = {"system": given.get("system"), **{f"messages.{n}": m["content"] for n, m in enumerate(given["messages"])}}
    for name, content in parts.items():
        before = "system." if name == "system" else "messages.content."
        for block in _blocks(content):
            media = ("context",) if block["type"] == "document" else ()
            yield from saying(block, (*IGNORED_OF_BLOCK, *media), before)
    for tool in given.get("tools", ()):
        yield from saying(tool, IGNORED_OF_TOOL, "tools.")
