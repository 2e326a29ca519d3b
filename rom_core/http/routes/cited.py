"""Citations in the forms of Anthropic's and OpenAI's APIs: of an answer, and of one that a client sends back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

Citation = Mapping[str, Any]
"""As an answer of /api/chat has it (`rom_core.answer_schemas.CITATION`)."""
# Anthropic's type of a place, the members that say where it begins and ends, and Converse's name for it.
_PLACES: Final = {
    "page_location": ("start_page_number", "end_page_number", "documentPage"),
    "char_location": ("start_char_index", "end_char_index", "documentChar"),
    "content_block_location": ("start_block_index", "end_block_index", "documentChunk"),
}


def cited_texts(reply: str, citations: Sequence[Citation]) -> Iterator[tuple[str, list[Citation]]]:
    """The answer in pieces, each with the citations that it rests on.

    >>> list(cited_texts("ab", [{"reply": {"start": 1, "end": 2}}]))
    [('a', []), ('b', [{'reply': {'start': 1, 'end': 2}}])]
    """
    place = 0
    for start, end in sorted({(one["reply"]["start"], one["reply"]["end"]) for one in citations}):
        if start > place:
            yield reply[place:start], []
        if end > place:
            inside = [one for one in citations if place < one["reply"]["end"] <= end]
            yield reply[max(start, place) : end], inside
            place = end
    if place < len(reply):
        yield reply[place:], []


def anthropic_citation(citation: Citation) -> dict[str, Any]:
    """As a text block of Anthropic's API has it: pages count from 1, characters from 0, ends are excluded."""
    said = {
        "cited_text": citation["quote"],
        "document_index": citation["document"],
        "document_title": citation["name"],
        "file_id": None,
    }
    if "page" in citation:
        pages = {"start_page_number": citation["page"], "end_page_number": citation["last_page"] + 1}
        return {"type": "page_location", **said, **pages}
    place = citation["range"]
    return {"type": "char_location", **said, "start_char_index": place["start"], "end_char_index": place["end"]}


def converse_citations(citations: Sequence[Any]) -> list[dict[str, Any]]:
    """What a client sends back of an answer, as Converse has it; what is no place in a document is left out."""
    made: list[dict[str, Any]] = []
    for one in citations:
        if not isinstance(one, Mapping) or one.get("type") not in _PLACES:
            continue
        start, end, name = _PLACES[one["type"]]
        place = {"documentIndex": one.get("document_index"), "start": one.get(start), "end": one.get(end)}
        made.append({"sourceContent": [{"text": one.get("cited_text")}], "location": {name: place}})
    return made


def openai_annotation(citation: Citation) -> dict[str, Any]:
    """As a message of OpenAI's API has it, whose clients know of one kind only.

    The address names the file and the place in it: a page of a PDF as in RFC 8118, characters as in RFC 5147.
    """
    place = citation.get("range")
    where = f"page={citation['page']}" if place is None else f"char={place['start']},{place['end']}"
    cited = {
        "start_index": citation["reply"]["start"],
        "end_index": citation["reply"]["end"],
        "title": citation["name"],
        "url": f"attachment:{quote(citation['name'], safe='')}#{where}",
    }
    return {"type": "url_citation", "url_citation": cited}
