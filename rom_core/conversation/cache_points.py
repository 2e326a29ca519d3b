"""Cache points: at most four in a request, after something that can be cached, for models that know them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rom_core.conversation.model import Block, Message

MAX_CACHE_POINTS: Final = 4
# Neither itself nor the start of a list can be cached, and no point stands directly behind these.
_NOT_CACHED: Final = ("cachePoint", "reasoningContent")


def _takes_a_point(block: Block) -> bool:
    """Claude takes no cache mark on its reasoning, nor on documents other than PDF."""
    if any(kind in block for kind in _NOT_CACHED):
        return False
    return "document" not in block or block["document"].get("format") == "pdf"


def limit_cache_points(tools: list[Block], system: list[Block], messages: list[Message], *, supported: bool) -> None:
    """Leave in these lists, in place, only the cache points that the model takes.

    What is too many goes from the oldest message on, then from system, then from tools. Bedrock wants the longer lives
    first, so a point of one hour after one of five minutes becomes one of five.
    """
    contents: list[list[Block]] = [message["content"] for message in messages]
    pointed = [blocks for blocks in (*contents, system, tools) if _points(blocks)]
    for blocks in pointed:
        blocks[:] = _placed(blocks) if supported else [block for block in blocks if "cachePoint" not in block]
    excess = sum(len(_points(blocks)) for blocks in pointed) - MAX_CACHE_POINTS
    for blocks in pointed:
        for index in reversed(_points(blocks)[: max(0, excess)]):
            del blocks[index]
            excess -= 1
    if pointed:
        _shorten([tools, system, *contents])


def has_cache_point(request: Mapping[str, Any], *, amended: bool) -> bool:
    """Whether somebody has set a cache point; only a request that plugins have `amended` is looked through."""
    if not amended:
        return False
    lists = [(request.get("toolConfig") or {}).get("tools") or [], request.get("system") or []]
    lists += [message["content"] for message in request["messages"]]
    return any("cachePoint" in block for blocks in lists for block in blocks)


def place_cache_points(request: dict[str, Any], *, static: str, moving: bool) -> None:
    """Set points in a normalised request: behind tools and system for `static` ("5m" or "1h"), and behind its end.

    Lists that change are replaced, not changed: what the request shares with the conversation, with other requests and
    with what the normaliser remembers stays as it was. A place that takes no point gets none.
    """
    if static:
        point = {"cachePoint": {"type": "default", "ttl": "1h"} if static == "1h" else {"type": "default"}}
        tool_config = request.get("toolConfig")
        if request.get("system"):
            request["system"] = [*request["system"], point]
        elif tool_config and tool_config.get("tools"):
            request["toolConfig"] = {**tool_config, "tools": [*tool_config["tools"], point]}
    last = request["messages"][-1]
    if moving and _takes_a_point(last["content"][-1]):
        content = [*last["content"], {"cachePoint": {"type": "default"}}]
        request["messages"] = [*request["messages"][:-1], {**last, "content": content}]


def _points(blocks: list[Block]) -> list[int]:
    return [index for index, block in enumerate(blocks) if "cachePoint" in block]


def _placed(blocks: list[Block]) -> list[Block]:
    placed: list[Block] = []
    for block in blocks:
        cacheable = bool(placed) and _takes_a_point(placed[-1])
        if cacheable or "cachePoint" not in block:
            placed.append(block)
    return placed


def _shorten(lists: list[list[Block]]) -> None:
    long_allowed = True
    for blocks in lists:
        for index in _points(blocks):
            if blocks[index]["cachePoint"].get("ttl") != "1h":
                long_allowed = False
            elif not long_allowed:
                blocks[index] = {"cachePoint": {**blocks[index]["cachePoint"], "ttl": "5m"}}
