"""Files that cannot be read, on a real server process: each refused with its own sentence, and the server unharmed."""

from __future__ import annotations

import base64
import io
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from documents_support import (
    deeply_nested_pdf,
    docx,
    docx_of_a_gigabyte,
    encrypted_pdf,
    image,
    pdf,
    pdf_of_many_pages,
    pdf_that_unpacks_to_a_gigabyte,
    xlsx,
)
from e2e.serving import BARE, RomServer, serving
from waiting import until

from local_bedrock import LocalBedrock
from rom_core.settings import texts

File = tuple[str, bytes]
PDF, DOCX, PNG = pdf(), docx(), image()


def nested_docx() -> bytes:
    """A DOCX whose text stands 100,000 elements deep."""
    made, deep = io.BytesIO(), 100_000
    with zipfile.ZipFile(io.BytesIO(DOCX)) as good, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as package:
        for name in good.namelist():
            content = good.read(name)
            if name == "word/document.xml":
                head, _, tail = content.partition(b"<w:body>")
                content = head + b"<w:body>" + b"<w:sdt>" * deep + b"</w:sdt>" * deep + tail
            package.writestr(name, content)
    return made.getvalue()


def wide_png() -> bytes:
    """A PNG of a billion pixels, in a hundred bytes, by what its head says."""
    changed = bytearray(PNG)
    changed[16:24] = (31_623).to_bytes(4, "big") * 2
    changed[29:33] = zlib.crc32(changed[12:29]).to_bytes(4, "big")
    return bytes(changed)


