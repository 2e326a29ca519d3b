"""One content block at a time: kept if it may stand in a message of this role, else moved or turned into text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from rom_core.conversation import citations
from rom_core.conversation.media import MEDIA, clean_guard_content, texts_of
from rom_core.conversation.model import EMPTY_RESULT, TOOL_RESULT, TOOL_USE, UNUSABLE, Block
from rom_core.conversation.reasoning import fit_signed
from rom_core.conversation.values import (
    clean_name,
    clean_text,
    document,
    is_name,
    is_text,
    json_object,
    render,
    sequence,
)
from rom_core.unicode import is_encodable

_IN_RESULTS: Final = frozenset({"text", "json", "image", "document", "video", "searchResult"})
_IN_MESSAGES: Final[Mapping[str, frozenset[str]]] = {
    "user": frozenset({"text", "toolResult", "guardContent", "cachePoint", *MEDIA}),
    "assistant": frozenset({"text", "toolUse", "reasoningContent", "citationsContent", "cachePoint"}),
}
_KINDS: Final = _IN_RESULTS.union(*_IN_MESSAGES.values())
_STATUSES: Final = ("success", "error")
_TTLS: Final = ("5m", "1h")


def clean_content(content: Any, role: str, *, keep_reasoning: bool) -> tuple[list[Block], list[Block]]:
    """The blocks that stay in a message of `role`, and the media that must move to the next user message.

    Tool blocks come out clean but for their ids, which are only made text here: pairing needs them as they were.
    """
    kept: list[Block] = []
    moved: list[Block] = []
    allowed = _IN_MESSAGES[role]
    reasoning_lost = False
    for block in sequence(content):
        if type(block) is dict and len(block) == 1 and is_text(block.get("text")):
            kept.append(block)
            continue
        for kind, value, original in _members(block):
            cleaned = _CLEANERS[kind](value) if kind in allowed else None
            if kind == "reasoningContent" and (cleaned is None or not keep_reasoning):
                reasoning_lost = True
                continue
            if cleaned is not None:
                kept.append(original if cleaned is value else {kind: cleaned})
                continue
            for substitute in _substitutes(kind, value):
                (kept if role == "user" or "text" in substitute else moved).append(substitute)
    if role == "assistant":
        kept = fit_signed(kept, whole=not reasoning_lost)
    return kept, moved


def result_as_message(result: Mapping[str, Any]) -> list[Block]:
    """A clean toolResult that answers nothing, as blocks that may stand in any user message."""
    content = [{"text": render(block["json"])} if "json" in block else block for block in result["content"]]
    return [{"text": TOOL_RESULT}, *content]


def in_result(block: Block) -> Block:
    """A clean block of a user message in a form that the content of a toolResult can hold."""
    kind, value = next(iter(block.items()))
    if kind in _IN_RESULTS:
        return citations.in_result(block)
    if kind == "guardContent":
        return {"text": value["text"]["text"]} if "text" in value else {"image": value["image"]}
    return {"text": UNUSABLE.format(kind=kind)}


def readable(block: Block, unread: frozenset[str]) -> Block:
    """A clean block for a model that does not read the kinds `unread`: a text says what stood in their place."""
    kind, value = next(iter(block.items()))
    if kind in unread or (kind == "guardContent" and not unread.isdisjoint(value)):
        return {"text": UNUSABLE.format(kind=kind)}
    if kind != "toolResult" or not any(inner in unread for one in value["content"] for inner in one):
        return block
    return {kind: {**value, "content": [readable(one, unread) for one in value["content"]]}}


def clean_cache_point(value: Any) -> dict[str, Any] | None:
    """The value of a cachePoint, of the only type there is, with a ttl that exists; None if it is none at all."""
    if not isinstance(value, Mapping):
        return None
    ttl = value.get("ttl")
    return {"type": "default", "ttl": ttl} if ttl in _TTLS else {"type": "default"}


def _members(block: Any) -> Iterable[tuple[str, Any, Block]]:
    """Kind and value of each known member, with a block that holds it alone; what has none is one text or json."""
    if type(block) is dict and len(block) == 1:
        ((kind, value),) = block.items()
        if kind in _KINDS and value is not None:
            return ((kind, value, block),)
    return _loose_members(block)


def _loose_members(block: Any) -> Iterator[tuple[str, Any, Block]]:
    if not isinstance(block, Mapping):
        text = clean_text(block) if isinstance(block, str) else render(block)
        yield "text", text, {"text": text}
        return
    known = [kind for kind in block if kind in _KINDS]
    for kind in known:
        if block[kind] is not None:
            yield kind, block[kind], {kind: block[kind]}
    if block and not known:
        plain = document(block)
        yield "json", plain, {"json": plain}


def _substitutes(kind: str, value: Any) -> Iterator[Block]:
    """What stands in the place of a block that may not stay, or that nothing can be made of."""
    if kind in ("cachePoint", "reasoningContent"):
        return
    if kind in ("text", "citationsContent"):
        text = clean_text(value) if kind == "text" else "".join(texts_of(value))
        if text.strip():
            yield {"text": text}
        return
    cleaned = _CLEANERS[kind](value)
    if cleaned is None:
        yield {"text": UNUSABLE.format(kind=kind)}
    elif kind == "toolUse":
        yield {"text": TOOL_USE.format(name=cleaned["name"], input=render(cleaned["input"]))}
    elif kind == "toolResult":
        yield from result_as_message(cleaned)
    elif kind == "json":
        yield {"text": render(value)}
    elif kind == "guardContent":
        yield in_result({kind: cleaned})
    else:
        yield {kind: cleaned}


def _text(value: Any) -> str | None:
    text = clean_text(value)
    return text if text.strip() else None


def _tool_use(value: Any) -> dict[str, Any] | None:
    if not isinstance(value, Mapping):
        return None
    tool_use_id, name, given = value.get("toolUseId"), value.get("name"), value.get("input")
    arguments = _arguments(given)
    same = arguments is given and is_name(name) and type(tool_use_id) is str
    if same and len(value) == 3 and type(value) is dict:
        return value
    return {"toolUseId": clean_text(tool_use_id), "name": clean_name(name, "tool"), "input": arguments}


def _arguments(given: Any) -> dict[str, Any]:
    """A toolUse's input as an object; the JSON text of a stream that was cut becomes an empty one."""
    if given is None:
        return {}
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            return {}
    return json_object(given)


