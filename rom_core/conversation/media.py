"""Images, documents, videos, audio, search results and guarded content: kept if Bedrock takes them, in clean form.

Formats and characters are those of the API reference of ContentBlock and its members. Each function takes the value of
a block and answers with the value to send, or None if nothing can be made of it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, Final

from rom_core.conversation.citations import fit_document
from rom_core.conversation.values import clean_text, is_text, sequence

_FORMATS: Final[Mapping[str, tuple[str, ...]]] = {
    "image": ("png", "jpeg", "gif", "webp"),
    "document": ("pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"),
    "video": ("mkv", "mov", "mp4", "webm", "flv", "mpeg", "mpg", "wmv", "three_gp"),
    "audio": (
        *("mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv"),
        *("mka", "x-aac", "m4a", "mpeg", "mpga", "pcm", "webm"),
    ),
}
_QUALIFIERS: Final = ("grounding_source", "query", "guard_content")
_S3_URI: Final = re.compile(r"s3://[a-z0-9][.\-a-z0-9]{1,61}[a-z0-9](/.*)?")
_S3_OWNER: Final = re.compile(r"[0-9]{12}")
_MAX_URI: Final = 1024
_MAX_DOCUMENT_NAME: Final = 200
# Bedrock takes no other characters in the name of a document, and no two spaces in a row.
_NOT_DOCUMENT_NAME: Final = re.compile(r"[^a-zA-Z0-9\-()\[\] ]+")


def _medium(kind: str) -> Callable[[Any], dict[str, Any] | None]:
    def clean(value: Any) -> dict[str, Any] | None:
        if not isinstance(value, Mapping) or value.get("format") not in _FORMATS[kind]:
            return None
        source = _source(value.get("source"), ("bytes", "s3Location"))
        return None if source is None else {"format": value["format"], "source": source}

    return clean


def clean_document(value: Any) -> dict[str, Any] | None:
    """A document; its name keeps letters without accents, digits, spaces, hyphens, round and square brackets."""
    if not isinstance(value, Mapping) or value.get("format", "txt") not in _FORMATS["document"]:
        return None
    source = _source(value.get("source"), ("bytes", "s3Location", "text"))
    if source is None:
        return None
    plain = unicodedata.normalize("NFKD", clean_text(value.get("name"))).encode("ascii", "ignore").decode()
    name = " ".join(_NOT_DOCUMENT_NAME.sub(" ", plain).split())[:_MAX_DOCUMENT_NAME].strip()
    cleaned: dict[str, Any] = {"name": name or "documento", "source": source}
    if "format" in value:
        cleaned["format"] = value["format"]
    if is_text(value.get("context")):
        cleaned["context"] = value["context"]
    if (citations := _citations(value)) is not None:
        cleaned["citations"] = citations
    return fit_document(cleaned)


def clean_search_result(value: Any) -> dict[str, Any] | None:
    """A search result with at least one text, a source and a title."""
    if not isinstance(value, Mapping):
        return None
    texts = [text for text in texts_of(value) if text.strip()]
    source, title = clean_text(value.get("source")), clean_text(value.get("title"))
    if not (texts and source.strip() and title.strip()):
        return None
    cleaned: dict[str, Any] = {"source": source, "title": title, "content": [{"text": text} for text in texts]}
    if (citations := _citations(value)) is not None:
        cleaned["citations"] = citations
    return cleaned


def clean_guard_content(value: Any) -> dict[str, Any] | None:
    """A text or an image that a guardrail is to look at."""
    if not isinstance(value, Mapping):
        return None
    text, image = value.get("text"), value.get("image")
    if isinstance(text, Mapping):
        words = clean_text(text.get("text"))
        qualifiers = [word for word in sequence(text.get("qualifiers")) if word in _QUALIFIERS]
        guarded = {"text": words, **({"qualifiers": qualifiers} if qualifiers else {})}
        return {"text": guarded} if words.strip() else None
    if not isinstance(image, Mapping) or image.get("format") not in ("png", "jpeg"):
        return None
    source = _source(image.get("source"), ("bytes",))
    return None if source is None else {"image": {"format": image["format"], "source": source}}


def texts_of(value: Any) -> list[str]:
    """The texts in the `content` of a searchResult or citationsContent."""
    content = value.get("content") if isinstance(value, Mapping) else None
    return [clean_text(item["text"]) for item in sequence(content) if isinstance(item, Mapping) and "text" in item]


def _citations(value: Mapping[str, Any]) -> dict[str, bool] | None:
    given = value.get("citations")
    enabled = given.get("enabled") if isinstance(given, Mapping) else None
    return {"enabled": enabled} if isinstance(enabled, bool) else None


def _source(value: Any, kinds: tuple[str, ...]) -> dict[str, Any] | None:
    """The one usable member of a medium's source."""
    for kind in kinds if isinstance(value, Mapping) else ():
        member = value.get(kind)
        if kind == "bytes" and isinstance(member, (bytes, bytearray)) and member:
            return {kind: member}
        if kind == "text" and is_text(member):
            return {kind: member}
        if kind == "s3Location" and (location := _s3_location(member)) is not None:
            return {kind: location}
    return None


def _s3_location(value: Any) -> dict[str, str] | None:
    uri = value.get("uri") if isinstance(value, Mapping) else None
    if not isinstance(uri, str) or len(uri) > _MAX_URI or not _S3_URI.fullmatch(uri) or not is_text(uri):
        return None
    owner = value.get("bucketOwner")
    owned = isinstance(owner, str) and _S3_OWNER.fullmatch(owner)
    return {"uri": uri, "bucketOwner": str(owner)} if owned else {"uri": uri}


MEDIA: Final[Mapping[str, Callable[[Any], dict[str, Any] | None]]] = {
    "image": _medium("image"),
    "document": clean_document,
    "video": _medium("video"),
    "audio": _medium("audio"),
    "searchResult": clean_search_result,
}
"""What may stand in a user message only, and moves to one when it is found elsewhere."""
