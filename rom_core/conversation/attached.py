"""The documents and images of a whole request, within what Bedrock takes of them together.

docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Message.html: 5 documents of 4.5 MB, 20 images of 3.75 MB;
Claude models count both together. No two documents have one name. What clients send is refused beyond that, with a
sentence (rom_core/documents); this is for what tools and plugins bring.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from rom_core.conversation.model import UNUSABLE, Block, Message

MAX_DOCUMENTS: Final = 5
MAX_MEDIA: Final = 20
_MAX_BYTES: Final[Mapping[str, int]] = {"document": 4_500_000, "image": 3_750_000}
_MAX_NAME: Final = 200
Change = Callable[[str, Any], Block | None]


def fit_media(messages: list[Message]) -> None:
    """Replace, in this list, messages whose documents and images are too many, too large, or have a name twice.

    The newest stay; a text stands in the place of the others. Messages themselves are not changed.
    """
    found: list[tuple[str, bool]] = []

    def count(kind: str, value: Any) -> None:
        found.append((kind, len(value["source"].get("bytes") or b"") <= _MAX_BYTES[kind]))

    for message in messages:
        _changed(message, count)
    if found:
        fitting = _Fitting(found)
        messages[:] = [_changed(message, fitting.next) for message in messages]


class _Fitting:
    """What becomes of each document and image, asked in order."""

    def __init__(self, found: list[tuple[str, bool]]) -> None:
        """`found` has the kind of each, and whether its size is allowed."""
        self._keep = [False] * len(found)
        self._at = 0
        self._names: set[str] = set()
        documents = media = 0
        for index in reversed(range(len(found))):
            kind, small = found[index]
            if small and media < MAX_MEDIA and (kind != "document" or documents < MAX_DOCUMENTS):
                self._keep[index] = True
                media += 1
                documents += kind == "document"

    def next(self, kind: str, value: Any) -> Block | None:
        """The block in the place of this one; None if it stays."""
        self._at += 1
        if not self._keep[self._at - 1]:
            return {"text": UNUSABLE.format(kind=kind)}
        if kind != "document":
            return None
        name = self._unique(value["name"])
        return None if name == value["name"] else {kind: {**value, "name": name}}

    def _unique(self, name: str) -> str:
        unique, number = name, 1
        while unique.lower() in self._names:
            number += 1
            suffix = f" {number}"
            unique = name[: _MAX_NAME - len(suffix)].rstrip() + suffix
        self._names.add(unique.lower())
        return unique


def _changed(holder: Any, change: Change | Callable[[str, Any], None]) -> Any:
    """The message or toolResult with its media as `change` has them; itself if nothing changes."""
    content: list[Block] = []
    different = False
    for block in holder["content"]:
        new = block
        if "document" in block or "image" in block:
            ((kind, value),) = block.items()
            new = change(kind, value) or block
        elif "toolResult" in block:
            result = _changed(block["toolResult"], change)
            new = block if result is block["toolResult"] else {"toolResult": result}
        different = different or new is not block
        content.append(new)
    return {**holder, "content": content} if different else holder
