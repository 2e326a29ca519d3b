"""The text of a DOCX as it is quoted from: paragraphs as lines, the document first, then its notes, heads and feet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

_LINES: Final = ("p", "br", "cr")
_FIRST: Final = ("word/document", "word/footnotes", "word/endnotes")


class Handler(Protocol):
    """What happens at the tags of a part, whose names have no prefix here."""

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """A tag opens."""

    def end(self, tag: str) -> None:
        """It closes."""

    def text(self, text: str) -> None:
        """Characters between tags."""


@dataclass(slots=True)
class Words:
    """The text of a part without what was deleted, passing on to another handler all that it is given."""

    beside: Handler
    pieces: list[str] = field(default_factory=list)
    _in_text: bool = False

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Text is what stands in `t`."""
        self._in_text = self._in_text or tag == "t"
        self.beside.start(tag, attributes)

    def end(self, tag: str) -> None:
        """Tabs and line breaks have elements of their own."""
        if tag == "t":
            self._in_text = False
        elif tag == "tab":
            self.pieces.append("\t")
        elif tag in _LINES:
            self.pieces.append("\n")
        self.beside.end(tag)

    def text(self, text: str) -> None:
        """Kept."""
        if self._in_text:
            self.pieces.append(text)
        self.beside.text(text)


def whole_text(parts: Mapping[str, Words]) -> str:
    """The parts, by name, in the order in which they are read."""
    order = sorted(parts, key=lambda name: (not name.startswith(_FIRST), [not name.startswith(one) for one in _FIRST]))
    texts = ("".join(parts[name].pieces).strip("\n") for name in order)
    return "\n\n".join(text for text in texts if text.strip())
