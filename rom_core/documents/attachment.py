"""One file as it came: its name, the media type that it claims, its bytes; and what it is by its content."""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from rom_core.documents.kinds import (
    BY_EXTENSION,
    BY_MEDIA_TYPE,
    KINDS,
    NAMES,
    UNKNOWN_TYPES,
    Kind,
    signature,
    text_of,
)
from rom_core.errors import (
    AttachmentEmpty,
    AttachmentEncrypted,
    AttachmentMislabelled,
    AttachmentName,
    AttachmentNotBase64,
    AttachmentType,
    DocumentTooLarge,
    ImageTooLarge,
)

# docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-call.html
MAX_DOCUMENT_BYTES: Final = 4_500_000
MAX_IMAGE_BYTES: Final = 3_750_000
MAX_NAME_CHARS: Final = 255
_MAX_DOCUMENT_NAME: Final = 200
_DATA_URI: Final = re.compile(r"data:([^;,]{0,200})(?:;[^;,]{0,200}){0,4};base64,", re.IGNORECASE)
_NOT_IN_NAME: Final = re.compile(r"[^a-zA-Z0-9\-()\[\]]+")
_OF_ZIP: Final = ("docx", "xlsx")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of a request. `path` is where it stood in the body, for the refusal: `attachments.0`.

    `media_type` is what the client says, "" if it says nothing. `sent_bytes` is how much of the body it was.
    `file_id` names one that is kept here, whose data is not read yet.
    """

    name: str
    media_type: str
    data: bytes
    path: str
    sent_bytes: int = 0
    file_id: str = ""

    @property
    def _by_name(self) -> Kind | None:
        _, dot, extension = self.name.rpartition(".")
        return BY_EXTENSION.get(extension.strip().lower()) if dot else None

    @property
    def _by_type(self) -> Kind | None:
        return BY_MEDIA_TYPE.get(_plain(self.media_type))

    def check_name(self) -> None:
        """Raise AttachmentName for one that is no file's."""
        if len(self.name) > MAX_NAME_CHARS:
            text = f"{self.path}: the name has {len(self.name)} characters; the limit is {MAX_NAME_CHARS}"
            raise AttachmentName(text, param=self.path)
        if any(unicodedata.category(char) in ("Cc", "Cs") for char in self.name):
            raise AttachmentName(f"{self.path}: the name has control characters", param=self.path)

    def kinds(self) -> tuple[Kind, ...]:
        """What it is by its content: one kind, or those among which only a look inside decides.

        Raises AttachmentEmpty, AttachmentType, AttachmentEncrypted, DocumentTooLarge, ImageTooLarge, and
        AttachmentMislabelled where name or media type speak of another kind.
        """
        if not self.data:
            raise AttachmentEmpty(f"{self.path}: the file has no bytes", param=self.path)
        found = signature(self.data)
        if found == "encrypted":
            raise AttachmentEncrypted(f"{self.path}: the file is encrypted", param=self.path)
        image = found in ("png", "jpeg", "gif", "webp")
        self._check_size(image=image)
        return self._of_signature(found)

    def _of_signature(self, found: str) -> tuple[Kind, ...]:
        labels = [kind for kind in (self._by_name, self._by_type) if kind is not None]
        found = found or ("text" if text_of(self.data) is not None else "unknown")
        by_content = tuple(kind for kind in KINDS.values() if kind.signature == found)
        for label in labels:
            # Programs that turn one image into another often keep its name; nothing depends on it.
            if by_content and label.block == "image" == by_content[0].block:
                continue
            if label.signature != found:
                raise self._mislabelled(label, found.upper())
        said = _plain(self.media_type)
        if not by_content or (not labels and found == "text" and said not in UNKNOWN_TYPES and said[:5] != "text/"):
            shown = said[:100] or "a file of unknown kind"
            raise AttachmentType(f"{self.path}: {shown} is not read; send one of {NAMES}", param=self.path)
        if found == "text":
            return (labels[0] if labels else KINDS["txt"],)
        claimed = {label.format for label in labels if label.signature == found}
        if len(claimed) > 1:
            raise self._mislabelled(labels[0], " and ".join(sorted(claimed)).upper())
        return tuple(kind for kind in by_content if kind.format in claimed) or by_content

    def _mislabelled(self, label: Kind, content: str) -> AttachmentMislabelled:
        text = f"{self.path}: the label says {label.format.upper()}, the content is {content}"
        return AttachmentMislabelled(text, param=self.path)

    def _check_size(self, *, image: bool) -> None:
        size = len(self.data)
        if image and size > MAX_IMAGE_BYTES:
            text = f"{self.path}: the image has {size} bytes; the limit is {MAX_IMAGE_BYTES}"
            raise ImageTooLarge(text, param=self.path)
        if not image and size > MAX_DOCUMENT_BYTES:
            text = f"{self.path}: the document has {size} bytes; the limit is {MAX_DOCUMENT_BYTES}"
            raise DocumentTooLarge(text, param=self.path)


def decoded(data: str, path: str, *, name: str = "", media_type: str = "") -> Attachment:
    """The file that `data` is, as base64 or as a data URI, whose media type counts where none is given.

    Raises AttachmentNotBase64.
    """
    sent_bytes = len(data)
    if data[:5].lower() == "data:":
        head = _DATA_URI.match(data)
        if head is None:
            raise AttachmentNotBase64(f"{path}: the data URI is not `data:<media type>;base64,…`", param=path)
        media_type = media_type or head[1]
        data = data[head.end() :]
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        try:
            # Lines of 76 characters, as mail has them.
            raw = base64.b64decode("".join(data.split()), validate=True)
        except (binascii.Error, ValueError):
            raise AttachmentNotBase64(f"{path}: the data is not base64", param=path) from None
    return Attachment(name=name, media_type=media_type, data=raw, path=path, sent_bytes=sent_bytes)


def document_name(name: str, taken: set[str]) -> str:
    """A name that Bedrock takes and that is not `taken`, which it then is, whatever the case of its letters.

    >>> taken = set()
    >>> document_name("Petição  inicial_v2.pdf", taken), document_name("peticao inicial v2.docx", taken)
    ('Peticao inicial v2', 'peticao inicial v2 2')
    """
    stem, dot, extension = name.rpartition(".")
    if dot and extension.strip().lower() in BY_EXTENSION:
        name = stem
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = " ".join(_NOT_IN_NAME.sub(" ", plain).split())[:_MAX_DOCUMENT_NAME].strip() or "documento"
    unique, number = plain, 1
    while unique.lower() in taken:
        number += 1
        suffix = f" {number}"
        unique = plain[: _MAX_DOCUMENT_NAME - len(suffix)].rstrip() + suffix
    taken.add(unique.lower())
    return unique


def _plain(media_type: str) -> str:
    return media_type.partition(";")[0].strip().lower()
