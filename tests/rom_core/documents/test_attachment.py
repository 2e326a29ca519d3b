"""What a file is: by its content, not by its label; and the name that Bedrock gets for it."""

from __future__ import annotations

import base64
import re

import pytest
from documents_support import docx, encrypted_pdf, image, pdf, xlsx
from hypothesis import given, settings
from hypothesis import strategies as st

from rom_core.documents.attachment import (
    MAX_DOCUMENT_BYTES,
    MAX_IMAGE_BYTES,
    Attachment,
    decoded,
    document_name,
)
from rom_core.errors import (
    AttachmentEmpty,
    AttachmentEncrypted,
    AttachmentMislabelled,
    AttachmentName,
    AttachmentNotBase64,
    AttachmentRefused,
    AttachmentType,
    DocumentTooLarge,
    ImageTooLarge,
)


def formats(data: bytes, name: str = "", media_type: str = "") -> list[str]:
    """What the file may be."""
    return [kind.format for kind in Attachment(name, media_type, data, "attachments.0").kinds()]


@pytest.mark.parametrize(
    ("data", "name", "media_type", "expected"),
    [
        (pdf(), "a.pdf", "application/pdf", ["pdf"]),
        (b"\n\n" + pdf(), "a.pdf", "", ["pdf"]),
        (pdf() + b"\0" * 50, "a.pdf", "", ["pdf"]),
        (pdf(), "", "application/octet-stream", ["pdf"]),
        (docx(), "a.docx", "", ["docx"]),
        (docx(), "", "", ["docx", "xlsx"]),
        (xlsx(), "a.XLSX", "application/octet-stream", ["xlsx"]),
        (b"a;b\n1;2", "a.csv", "application/vnd.ms-excel", ["csv"]),
        (b"a;b\n1;2", "", "text/csv; charset=utf-8", ["csv"]),
        ("petição".encode("cp1252"), "a.txt", "", ["txt"]),
        ("petição".encode("utf-16"), "a.txt", "", ["txt"]),
        (b"# x", "a.md", "text/plain", ["md"]),
        (b"<p>x</p>", "a.htm", "text/html", ["html"]),
        (b"text", "", "", ["txt"]),
        (b"log", "a.log", "text/x-log", ["txt"]),
        (image("PNG"), "a.png", "", ["png"]),
        (image("JPEG"), "", "image/jpg", ["jpeg"]),
        (image("GIF"), "", "", ["gif"]),
        (image("WEBP"), "a.webp", "", ["webp"]),
        (image("WEBP"), "a.jpg", "image/jpeg", ["webp"]),
    ],
)
def test_the_content_says_what_a_file_is(data: bytes, name: str, media_type: str, expected: list[str]) -> None:
    """Its label chooses only where the content leaves a choice; one image under another's name is that image."""
    assert formats(data, name, media_type) == expected


@pytest.mark.parametrize(
    ("data", "name", "media_type", "error"),
    [
        (docx(), "a.pdf", "", AttachmentMislabelled),
        (pdf(), "a.docx", "", AttachmentMislabelled),
        (pdf(), "a.pdf", "image/png", AttachmentMislabelled),
        (docx(), "a.docx", "application/pdf", AttachmentMislabelled),
        (b"plain", "a.pdf", "", AttachmentMislabelled),
        (image(), "a.pdf", "", AttachmentMislabelled),
        (bytes(range(256)), "a.txt", "", AttachmentMislabelled),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "a.docx", "", AttachmentMislabelled),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "a.doc", "application/msword", AttachmentType),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"),
            "a.docx",
            "",
            AttachmentEncrypted,
        ),
        (bytes(range(256)), "a.bin", "", AttachmentType),
        (b"<svg/>", "a.svg", "image/svg+xml", AttachmentType),
        (b"{}", "a.json", "application/json", AttachmentType),
        (b"", "a.pdf", "", AttachmentEmpty),
        (b"x" * (MAX_DOCUMENT_BYTES + 1), "a.txt", "", DocumentTooLarge),
        (b"\x89PNG\r\n\x1a\n" + b"x" * MAX_IMAGE_BYTES, "a.png", "", ImageTooLarge),
    ],
)
def test_what_a_file_may_not_be(data: bytes, name: str, media_type: str, error: type[AttachmentRefused]) -> None:
    """Each refusal has its own class, and names the place."""
    with pytest.raises(error) as caught:
        formats(data, name, media_type)
    assert caught.value.param == "attachments.0"


@pytest.mark.parametrize("name", ["x" * 10_000, "a\nb.pdf", "a\0.pdf", "\x7f", "\ud800"])
def test_a_name_that_is_no_files(name: str) -> None:
    """Too long, or with control characters."""
    with pytest.raises(AttachmentName):
        Attachment(name, "", b"x", "attachments.0").check_name()


def test_data_is_base64_or_a_data_uri() -> None:
    """With line breaks as in mail; the media type of a data URI counts where none is given."""
    plain = base64.b64encode(b"x" * 100).decode()
    broken = "\r\n".join(plain[start : start + 76] for start in range(0, len(plain), 76))
    assert decoded(plain, "p").data == decoded(broken, "p").data == b"x" * 100
    uri = decoded("data:image/png;name=a.png;base64,eHg=", "p")
    assert (uri.data, uri.media_type) == (b"xx", "image/png")
    assert decoded("data:image/png;base64,eHg=", "p", media_type="text/plain").media_type == "text/plain"


@pytest.mark.parametrize("data", ["!", "abc", "data:text/plain,hello", "data:", "eHg=é"])
def test_what_is_not_base64(data: str) -> None:
    """It is refused, whatever it is."""
    with pytest.raises(AttachmentNotBase64):
        decoded(data, "attachments.0")


@settings(deadline=None, max_examples=200)
@given(st.lists(st.text(max_size=300), max_size=8))
def test_names_are_what_bedrock_takes_and_unique(names: list[str]) -> None:
    """Letters, digits, single spaces, hyphens and brackets, at most 200, no two the same in any case."""
    taken: set[str] = set()
    made = [document_name(name, taken) for name in names]
    assert all(re.fullmatch(r"[a-zA-Z0-9\-()\[\]]+( [a-zA-Z0-9\-()\[\]]+)*", name) for name in made)
    assert all(len(name) <= 200 for name in made)
    assert len({name.lower() for name in made}) == len(made)


def test_an_encrypted_pdf_is_still_a_pdf() -> None:
    """Whether it is encrypted is found out by a look inside."""
    assert formats(encrypted_pdf(), "a.pdf") == ["pdf"]
