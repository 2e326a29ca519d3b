"""Files of a new message beside those that a conversation holds already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rom_core.documents.attachment import document_name
from rom_core.documents.prepare import check_numbers, inside

Message = dict[str, Any]


def continued(past: Sequence[Message], new: Iterable[Message]) -> tuple[Message, ...]:
    """The `new` messages, their documents renamed where an earlier one has the name; earlier ones never change.

    Raises TooManyDocuments or TooManyImages if the request would have too many of them, earlier messages included.
    """
    taken = {block["document"]["name"].lower() for message in past for block in _documents(message["content"])}
    renamed = tuple({**message, "content": _renamed(message["content"], taken)} for message in new)
    check_numbers([kind for message in (*past, *renamed) for kind in _kinds(message["content"])], "attachments")
    return renamed


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
