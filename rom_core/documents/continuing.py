"""Files of a new message beside those that a conversation holds already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from rom_core.documents.attachment import document_name
from rom_core.documents.citable import NOT_CITED
from rom_core.documents.prepare import check_numbers, inside
from rom_core.turn_values import ChatRequest, Message

_NOT_CITED: Final = (
    "As citações foram dispensadas nesta resposta: só o primeiro documento de uma conversa guardada pode ser citado. "
    "Para citações deste arquivo, comece uma nova conversa com ele."
)


def continued(past: Sequence[Message], request: ChatRequest) -> tuple[tuple[Message, ...], ChatRequest]:
    """The earlier messages, and the request with those that are new: its documents have names that no earlier one has.

    What is earlier stays as it was, unless a document comes to it that is cited where others are not: Anthropic's
    models take citations on all documents or on none, and the texts of earlier ones, in which quotes would be looked
    up, are not at hand any more. Then none is cited, and if that was asked for the answer says so.

    Raises TooManyDocuments or TooManyImages if the request would have too many of them, earlier messages included.
    """
    taken = {block["document"]["name"].lower() for message in past for block in _documents(message["content"])}
    new = tuple({**message, "content": _renamed(message["content"], taken)} for message in request.messages)
    check_numbers([kind for message in (*past, *new) for kind in _kinds(message["content"])], "attachments")
    documents = any(True for message in new for _ in _documents(message["content"]))
    if not taken or not (documents or request.citations):
        return tuple(past), replace(request, messages=new)
    if request.citations:
        told = ({"code": NOT_CITED, "text": _NOT_CITED},)
        request = replace(request, citations=False, sources=None, warnings=(*request.warnings, *told))
    return tuple(map(_uncited, past)), replace(request, messages=tuple(map(_uncited, new)))


def _uncited(message: Message) -> Message:
    if not any("citations" in block["document"] for block in _documents(message["content"])):
        return message
    return {**message, "content": [_without_citations(block) for block in message["content"]]}


def _without_citations(block: dict[str, Any]) -> dict[str, Any]:
    if "document" not in block:
        return block
    return {"document": {name: value for name, value in block["document"].items() if name != "citations"}}


def _documents(content: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    return (block for block in inside(content) if "document" in block)


def _kinds(content: Sequence[dict[str, Any]]) -> Iterator[str]:
    return (kind for block in inside(content) for kind in ("document", "image") if kind in block)


def _renamed(content: Sequence[dict[str, Any]], taken: set[str]) -> list[dict[str, Any]]:
    renamed: list[dict[str, Any]] = []
    for block in content:
        if "document" in block:
            name = block["document"]["name"]
            unique = document_name(name, taken)
            if unique != name and renamed and "text" in renamed[-1]:
                # The suspicion that stands before a document names it.
                renamed[-1] = {"text": renamed[-1]["text"].replace(name, unique)}
            renamed.append({"document": {**block["document"], "name": unique}})
        else:
            renamed.append(block)
    return renamed
