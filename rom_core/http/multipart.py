"""A form with files, as a browser's `<form enctype="multipart/form-data">` or `curl -F` sends it (RFC 7578)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import falcon
from falcon.media.multipart import BodyPart, MultipartForm, MultipartFormHandler, MultipartParseOptions
from falcon.util import BufferedReader

from rom_core.errors import AttachmentName, MalformedRequest, PayloadTooLarge

FORM: Final = "multipart/form-data"
# More than the files and fields of any request that is not refused for their number.
_MAX_PARTS: Final = 400
# A name that is far too long gets the refusal of a name.
_MAX_PART_HEADERS: Final = 64 * 1024
_SHOWN_CHARS: Final = 100


@dataclass(frozen=True, slots=True)
class FormFile:
    """A part with a file name: `field` is the name of its input, `media_type` "" where the client says none."""

    field: str
    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Form:
    """A form: text by the name of its field, without those that were left empty; and files, in order."""

    fields: dict[str, str]
    files: list[FormFile]


def is_form(req: falcon.Request) -> bool:
    """Whether the body is a form with files."""
    return (req.content_type or "").partition(";")[0].strip().lower() == FORM


def read_form(req: falcon.Request, max_text_bytes: int, max_bytes: int) -> Form:
    """The form in the body, read once, part by part, of at most `max_bytes`, its text of at most `max_text_bytes`.

    Raises PayloadTooLarge, AttachmentName for one that is not UTF-8, and MalformedRequest: no form of this kind, a
    text that is not UTF-8, a field without a name, or the text of one twice.
    """
    if (req.content_length or 0) > max_bytes:
        raise PayloadTooLarge(f"the body has {req.content_length} bytes; the limit is {max_bytes}")
    reader = _Counted(req, max_bytes)
    form = Form({}, [])
    text_bytes = 0
    for part in _parts(req, reader):
        field, name = _names(part, len(form.files))
        if name is None:
            raw = part.stream.read(max_text_bytes - text_bytes + 1)
            text_bytes += len(raw)
            if text_bytes > max_text_bytes:
                raise PayloadTooLarge(f"without attachments the body has more than {max_text_bytes} bytes")
            _add_text(form.fields, field, raw)
            continue
        data = part.stream.read()
        # What a browser sends of an input for which no file was chosen.
        if name or data:
            form.files.append(FormFile(field, name, _media_type(part), data))
    req.context.body_bytes = reader.bytes
    return form


class _Counted:
    """The body, and how many of its bytes were read. Raises PayloadTooLarge beyond `max_bytes`."""

    def __init__(self, req: falcon.Request, max_bytes: int) -> None:
        self._stream = req.bounded_stream
        self._max_bytes = max_bytes
        self.bytes = 0

    def read(self, size: int) -> bytes:
        """The next bytes."""
        piece = self._stream.read(size)
        self.bytes += len(piece)
        if self.bytes > self._max_bytes:
            raise PayloadTooLarge(f"the body has more than {self._max_bytes} bytes, which is the limit")
        return piece


def _parts(req: falcon.Request, reader: _Counted) -> Iterator[BodyPart]:
    options = MultipartParseOptions()
    options.max_body_part_count = _MAX_PARTS
    options.max_body_part_headers_size = _MAX_PART_HEADERS
    stream: Any = BufferedReader(reader.read, req.content_length or reader._max_bytes + 1)
    try:
        form: MultipartForm = MultipartFormHandler(options).deserialize(stream, req.content_type, req.content_length)
        yield from form
    except falcon.HTTPInvalidHeader:
        raise MalformedRequest("the Content-Type has no boundary of 1 to 70 characters") from None
    except falcon.MultipartParseError as error:
        raise MalformedRequest(f"the form cannot be read: {error.description}") from None


def _names(part: BodyPart, number: int) -> tuple[str, str | None]:
    """The name of the field, and that of the file, None for a text."""
    try:
        field, name = part.name, part.filename
    except (UnicodeDecodeError, falcon.MultipartParseError):
        raise AttachmentName(f"attachments.{number}: the name is not UTF-8", param=f"attachments.{number}") from None
    if not field:
        raise MalformedRequest("a part of the form has no name")
    return field, name


def _media_type(part: BodyPart) -> str:
    given: dict[bytes, bytes] = part._headers
    return given.get(b"content-type", b"").decode("ascii", "replace")


def _add_text(fields: dict[str, str], field: str, raw: bytes) -> None:
    try:
        # Browsers send every end of a line as CR LF, whatever was typed.
        text = raw.decode().replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise MalformedRequest(f"{field[:_SHOWN_CHARS]}: the text is not UTF-8") from None
    if field in fields:
        raise MalformedRequest(f"{field[:_SHOWN_CHARS]!r} is given twice")
    if text:
        fields[field] = text
