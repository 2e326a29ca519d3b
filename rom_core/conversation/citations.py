"""Citations in what goes to a model: asked for where they are taken, and sent back only of documents that are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import is_not
from typing import Any, Final

from rom_core.conversation.model import Block, Message
from rom_core.conversation.values import clean_text, is_text, sequence

_LOCATIONS: Final = ("documentPage", "documentChar", "documentChunk")
_CITED_FORMATS: Final = ("pdf", "txt")


def fit_document(document: dict[str, Any]) -> dict[str, Any]:
    """A clean document in the form in which Converse takes it: with citations, or without them.

    With them only PDFs as bytes and plain text as text are taken, without them only bytes.
    """
    source, kind = document["source"], document.get("format", "txt")
    if _asks(document) and kind in _CITED_FORMATS and ("text" in source) == (kind == "txt"):
        return document
    plain = {name: value for name, value in document.items() if name != "citations"}
    if "text" in source:
        plain |= {"source": {"bytes": source["text"].encode()}, "format": kind}
    return plain if plain != document else document


def without_citations(block: Block) -> Block:
    """A clean block as a model takes it that does not cite."""
    if "document" in block and "citations" in block["document"]:
        plain = {name: value for name, value in block["document"].items() if name != "citations"}
        return {"document": fit_document(plain)}
    if "citationsContent" in block:
        return as_text(block)
    return block


def as_text(block: Block) -> Block:
    """A cited text without its citations."""
    return {"text": "".join(part["text"] for part in block["citationsContent"]["content"])}


def in_result(block: Block) -> Block:
    """A clean block in the result of a tool, where no citations are taken."""
    return without_citations(block) if "document" in block else block


def clean_cited(value: Any) -> dict[str, Any] | None:
    """A cited text with those of its citations that have a place in a document and a quote; None if there are none."""
    if not isinstance(value, Mapping):
        return None
    parts = [part for part in sequence(value.get("content")) if isinstance(part, Mapping)]
    text = "".join(clean_text(part.get("text")) for part in parts)
    citations = [one for one in map(_citation, sequence(value.get("citations"))) if one is not None]
    if not text.strip() or not citations:
        return None
    cleaned = {"content": [{"text": text}], "citations": citations}
    return value if type(value) is dict and cleaned == value else cleaned


def fit_citations(messages: list[Message]) -> None:
    """Replace, in this list, messages whose citations a model would not take; messages themselves are not changed.

    Citations are asked for on all documents or on none, and come back only of documents that stand before them with
    citations asked for.
    """
    asked = {_asks(block["document"]) for message in messages for block in message["content"] if "document" in block}
    mixed, documents = len(asked) > 1, list[bool]()
    for index, message in enumerate(messages):
        content = message["content"]
        if not any("document" in block or "citationsContent" in block for block in content):
            continue
        if mixed:
            fitted = [without_citations(block) for block in content]
        else:
            documents += [_asks(block["document"]) for block in content if "document" in block]
            fitted = [_fitted(block, documents) if "citationsContent" in block else block for block in content]
        if any(map(is_not, fitted, content)):
            messages[index] = {**message, "content": fitted}


def asks_for_citations(messages: Any) -> bool:
    """Whether they are asked for on any document of these messages, which may be anything."""
    contents = [message.get("content") for message in sequence(messages) if isinstance(message, Mapping)]
    blocks = [block for content in contents for block in sequence(content) if isinstance(block, Mapping)]
    return any(isinstance(one := block.get("document"), Mapping) and _asks(one) for block in blocks)


def _asks(document: Mapping[str, Any]) -> bool:
    asked = document.get("citations")
    return isinstance(asked, Mapping) and asked.get("enabled") is True


def _fitted(block: Block, documents: Sequence[bool]) -> Block:
    cited = block["citationsContent"]
    kept = [one for one in cited["citations"] if _stands(one, documents)]
    if len(kept) == len(cited["citations"]):
        return block
    return {"citationsContent": {**cited, "citations": kept}} if kept else as_text(block)


def _stands(citation: Mapping[str, Any], documents: Sequence[bool]) -> bool:
    (place,) = citation["location"].values()
    number = place["documentIndex"]
    return bool(number < len(documents) and documents[number])


def _citation(value: Any) -> dict[str, Any] | None:
    if not isinstance(value, Mapping):
        return None
    location = value.get("location")
    quote = [{"text": part["text"]} for part in sequence(value.get("sourceContent")) if _says(part)]
    if not isinstance(location, Mapping) or not quote:
        return None
    for kind in _LOCATIONS:
        place = location.get(kind)
        if isinstance(place, Mapping):
            number, start, end = (place.get(name) for name in ("documentIndex", "start", "end"))
            if not (type(number) is type(start) is type(end) is int and number >= 0 and 0 <= start < end):
                return None
            title = {"title": value["title"]} if is_text(value.get("title")) else {}
            where = {"documentIndex": number, "start": start, "end": end}
            return {**title, "sourceContent": quote, "location": {kind: where}}
    return None


def _says(part: Any) -> bool:
    return isinstance(part, Mapping) and is_text(part.get("text"))
