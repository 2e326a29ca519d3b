"""Images and files in the messages of OpenAI's and Anthropic's APIs: their shapes, and what stands for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rom_core.documents.attachment import Attachment, decoded
from rom_core.documents.prepare import placeholder
from rom_core.errors import AttachmentUrl
from rom_core.http.body import REFUSAL, nullable

Body = Mapping[str, Any]
_TEXT = {"type": "string"}
_NOT_KEPT = "ids of files are known on /api/chat only; send the file's data"
# -- OpenAI ----------------------------------------------------------------------------------------------------------
OPENAI_MEDIA: Mapping[str, Any] = {
    "image_url": {
        "type": "object",
        "additionalProperties": False,
        "required": ["url"],
        "properties": {
            "url": {**_TEXT, "description": "a data URI; addresses are not fetched"},
            "detail": {"description": "changes nothing here"},
        },
    },
    "file": {
        "type": "object",
        "additionalProperties": False,
        "required": ["file_data"],
        "properties": {
            "filename": nullable(_TEXT),
            "file_data": {**_TEXT, "description": "a data URI, or base64"},
            "file_id": {"type": "null", REFUSAL: _NOT_KEPT},
        },
    },
}
"""Fields of a part, by its type."""
OPENAI_RULES: Any = [
    {
        "if": {"required": ["type"], "properties": {"type": {"enum": [kind]}}},
        "then": {"required": [kind]},
    }
    for kind in OPENAI_MEDIA
]


def openai_block(part: Body, path: str) -> dict[str, Any] | None:
    """The block that stands for a part with an image or a file; None for another part. Raises an AttachmentRefused."""
    if part["type"] == "image_url":
        url, place = part["image_url"]["url"], f"{path}.image_url.url"
        if url[:5].lower() != "data:":
            raise _not_fetched(place)
        return placeholder(decoded(url, place))
    if part["type"] == "file":
        file = part["file"]
        return placeholder(decoded(file["file_data"], f"{path}.file.file_data", name=file.get("filename") or ""))
    return None


# -- Anthropic -------------------------------------------------------------------------------------------------------
_SOURCE: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["type"],
    "properties": {
        "type": {"enum": ["base64", "text", "url"], REFUSAL: f"must be base64 or text: {_NOT_KEPT}"},
        "media_type": nullable(_TEXT),
        "data": _TEXT,
        "url": _TEXT,
        # Of a kind that is refused for its type; named so that it is not refused for this.
        "file_id": _TEXT,
        "content": {},
    },
    "allOf": [
        {
            "if": {"required": ["type"], "properties": {"type": {"enum": ["base64", "text"]}}},
            "then": {"required": ["data"]},
        }
    ],
}
ANTHROPIC_MEDIA: Mapping[str, tuple[Mapping[str, Any], tuple[str, ...]]] = {
    "image": ({"source": _SOURCE}, ("source",)),
    "document": (
        {
            "source": _SOURCE,
            "title": nullable(_TEXT),
            "context": nullable({**_TEXT, "description": "changes nothing here"}),
            "citations": nullable(
                {
                    "type": "object",
                    "properties": {"enabled": {"type": "boolean"}},
                    "description": "on all documents of the messages or on none; changes nothing in results of tools",
                }
            ),
        },
        ("source",),
    ),
}
"""Fields of a block, and those that it must have, by its type."""


def anthropic_block(block: Body, path: str) -> dict[str, Any]:
    """The block that stands for an image or a document. Raises an AttachmentRefused."""
    source, place = block["source"], f"{path}.source"
    name, media_type = block.get("title") or "", source.get("media_type") or ""
    if source["type"] == "url":
        raise _not_fetched(place)
    if source["type"] == "text":
        data = source["data"].encode()
        return placeholder(Attachment(name, media_type or "text/plain", data, place, sent_bytes=len(data)))
    return placeholder(decoded(source["data"], f"{place}.data", name=name, media_type=media_type))


def _not_fetched(place: str) -> AttachmentUrl:
    return AttachmentUrl(f"{place}: addresses are not fetched; send the data", param=place)
