"""The rules of a conversation that the service's description does not hold: roles, order, tools, blank text, caching.

Each of them is a ValidationException that users of the Converse API have reported; the texts follow those reports. Some
are rules of the API, others (text beside tool results, unique ids) of some models only: this module is the strictest of
them, so that what it accepts is accepted everywhere. What differs between the models that are known is in
`capabilities` and `reasoning`, the rules for documents and images in `media`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from local_bedrock.citing import check_citations
from local_bedrock.media import check_media
from local_bedrock.reasoning import check_order

MAX_CACHE_POINTS = 4

_FROM_MODEL = "The model returned the following errors: "
_TOOL_USE_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ASSISTANT_ONLY = {"toolUse": "tool uses", "reasoningContent": "reasoning content", "citationsContent": "citations"}
_USER_ONLY = {
    "toolResult": "tool results",
    "image": "images",
    "document": "documents",
    "video": "videos",
    "audio": "audio",
    "guardContent": "guard content",
    "searchResult": "search results",
    "toolAddition": "tool additions",
    "toolRemoval": "tool removals",
}


def check_conversation(body: dict[str, Any], *, prefill: bool = False) -> list[str]:
    """The messages with which Bedrock would refuse this Converse request, empty = accepted.

    `body` must have passed `validation.check_request`, which guards the shape. With `prefill` it may end with an
    assistant's message.
    """
    messages = body.get("messages") or []
    tool_config = body.get("toolConfig") or {}
    return [
        *_system(body.get("system") or []),
        *_tools(tool_config),
        *_roles(messages, prefill=prefill),
        *_contents(messages),
        *check_order(messages),
        *_pairs(messages, tool_config),
        *check_media(messages),
        *check_citations(messages),
        *_cache_points(body, messages, tool_config),
    ]


def _roles(messages: list[dict[str, Any]], *, prefill: bool) -> Iterator[str]:
    if not messages or messages[0]["role"] != "user":
        yield (
            "A conversation must start with a user message. "
            "Try again with a conversation that starts with a user message."
        )
    if any(message["role"] == "system" for message in messages):
        yield f"{_FROM_MODEL}This model doesn't support the system role in messages."
    if any(one["role"] == two["role"] for one, two in pairwise(messages)):
        yield (
            "A conversation must alternate between user and assistant roles. "
            "Make sure the conversation alternates between user and assistant roles and try again."
        )
    if messages and messages[-1]["role"] != "user" and not prefill:
        yield (
            f"{_FROM_MODEL}This model does not support assistant message prefill. "
            "The conversation must end with a user message."
        )


def _system(blocks: list[dict[str, Any]]) -> Iterator[str]:
    for index, block in enumerate(blocks):
        if _is_blank(block.get("text")):
            yield _blank(f"system.{index}")


def _tools(tool_config: dict[str, Any]) -> Iterator[str]:
    names: set[str] = set()
    for index, tool in enumerate(tool_config.get("tools") or []):
        kind = "toolSpec" if tool.get("toolSpec") else "systemTool"
        if not (spec := tool.get(kind)):
            continue
        where = f"toolConfig.tools.{index}.{kind}"
        if spec["name"] in names:
            yield f"{_FROM_MODEL}tools: Tool names must be unique. Found {spec['name']} again at {where}."
        names.add(spec["name"])
        if kind == "systemTool":
            continue
        schema = spec["inputSchema"].get("json")
        if not isinstance(schema, dict):
            yield _not_an_object(f"{where}.inputSchema.json")
        elif schema.get("type") != "object":
            yield f"The value at {where}.inputSchema.json.type must be one of the following: object."
    chosen = ((tool_config.get("toolChoice") or {}).get("tool") or {}).get("name")
    if chosen is not None and chosen not in names:
        yield f"{_FROM_MODEL}tool_choice: Tool '{chosen}' not found in provided tools."


def _contents(messages: list[dict[str, Any]]) -> Iterator[str]:
    for index, message in enumerate(messages):
        here, content = f"messages.{index}", message["content"]
        if not content:
            yield (
                f"The content field in the Message object at {here} is empty. "
                "Add a ContentBlock object to the content field and try again."
            )
        wrong, who = (_ASSISTANT_ONLY, "User") if message["role"] == "user" else (_USER_ONLY, "Assistant")
        kinds = [kind for block in content for kind, value in block.items() if value is not None]
        yield from (f"{who} messages cannot contain {wrong[kind]}." for kind in dict.fromkeys(kinds) if kind in wrong)
        if "toolResult" in kinds and not {"toolResult", "cachePoint"}.issuperset(kinds):
            yield "Conversation blocks and tool result blocks cannot be provided in the same turn."
        for number, block in enumerate(content):
            yield from _block(block, f"{here}.content.{number}")


def _block(block: dict[str, Any], where: str) -> Iterator[str]:
    if _is_blank(block.get("text")):
        yield _blank(where)
    guarded = (block.get("guardContent") or {}).get("text")
    if guarded and _is_blank(guarded["text"]):
        yield _blank(f"{where}.guardContent")
    reasoning = (block.get("reasoningContent") or {}).get("reasoningText")
    if reasoning and not reasoning.get("signature") and _is_blank(reasoning["text"]):
        yield _blank(f"{where}.reasoningContent")
    if use := block.get("toolUse"):
        yield from _tool_use_id(use["toolUseId"], f"{where}.toolUse")
        if not isinstance(use["input"], dict):
            yield _not_an_object(f"{where}.toolUse.input")
    if result := block.get("toolResult"):
        yield from _tool_use_id(result["toolUseId"], f"{where}.toolResult")
        yield from _result_content(result["content"], f"{where}.toolResult")


def _result_content(content: list[dict[str, Any]], where: str) -> Iterator[str]:
    if not content:
        yield (
            f"The content field in the ToolResultBlock object at {where} is empty. "
            "Add a ToolResultContentBlock object to the content field and try again."
        )
    for index, block in enumerate(content):
        if _is_blank(block.get("text")):
            yield _blank(f"{where}.content.{index}")
        if not isinstance(block.get("json", {}), dict | None):
            yield _not_an_object(f"{where}.content.{index}.json")


def _tool_use_id(tool_use_id: str, where: str) -> Iterator[str]:
    if not _TOOL_USE_ID.fullmatch(tool_use_id):
        yield f"{_FROM_MODEL}{where}.toolUseId: String should match pattern '^[a-zA-Z0-9_-]+$'"


def _pairs(messages: list[dict[str, Any]], tool_config: dict[str, Any]) -> Iterator[str]:
    """Every toolUse answered by exactly one toolResult in the very next message, and nothing else answered."""
    seen: set[str] = set()
    asked: list[str] = []
    tools_used = False
    for index, message in enumerate(messages):
        content = message["content"]
        results = [block["toolResult"]["toolUseId"] for block in content if block.get("toolResult")]
        uses = [block["toolUse"]["toolUseId"] for block in content if block.get("toolUse")]
        tools_used = tools_used or bool(results or uses)
        yield from _answers(asked, results, index)
        for tool_use_id in uses:
            if tool_use_id in seen:
                yield f"{_FROM_MODEL}messages.{index}.content: `tool_use` ids must be unique"
            seen.add(tool_use_id)
        asked = uses
    if asked:
        yield from _answers(asked, [], len(messages))
    if tools_used and not tool_config.get("tools"):
        yield "The toolConfig field must be defined when using toolUse and toolResult content blocks."


def _answers(asked: list[str], results: list[str], index: int) -> Iterator[str]:
    if missing := [tool_use_id for tool_use_id in asked if tool_use_id not in results]:
        yield f"Expected toolResult blocks at messages.{index}.content for the following Ids: {', '.join(missing)}"
    if len(results) > len(asked):
        yield (
            f"The number of toolResult blocks at messages.{index}.content exceeds the number of toolUse blocks "
            "of previous turn."
        )
    elif unknown := [tool_use_id for tool_use_id in results if tool_use_id not in asked]:
        yield (
            f"{_FROM_MODEL}messages.{index}.content: unexpected `tool_use_id` found in `tool_result` blocks: "
            f"{', '.join(unknown)}. Each `tool_result` block must have a corresponding `tool_use` block in the "
            "previous message."
        )


def _cache_points(body: dict[str, Any], messages: list[dict[str, Any]], tool_config: dict[str, Any]) -> Iterator[str]:
    lists = [("toolConfig.tools", tool_config.get("tools") or []), ("system", body.get("system") or [])]
    lists += [(f"messages.{index}.content", message["content"]) for index, message in enumerate(messages)]
    count, short = 0, ""
    for where, blocks in lists:
        points = [index for index, block in enumerate(blocks) if block.get("cachePoint")]
        count += len(points)
        for index in points:
            if blocks[index]["cachePoint"].get("ttl") != "1h":
                short = f"{where}.{index}"
            elif short:
                yield f"{_FROM_MODEL}{where}.{index}: a ttl of '1h' must not come after one of '5m' ({short})."
        if points and points[0] == 0:
            yield f"{_FROM_MODEL}{where}.0: a cachePoint must follow the block that it caches."
        for before in (blocks[index - 1] for index in points if index):
            if before.get("reasoningContent") or (before.get("document") or {}).get("format", "pdf") != "pdf":
                yield f"{_FROM_MODEL}{where}: a cachePoint cannot follow reasoning or a document that is not a PDF."
    if count > MAX_CACHE_POINTS:
        yield f"{_FROM_MODEL}A maximum of {MAX_CACHE_POINTS} blocks with cache_control may be provided. Found {count}."


def _is_blank(text: str | None) -> bool:
    return text is not None and not text.strip()


def _blank(where: str) -> str:
    return f"The text field in the ContentBlock object at {where} is blank. Add text to the text field, and try again."


def _not_an_object(where: str) -> str:
    return f"The format of the value at {where} is invalid. Provide a json object for the field and try again."
