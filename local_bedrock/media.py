"""The rules for documents and images of a conversation, which the service's description tells only in words.

How many, how large, and what a document may be called: docs.aws.amazon.com/bedrock/latest/APIReference/
API_runtime_Message.html and API_runtime_DocumentBlock.html. The texts are those that users have reported, except that
for the size of a document; a size of 5 MB means the image as base64.
"""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Iterator
from typing import Any, Final

MAX_DOCUMENTS: Final = 5
MAX_DOCUMENT_BYTES: Final = 4_500_000
# Of Claude models this is the bound of both together.
MAX_IMAGES: Final = 20
MAX_IMAGE_CHARACTERS: Final = 5 * 1024 * 1024
MAX_PIXELS: Final = 8000

_FROM_MODEL: Final = "The model returned the following errors: "
_NAME: Final = re.compile(r"(?!.*\s\s)[a-zA-Z0-9 \-()\[\]]+")
_JPEG_SIZES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
Block = dict[str, Any]


def check_media(messages: list[dict[str, Any]]) -> Iterator[str]:
    """Why the service would refuse the documents and images of these messages, nothing if it would not."""
    media = list(_media(messages))
    documents = [(where, block["document"]) for where, block in media if block.get("document")]
    images = [(where, block["image"]) for where, block in media if block.get("image")]
    if len(documents) > MAX_DOCUMENTS:
        yield f"You can't include more than {MAX_DOCUMENTS} documents in a request."
    if len(images) + len(documents) > MAX_IMAGES:
        counted = f"{len(images)} + {len(documents)} > {MAX_IMAGES}"
        yield f"{_FROM_MODEL}messages: too many images and documents: {counted}"
    names = [document["name"] for _, document in documents]
    if not all(map(_NAME.fullmatch, names)):
        yield (
            "The document file name can only contain alphanumeric characters, whitespace characters, hyphens, "
            "parentheses, and square brackets. The name can't contain more than one consecutive whitespace character. "
            "Check that the file name conforms to these restrictions and retry your request."
        )
    if len(set(names)) < len(names):
        yield "Messages can't contain duplicate document names. Rename the document and retry your request."
    if any(_without_text(message["content"]) for message in messages):
        yield "A text block must be included when using documents. Add a text block and retry your request."
    for where, document in documents:
        if _size(document) > MAX_DOCUMENT_BYTES:
            yield f"The document at {where} exceeds the maximum document size of 4.5 MB."
    for where, image in images:
        yield from _image(image, where)


def _media(messages: list[dict[str, Any]]) -> Iterator[tuple[str, Block]]:
    for index, message in enumerate(messages):
        for number, block in enumerate(message["content"]):
            here = f"messages.{index}.content.{number}"
            yield here, block
            for inner, one in enumerate((block.get("toolResult") or {}).get("content") or []):
                yield f"{here}.toolResult.content.{inner}", one


def _without_text(content: list[Block]) -> bool:
    return any(block.get("document") for block in content) and not any(block.get("text") for block in content)


def _size(medium: Block) -> int:
    data = (medium.get("source") or {}).get("bytes") or ""
    return len(data) // 4 * 3 - data[-2:].count("=")


def _image(image: Block, where: str) -> Iterator[str]:
    data = (image.get("source") or {}).get("bytes") or ""
    if len(data) > MAX_IMAGE_CHARACTERS:
        maximum = f"{len(data)} bytes > {MAX_IMAGE_CHARACTERS} bytes"
        yield f"{_FROM_MODEL}{where}.image.source.bytes: image exceeds 5 MB maximum: {maximum}"
    elif max(_pixels(base64.b64decode(data))) > MAX_PIXELS:
        what = f"At least one of the image dimensions exceed max allowed size: {MAX_PIXELS} pixels"
        yield f"{_FROM_MODEL}{where}.image.source.bytes: {what}"


def _pixels(data: bytes) -> tuple[int, int]:
    """Width and height by the beginning of the file, (0, 0) for what shows none."""
    try:
        if data.startswith(b"\x89PNG"):
            return struct.unpack_from(">II", data, 16)
        if data.startswith(b"GIF8"):
            return struct.unpack_from("<HH", data, 6)
        if data[8:12] == b"WEBP":
            return _pixels_of_webp(data)
        return _pixels_of_jpeg(data)
    except (struct.error, IndexError):
        return (0, 0)


def _pixels_of_webp(data: bytes) -> tuple[int, int]:
    if data[12:16] == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if data[12:16] == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def _pixels_of_jpeg(data: bytes) -> tuple[int, int]:
    at = 2
    while data[at] == 0xFF:
        kind = data[at + 1]
        if kind in _JPEG_SIZES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])
    return (0, 0)