BAD: dict[str, tuple[str, list[File]]] = {
    "a PDF cut off": ("attachment_broken", [("a.pdf", PDF[:300])]),
    "a PDF that is only a head": ("attachment_broken", [("a.pdf", b"%PDF-1.7\n")]),
    "a DOCX cut off": ("attachment_broken", [("a.docx", DOCX[:-40])]),
    "a PNG cut off": ("attachment_broken", [("a.png", PNG[:-20])]),
    "a PDF with a password": ("attachment_encrypted", [("a.pdf", encrypted_pdf())]),
    "nothing": ("attachment_empty", [("a.pdf", b"")]),
    "blanks": ("attachment_empty", [("a.txt", b" \r\n\t")]),
    "a DOCX named .pdf": ("attachment_mislabelled", [("a.pdf", DOCX)]),
    "an XLSX named .docx": ("attachment_mislabelled", [("a.docx", xlsx())]),
    "a PDF named .txt": ("attachment_mislabelled", [("a.txt", PDF)]),
    "a DOCX of a gigabyte": ("attachment_too_complex", [("a.docx", docx_of_a_gigabyte())]),
    "a PDF of a gigabyte": ("attachment_too_complex", [("a.pdf", pdf_that_unpacks_to_a_gigabyte())]),
    "a PDF of 100,000 pages": ("attachment_too_many_pages", [("a.pdf", pdf_of_many_pages())]),
    "a PDF nested deep": ("attachment_too_complex", [("a.pdf", deeply_nested_pdf())]),
    "an image of a gigapixel": ("image_too_many_pixels", [("a.png", wide_png())]),
    "a name of 10 kB": ("attachment_name", [("x" * 10_240 + ".pdf", PDF)]),
    "a name with control characters": ("attachment_name", [("a\x07\x1b[31m.pdf", PDF)]),
    "a program": ("attachment_type", [("a.exe", b"MZ" + bytes(range(256)))]),
    "a DOC of old": ("attachment_type", [("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600)]),
    "six documents": ("too_many_documents", [(f"{number}.pdf", PDF) for number in range(6)]),
    "21 images": ("too_many_images", [(f"{number}.png", PNG) for number in range(21)]),
    "a document of 5 MB": ("document_too_large", [("a.pdf", PDF + b"\0" * 5_000_000)]),
    "a document of 20 MB": ("document_too_large", [("a.pdf", PDF + b"\0" * 20_000_000)]),
    "an image of 4 MB": ("image_too_large", [("a.png", PNG + b"\0" * 4_000_000)]),
}
Send = Callable[[str, list[File]], requests.Response]


def in_json(url: str, files: list[File]) -> requests.Response:
    """To /api/chat, as base64."""
    listed = [{"name": name, "data": base64.b64encode(data).decode()} for name, data in files]
    return requests.post(f"{url}/api/chat", json={"message": "Resuma.", "attachments": listed}, timeout=60)


def in_a_form(url: str, files: list[File]) -> requests.Response:
    """To /api/chat, as a browser does."""
    parts = [("attachments", file) for file in files]
    return requests.post(f"{url}/api/chat", data={"message": "Resuma."}, files=parts, timeout=60)


def to_openai(url: str, files: list[File]) -> requests.Response:
    """To /v1/chat/completions."""
    parts: list[Any] = [{"type": "text", "text": "Resuma."}]
    for name, data in files:
        encoded = base64.b64encode(data).decode()
        parts.append({"type": "file", "file": {"filename": name, "file_data": encoded}})
    body = {"model": "anthropic.claude-sonnet-4-5", "messages": [{"role": "user", "content": parts}]}
    return requests.post(f"{url}/v1/chat/completions", json=body, timeout=60)


@pytest.fixture(scope="module")
def server(bedrock: LocalBedrock) -> Iterator[RomServer]:
    """One server for all of them."""
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url, **BARE) as running:
        assert running.chat("Olá").status_code == 200
        yield running


def peak_bytes(server: RomServer) -> int:
    """The most memory that the process itself ever had."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1024


@pytest.mark.parametrize("send", [in_json, in_a_form, to_openai])
@pytest.mark.parametrize("bad", BAD)
def test_a_bad_file_is_refused_with_its_own_sentence(
    server: RomServer, bedrock: LocalBedrock, bad: str, send: Send
) -> None:
    """Never a 500, nothing is sent to Bedrock, and the process itself needs less than 150 MB for it."""
    code, files = BAD[bad]
    bedrock.reset()
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")
    before = peak_bytes(server)
    answer = send(server.url, files)
    assert answer.status_code == (400 if send is to_openai else 422), answer.text
    error = answer.json()["error"]
    assert (error["code"], error["user_message"]) == (code, texts.ERRORS[code])
    assert bedrock.requests == []
    assert peak_bytes(server) - before < 150_000_000


def test_the_memory_for_files_is_given_back(server: RomServer) -> None:
    """Many large ones at once leave the process about as large as it was."""

    def resident() -> int:
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) * 1024

    before = resident()
    _, files = BAD["a document of 20 MB"]
    for _ in range(2):
        threads = [threading.Thread(target=in_json, args=(server.url, files)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    # What ended last is collected when the next large body comes.
    in_json(server.url, [("a.txt", b"x" * 2_000_000)])
    assert until(lambda: resident() - before < 60_000_000), resident() - before


def test_each_kind_of_fault_has_a_sentence_of_its_own() -> None:
    """In Portuguese, with what to do."""
    codes = {code for code, _ in BAD.values()}
    sentences = {texts.ERRORS[code] for code in codes}
    assert len(sentences) == len(codes)
    asks = ("envie", "Envie", "Divida", "Reduza", "Comprima", "Salve", "Renomeie", "Junte")
    assert [one for one in sentences if not any(word in one for word in asks)] == []


def test_bytes_after_the_end_are_no_fault(server: RomServer, bedrock: LocalBedrock) -> None:
    """Scanners and signatures add them."""
    bedrock.reset()
    assert in_json(server.url, [("a.pdf", PDF + b"\r\n" + b"\0" * 2000)]).status_code == 200
    assert len(bedrock.requests) == 1


def test_a_docx_nested_deep_is_answered(server: RomServer) -> None:
    """It is read or refused; it breaks nothing."""
    answer = in_json(server.url, [("a.docx", nested_docx())])
    assert answer.status_code in (200, 422), answer.text
    assert server.chat("Olá").status_code == 200