def _tool_result(value: Any) -> dict[str, Any] | None:
    if not isinstance(value, Mapping):
        return None
    tool_use_id, given, status = value.get("toolUseId"), value.get("content"), value.get("status")
    content: list[Block] = []
    for block in sequence(given):
        if type(block) is dict and len(block) == 1 and is_text(block.get("text")):
            content.append(block)
        else:
            content.extend(_result_blocks(block))
    unchanged = type(given) is list and len(given) == len(content) and all(map(_same, given, content))
    unchanged = unchanged and type(tool_use_id) is str and len(value) == (3 if status in _STATUSES else 2)
    if content and unchanged and type(value) is dict:
        return value
    result = {"toolUseId": clean_text(tool_use_id), "content": content or [{"text": EMPTY_RESULT}]}
    return {**result, "status": status} if status in _STATUSES else result


def _result_blocks(block: Any) -> Iterator[Block]:
    for kind, value, original in _members(block):
        cleaned = _CLEANERS[kind](value) if kind in _IN_RESULTS else None
        if cleaned is not None:
            yield citations.in_result(original if cleaned is value else {kind: cleaned})
        elif kind in ("toolUse", "toolResult"):
            yield {"text": render({kind: value})}
        else:
            yield from map(in_result, _substitutes(kind, value))


def _same(one: Any, other: Any) -> bool:
    return one is other


def _reasoning(value: Any) -> dict[str, Any] | None:
    """Only as it was signed: one without a signature, or that would have to be changed, is of no use."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return None
    if "redactedContent" in value:
        redacted = value["redactedContent"]
        return value if type(value) is dict and isinstance(redacted, bytes) and redacted else None
    text = value.get("reasoningText")
    if not isinstance(text, Mapping) or text.keys() != {"text", "signature"}:
        return None
    # The text may be empty: models that do not show their reasoning sign it all the same.
    shown, signature = text["text"], text["signature"]
    if type(shown) is not str or not is_encodable(shown) or not is_text(signature):
        return None
    return value if type(value) is dict and type(text) is dict else {"reasoningText": dict(text)}


_CLEANERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "text": _text,
    "json": json_object,
    "toolUse": _tool_use,
    "toolResult": _tool_result,
    "guardContent": clean_guard_content,
    "reasoningContent": _reasoning,
    "cachePoint": clean_cache_point,
    "citationsContent": citations.clean_cited,
    **MEDIA,
}
