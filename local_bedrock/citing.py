"""Citations: where they may be asked for, where they may be sent back, and a quote from a document.

What is refused, and the shape of what is answered, follow answers of Claude on Bedrock and reports of its users: boto3
issues 4726 (text with bytes), 4648 (documents in tool results) and 4608 (models), strands-agents pull request 2135
(text without citations). That documents with and without citations are not mixed is a rule of Anthropic's pages.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from typing import Any

_FROM_MODEL = "The model returned the following errors: "
_FORMATS = ("txt", "pdf")
_LONGEST = 200
_KINDS = ("documentPage", "documentChar", "documentChunk")


def check_citations(messages: list[dict[str, Any]]) -> Iterator[str]:
    """What is wrong with the documents of a request whose citations are asked for, and with citations sent back."""
    asked: list[bool] = []
    for index, message in enumerate(messages):
        for number, block in enumerate(message["content"]):
            where = f"messages.{index}.content.{number}"
            if document := block.get("document"):
                yield from _document(document, where)
                asked.append(enabled(document))
            for inner in (block.get("toolResult") or {}).get("content") or ():
                if enabled(inner.get("document") or {}):
                    yield "Citations are not supported in tool result documents."
            if cited := block.get("citationsContent"):
                yield from _sent_back(cited, asked, where)
    if any(asked) and not all(asked):
        yield f"{_FROM_MODEL}citations: must be enabled on all documents of a request, or on none."


def enabled(document: Mapping[str, Any]) -> bool:
    """Whether citations are asked for on a document."""
    return bool((document.get("citations") or {}).get("enabled"))


def quote_of(body: Mapping[str, Any], wanted: str | None) -> dict[str, Any] | None:
    """A citation from the first document of the newest message that has any, None if nothing is to be cited.

    It quotes the first line; `wanted` is quoted in its place, wherever that stands.
    """
    documents = [
        (index, block["document"])
        for index, message in enumerate(body["messages"])
        for block in message["content"]
        if block.get("document")
    ]
    newest = max((index for index, document in documents if enabled(document)), default=-1)
    for number, (index, document) in enumerate(documents):
        if index != newest:
            continue
        text = _text(document)
        quote = wanted or next((line.strip() for line in text.splitlines() if line.strip()), "")[:_LONGEST]
        if not quote:
            return None
        start = max(0, text.find(quote))
        chars = {"documentChar": {"documentIndex": number, "start": start, "end": start + len(quote)}}
        page = {"documentPage": {"documentIndex": number, "start": 1, "end": 2}}
        location = page if document.get("format") == "pdf" else chars
        return {"title": document["name"], "sourceContent": [{"text": quote}], "location": location}
    return None


def _text(document: Mapping[str, Any]) -> str:
    source = document["source"]
    if document.get("format") != "pdf":
        return str(source.get("text") or "")
    from pypdf import PdfReader

    try:
        return PdfReader(io.BytesIO(base64.b64decode(source["bytes"]))).pages[0].extract_text()
    except Exception:  # noqa: BLE001 - a PDF that cannot be read has nothing to quote
        return ""


def _document(document: Mapping[str, Any], where: str) -> Iterator[str]:
    source, kind = document["source"], document.get("format") or "txt"
    plain = source.get("text") is not None or source.get("content") is not None
    if not enabled(document):
        if plain:
            yield (
                f"DocumentSource object at {where}.document.source must set one of the following keys: bytes, "
                "s3Location."
            )
    elif kind not in _FORMATS:
        yield "Unsupported document format. Only txt and pdf formats are supported when citations are enabled"
    elif plain != (kind == "txt"):
        yield f"{_FROM_MODEL}{where}.image.source.bytes: The PDF specified was not valid."


def _sent_back(cited: Mapping[str, Any], asked: list[bool], where: str) -> Iterator[str]:
    texts = [part.get("text") or "" for part in cited.get("content") or ()]
    if not "".join(texts).strip():
        yield f"The text field in the ContentBlock object at {where} is blank. Add text to the text field."
    for citation in cited.get("citations") or ():
        kind, place = next(iter((citation.get("location") or {"": {}}).items()))
        number = place.get("documentIndex")
        if kind not in _KINDS or number is None or number >= len(asked) or not asked[number]:
            yield f"{_FROM_MODEL}{where}.citations: there is no document {number} that citations are asked of."
        elif place.get("start", 0) >= place.get("end", 0):
            yield f"{_FROM_MODEL}{where}.citations: the end must come after the start."
        elif not any((part.get("text") or "").strip() for part in citation.get("sourceContent") or ()):
            yield f"{_FROM_MODEL}{where}.citations: cited_text: Field required"
