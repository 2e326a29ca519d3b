"""Documents and images on a real server process, against the local Bedrock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from documents_support import attached, docx, docx_of_a_gigabyte, image, pdf, xlsx
from e2e.serving import BARE, RomServer, serving

from local_bedrock import LocalBedrock

PDF = pdf()


@pytest.fixture(scope="module")
def server(bedrock: LocalBedrock) -> Iterator[RomServer]:
    """One server; a failure of the model shows as it is."""
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url, **BARE) as running:
        yield running


@pytest.fixture(autouse=True)
def _fresh(bedrock: LocalBedrock) -> None:
    bedrock.reset()


def test_every_kind_reaches_the_model(server: RomServer, bedrock: LocalBedrock) -> None:
    """Five documents and four images in one request, as Converse has them."""
    files = [attached(PDF, "a.pdf"), attached(docx(), "a.docx"), attached(xlsx(), "a.xlsx")]
    files += [attached(b"a;b\n1;2\n", "a.csv"), attached(b"<p>x</p>", "a.html")]
    files += [attached(image(name), f"a.{name}") for name in ("PNG", "JPEG", "GIF", "WEBP")]
    answer = server.chat("Resuma.", attachments=files)
    assert answer.status_code == 200, answer.text
    (request,) = bedrock.requests
    content = request.body["messages"][-1]["content"]
    documents = [block["document"] for block in content if "document" in block]
    assert [one["format"] for one in documents] == ["pdf", "docx", "xlsx", "csv", "html"]
    assert [one["name"] for one in documents] == ["a", "a 2", "a 3", "a 4", "a 5"]
    assert [block["image"]["format"] for block in content if "image" in block] == ["png", "jpeg", "gif", "webp"]


def test_a_body_of_megabytes_is_read_over_the_wire(server: RomServer) -> None:
    """More than MAX_BODY_BYTES, as attachments are."""
    answer = server.chat("Resuma.", attachments=[attached(PDF + b"\0" * 3_500_000, "a.pdf")])
    assert answer.status_code == 200, answer.text


def test_a_bomb_costs_that_request(server: RomServer, bedrock: LocalBedrock) -> None:
    """It is refused, nothing is sent, and the next question is answered."""
    answer = server.chat("Resuma.", attachments=[attached(docx_of_a_gigabyte(), "a.docx")])
    assert (answer.status_code, answer.json()["code"]) == (422, "attachment_too_complex")
    assert bedrock.requests == []
    assert server.chat("Olá").status_code == 200
