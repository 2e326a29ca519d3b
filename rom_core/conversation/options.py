"""The rest of a request: system, inferenceConfig, toolConfig and additionalModelRequestFields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from math import isfinite, nan
from operator import is_
from typing import Any, Final

from rom_core.conversation.blocks import clean_cache_point
from rom_core.conversation.exchange import Memo
from rom_core.conversation.media import clean_guard_content
from rom_core.conversation.model import Block, ModelCapabilities
from rom_core.conversation.values import clean_name, clean_text, document, is_name, is_text, json_object, sequence

_MAX_STOP_SEQUENCES: Final = 2500
_MAX_EFFORT_CHARS: Final = 16
_SAMPLING: Final = frozenset(("temperature", "top_p", "top_k", "topP", "topK"))
_ANY_OBJECT: Final[Mapping[str, Any]] = {"type": "object", "additionalProperties": True}


def clean_system(system: Any) -> list[Block]:
    """The blocks of a system prompt that say something; a plain str is one."""
    kept: list[Block] = []
    for block in sequence(system):
        if isinstance(block, Mapping):
            kept += _system_blocks(block)
        elif isinstance(block, str) and (text := clean_text(block)).strip():
            kept.append({"text": text})
    return kept


def clean_inference(config: Any, model: ModelCapabilities) -> dict[str, Any]:
    """What of inferenceConfig can be sent: numbers within their limits, stop sequences that are not blank."""
    given = config if isinstance(config, Mapping) else {}
    cleaned: dict[str, Any] = {}
    if (tokens := _number(given.get("maxTokens"))) is not None:
        cleaned["maxTokens"] = max(1, min(int(tokens), model.max_tokens))
    for name in ("temperature", "topP") if model.sampling else ():
        if (number := _number(given.get(name))) is not None:
            cleaned[name] = max(0, min(number, 1))
    if "temperature" in cleaned and not model.temperature_with_top_p:
        cleaned.pop("topP", None)
    texts = [clean_text(text) for text in sequence(given.get("stopSequences")) if isinstance(text, str)]
    if stops := [text for text in texts if text.strip()]:
        cleaned["stopSequences"] = stops[:_MAX_STOP_SEQUENCES]
    return cleaned


def clean_tools(
    config: Any, used: Iterable[str], memo: Memo | None = None, *, forced_choice: bool = True
) -> dict[str, Any] | None:
    """The toolConfig, None for none; with tools made up from the names `used` in the history if it offers none.

    Bedrock refuses tool blocks in a history without toolConfig, and has no way to say "no tools now". Without
    `forced_choice` a toolChoice other than "auto" is left out: that model refuses to be forced.
    """
    given = config if isinstance(config, Mapping) else {}
    tools, names = _tools(given.get("tools")) if memo is None else _remembered(given.get("tools"), memo)
    if not names:
        made_up: list[Block] = [
            {"toolSpec": {"name": name, "description": name, "inputSchema": {"json": dict(_ANY_OBJECT)}}}
            for name in dict.fromkeys(used)
        ]
        return {"tools": made_up} if made_up else None
    choice = _choice(given.get("toolChoice"), names)
    if choice and not forced_choice and "auto" not in choice:
        choice = None
    return {"tools": tools, "toolChoice": choice} if choice else {"tools": tools}


def clean_fields(fields: Any, *, sampling: bool = True) -> dict[str, Any] | None:
    """additionalModelRequestFields as JSON can carry it; None for what is no object or says nothing.

    Without `sampling` the names that models give temperature and its like are left out.
    """
    if not isinstance(fields, Mapping):
        return None
    cleaned: dict[str, Any] = document(fields)
    if not sampling and not cleaned.keys().isdisjoint(_SAMPLING):
        cleaned = {name: value for name, value in cleaned.items() if name not in _SAMPLING}
    return cleaned or None


def clean_output(config: Any, model: ModelCapabilities) -> dict[str, Any] | None:
    """What of outputConfig can be sent: a schema for the text, and the effort of a model that thinks as it sees fit."""
    given = config if isinstance(config, Mapping) else {}
    cleaned: dict[str, Any] = {}
    if model.structured_output and isinstance(given.get("textFormat"), Mapping):
        cleaned["textFormat"] = given["textFormat"]
    effort = clean_text(given.get("effort"))
    if model.thinking in ("adaptive", "always") and is_text(effort) and len(effort) <= _MAX_EFFORT_CHARS:
        cleaned["effort"] = effort
    return cleaned or None


def _system_blocks(block: Mapping[str, Any]) -> Iterator[Block]:
    for kind, value in block.items():
        if kind == "text":
            if type(block) is dict and len(block) == 1 and is_text(value):
                yield block
            elif (text := clean_text(value)).strip():
                yield {"text": text}
        elif kind == "guardContent" and (guarded := clean_guard_content(value)) is not None:
            yield {"guardContent": guarded}
        elif kind == "cachePoint" and (point := clean_cache_point(value)) is not None:
            yield {"cachePoint": point}


def _number(value: Any) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return None
    if isinstance(value, int):
        return value
    number = float(value) if not isinstance(value, Decimal) or value.is_finite() else nan
    return number if isfinite(number) else None


def _remembered(given: Any, memo: Memo) -> tuple[list[Block], set[str]]:
    """As _tools, which is asked again only for other tools."""
    entries = list(sequence(given))
    known = memo.tools
    if known is None or len(known[0]) != len(entries) or not all(map(is_, known[0], entries)):
        known = memo.tools = (entries, *_tools(entries))
    return [*known[1]], known[2]


def _tools(given: Any) -> tuple[list[Block], set[str]]:
    tools: list[Block] = []
    names: set[str] = set()
    for entry in sequence(given):
        for kind, value in entry.items() if isinstance(entry, Mapping) else ():
            if kind == "cachePoint" and (point := clean_cache_point(value)) is not None:
                tools.append({"cachePoint": point})
            if kind not in ("toolSpec", "systemTool") or not isinstance(value, Mapping):
                continue
            name = clean_name(value.get("name"), "")
            if name and name not in names:
                names.add(name)
                tools.append(_tool_spec(entry, value, name) if kind == "toolSpec" else {"systemTool": {"name": name}})
    return tools, names


def _tool_spec(entry: Any, spec: Mapping[str, Any], name: str) -> Block:
    given = spec.get("inputSchema")
    schema = given.get("json") if isinstance(given, Mapping) else None
    cleaned = json_object(schema) if isinstance(schema, Mapping) else dict(_ANY_OBJECT)
    if cleaned.get("type") != "object":
        cleaned = {**cleaned, "type": "object"}
    description = spec.get("description")
    if (
        cleaned is schema
        and is_name(spec.get("name"))
        and is_text(description)
        and type(entry) is dict
        and type(spec) is dict
        and spec.keys() == {"name", "description", "inputSchema"}
        and given == {"json": schema}
        and len(entry) == 1
    ):
        return entry
    made: dict[str, Any] = {"name": name, "inputSchema": {"json": cleaned}}
    if isinstance(description, str) and (text := clean_text(description)).strip():
        made["description"] = text
    if isinstance(spec.get("strict"), bool):
        made["strict"] = spec["strict"]
    return {"toolSpec": made}


def _choice(given: Any, names: set[str]) -> dict[str, Any] | None:
    if not isinstance(given, Mapping):
        return None
    tool = given.get("tool")
    if isinstance(tool, Mapping):
        name = clean_name(tool.get("name"), "")
        return {"tool": {"name": name}} if name in names else None
    return next(({kind: {}} for kind in ("any", "auto") if isinstance(given.get(kind), Mapping)), None)
