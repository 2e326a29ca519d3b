"""The kinds of files that are read, what they are called, and how their content shows what they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

BlockKind = Literal["document", "image"]
_OOXML: Final = "application/vnd.openxmlformats-officedocument."


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file. `format` is Bedrock's word for it, `block` the content block that carries it.

    `signature` is what its content shows at its beginning: several kinds may share one ("zip", "text").
    """

    format: str
    block: BlockKind
    signature: str
    media_types: tuple[str, ...]
    extensions: tuple[str, ...]


KINDS: Final[Mapping[str, Kind]] = {
    kind.format: kind
    for kind in (
        Kind("pdf", "document", "pdf", ("application/pdf", "application/x-pdf"), ("pdf",)),
        Kind("docx", "document", "zip", (f"{_OOXML}wordprocessingml.document",), ("docx",)),
        Kind("xlsx", "document", "zip", (f"{_OOXML}spreadsheetml.sheet",), ("xlsx",)),
        Kind("csv", "document", "text", ("text/csv", "application/csv"), ("csv",)),
        Kind("html", "document", "text", ("text/html",), ("html", "htm")),
        Kind("md", "document", "text", ("text/markdown", "text/x-markdown"), ("md", "markdown")),
        Kind("txt", "document", "text", ("text/plain",), ("txt",)),
        Kind("png", "image", "png", ("image/png",), ("png",)),
        Kind("jpeg", "image", "jpeg", ("image/jpeg", "image/jpg"), ("jpg", "jpeg")),
        Kind("gif", "image", "gif", ("image/gif",), ("gif",)),
        Kind("webp", "image", "webp", ("image/webp",), ("webp",)),
    )
}
BY_MEDIA_TYPE: Final = {name: kind for kind in KINDS.values() for name in kind.media_types}
BY_EXTENSION: Final = {name: kind for kind in KINDS.values() for name in kind.extensions}
NAMES: Final = "PDF, DOCX, XLSX, CSV, TXT, MD, HTML, PNG, JPEG, GIF, WebP"
# They say nothing: a client that does not know what it sends writes one of them.
UNKNOWN_TYPES: Final = ("", "application/octet-stream", "binary/octet-stream")

# A PDF may begin with other bytes: readers look for it in the first kilobyte.
_PDF_WITHIN: Final = 1024
_BEGINNINGS: Final = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    # Compound files: DOC and XLS of old, and every DOCX and XLSX that has a password.
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "compound"),
)
_ENCRYPTED_PACKAGE: Final = "EncryptedPackage".encode("utf-16-le")
_TEXT_MARKS: Final = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_NOT_IN_TEXT: Final = frozenset(map(chr, (*range(9), 11, *range(14, 27), *range(28, 32), 127)))


def signature(data: bytes) -> str:
    """What the content is by its beginning: pdf, zip, png, jpeg, gif, webp, encrypted, compound, or "" for the rest."""
    for beginning, name in _BEGINNINGS:
        if data.startswith(beginning):
            return "encrypted" if name == "compound" and _ENCRYPTED_PACKAGE in data else name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return "pdf" if b"%PDF-" in data[:_PDF_WITHIN] else ""


def text_of(data: bytes) -> str | None:
    """The text of a text file, None if it is none: UTF-8, UTF-16 with its mark, or Windows' Western European.

    >>> text_of("petição".encode("cp1252"))
    'petição'
    >>> text_of(bytes(range(8))) is None
    True
    """
    marked = next((coding for mark, coding in _TEXT_MARKS if data.startswith(mark)), None)
    for coding in (marked,) if marked else ("utf-8", "cp1252"):
        try:
            text = data.decode(coding)
        except UnicodeDecodeError:
            continue
        return None if _NOT_IN_TEXT.intersection(text) else text
    return None
