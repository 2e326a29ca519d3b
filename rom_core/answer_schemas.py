"""The JSON Schemas of what an answer holds: `turn_values.TurnResult` says which field has which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

USAGE_FIELDS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")


def described(kind: str, description: str = "", **more: Any) -> dict[str, Any]:
    """The metadata of a field: the JSON Schema of what stands for it in an answer."""
    words = {"description": description} if description else {}
    return {"schema": {"type": kind, **words, **more}}


_TEXT: Mapping[str, Any] = {"type": "string"}
_COUNT: Mapping[str, Any] = {"type": "integer", "minimum": 0}
_RANGE: Mapping[str, Any] = {
    "type": "object",
    "required": ["start", "end"],
    "properties": {"start": _COUNT, "end": _COUNT},
}
CARD: Mapping[str, Any] = {
    "type": "object",
    "description": "what the tool found, to be shown to a person; `kind` says how `data` is to be read",
    "required": ["kind", "data"],
    "properties": {"kind": _TEXT, "data": {"type": "object"}},
}
TOOL_CALL: Mapping[str, Any] = {
    "type": "object",
    "required": ["id", "name", "status", "duration_ms"],
    "properties": {
        "id": _TEXT,
        "name": _TEXT,
        "status": {"enum": ["success", "error"]},
        "duration_ms": _COUNT,
        "card": CARD,
    },
}
TOOL_USE: Mapping[str, Any] = {
    "type": "object",
    "required": ["id", "name", "input"],
    "properties": {"id": _TEXT, "name": _TEXT, "input": {"type": "object"}},
}
PENDING_RESULT: Mapping[str, Any] = {
    "type": "object",
    "required": ["id", "name", "input", "content", "status"],
    "properties": {
        **TOOL_USE["properties"],
        "content": {"type": "array", "items": {"type": "object"}},
        "status": {"enum": ["success", "error"]},
    },
}
WARNING: Mapping[str, Any] = {
    "type": "object",
    "required": ["code", "text"],
    "properties": {"code": _TEXT, "attachment": {**_TEXT, "description": "the file's name"}, "text": _TEXT},
}
CITATION: Mapping[str, Any] = {
    "type": "object",
    "required": ["document", "name", "quote", "reply"],
    "properties": {
        "document": {**_COUNT, "description": "which document of the request, counted from 0"},
        "name": {**_TEXT, "description": "the document's"},
        "page": {"type": "integer", "minimum": 1, "description": "of a PDF: the first page of the quote"},
        "last_page": {"type": "integer", "minimum": 1},
        "range": {**_RANGE, "description": "of another document: the characters of its text, the end excluded"},
        "quote": {**_TEXT, "description": "what stands there"},
        "reply": {**_RANGE, "description": "the characters of `reply` that rest on it, the end excluded"},
    },
}
USAGE: Mapping[str, Any] = {
    "type": "object",
    "description": "tokens of four disjoint kinds; their sum was billed",
    "required": list(USAGE_FIELDS),
    "properties": dict.fromkeys(USAGE_FIELDS, _COUNT),
}
