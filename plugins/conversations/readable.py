"""A conversation as people read it: one message for what a person said, one for all that was answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rom_core.answer_schemas import CARD
from rom_core.concurrency.clock import iso
from rom_core.store import content

if TYPE_CHECKING:
    from plugins.conversations.keeping import TurnRow
    from rom_core.tools import ToolBox

_TEXT: Final[Mapping[str, Any]] = {"type": "string"}
_PAGE: Final[Mapping[str, Any]] = {"type": "integer", "minimum": 1}
MESSAGE: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["role", "text", "tool_calls", "attachments", "citations", "at", "state"],
    "properties": {
        "role": {"enum": ["user", "assistant"]},
        "text": _TEXT,
        "tool_calls": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "name", "status"],
                "properties": {
                    "id": _TEXT,
                    "name": _TEXT,
                    "status": {"enum": ["success", "error", "none"]},
                    "card": CARD,
                },
            },
        },
        "attachments": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "kind", "format", "bytes"],
                "properties": {
                    "name": _TEXT,
                    "kind": {"enum": ["document", "image"]},
                    "format": _TEXT,
                    "bytes": {"type": "integer", "minimum": 0},
                },
            },
        },
        "citations": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "quote"],
                "properties": {
                    "name": {**_TEXT, "description": "the document's, as the model knows it"},
                    "page": _PAGE,
                    "last_page": _PAGE,
                    "quote": _TEXT,
                },
            },
        },
        "at": {"type": "string", "format": "date-time"},
        "state": {"enum": ["whole", "cut", "failed"], "description": "of the turn that the message belongs to"},
    },
}


def readable(row: TurnRow, messages: Sequence[Mapping[str, Any]], tools: ToolBox) -> Iterator[dict[str, Any]]:
    """The messages of a turn, of which `row` is what is kept; `tools` say of which results there are cards."""
    asked = [m for m in messages if m["role"] == "user" and not any("toolResult" in b for b in m["content"])]
    for message in asked[:1]:
        yield _message("user", row, text=content.text_of(message), attachments=_attachments(message))
    said = [message for message in messages if message["role"] == "assistant"]
    if said:
        texts = (content.text_of(message) for message in said)
        yield _message(
            "assistant",
            row,
            text="\n\n".join(text for text in texts if text.strip()),
            tool_calls=list(_tool_calls(messages, tools)),
            citations=[_citation(one) for message in said for one in _cited(message)],
        )


def _message(role: str, row: TurnRow, text: str, **lists: list[dict[str, Any]]) -> dict[str, Any]:
    empty: dict[str, Any] = {"tool_calls": [], "attachments": [], "citations": []}
    return {"role": role, "text": text, **empty, **lists, "at": iso(row.at), "state": row.state}


def _tool_calls(messages: Sequence[Mapping[str, Any]], tools: ToolBox) -> Iterator[dict[str, Any]]:
    blocks = [block for message in messages for block in message["content"]]
    results = {block["toolResult"]["toolUseId"]: block["toolResult"] for block in blocks if "toolResult" in block}
    for use in (block["toolUse"] for block in blocks if "toolUse" in block):
        result, tool = results.get(use["toolUseId"]), tools.get(use["name"])
        status = result.get("status", "success") if result else "none"
        card = tool.card_of(status, result["content"]) if tool and result else None
        yield {"id": use["toolUseId"], "name": use["name"], "status": status, **({"card": card} if card else {})}


def _attachments(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = []
    for block in message["content"]:
        for kind in ("document", "image"):
            if kind in block:
                file = block[kind]
                name = file.get("name") or f"imagem.{file['format']}"
                size = len(file["source"].get("bytes", b""))
                listed.append({"name": name, "kind": kind, "format": file["format"], "bytes": size})
    return listed


def _cited(message: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for block in message["content"]:
        yield from (block.get("citationsContent") or {}).get("citations") or ()


def _citation(citation: Mapping[str, Any]) -> dict[str, Any]:
    """Of a PDF with its pages; Converse's end is the first page that does not belong to it."""
    place = citation["location"].get("documentPage")
    pages = {"page": place["start"], "last_page": place["end"] - 1} if place else {}
    quote = "".join(part["text"] for part in citation["sourceContent"])
    return {"name": citation.get("title", ""), **pages, "quote": quote}
