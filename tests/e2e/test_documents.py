"""Documents and images on a real server process, against the local Bedrock."""

from __future__ import annotations

import base64
from typing import Any

import anthropic
import openai
import pytest
from documents_support import attached, docx, docx_of_a_gigabyte, image, pdf, xlsx
from e2e.serving import RomServer

from local_bedrock import LocalBedrock

PDF = pdf()
MODEL = "anthropic.claude-sonnet-4-5"


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


def data_uri(data: bytes, media_type: str) -> str:
    """As a browser makes it."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def test_the_official_openai_client_sends_images_and_files(server: RomServer, bedrock: LocalBedrock) -> None:
    """`image_url` with a data URI and `file` with its data; an address is refused with its own code."""
    image_part = {"type": "image_url", "image_url": {"url": data_uri(image(), "image/png"), "detail": "high"}}
    file = {"filename": "petição.pdf", "file_data": data_uri(PDF, "application/pdf")}
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        parts: Any = [{"type": "text", "text": "Resuma."}, image_part, {"type": "file", "file": file}]
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": parts}])
        (request,) = bedrock.requests
        shown = request.body["messages"][-1]["content"]
        assert [next(iter(block)) for block in shown] == ["image", "document", "text"]
        assert shown[1]["document"]["name"] == "peticao"
        refused: Any = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": refused}])
        assert caught.value.code == "attachment_url"
        for wrong in ({"file": {"file_id": "file-1"}}, {"file": {"filename": "a.pdf"}}, {}):
            part: Any = [{"type": "file"} | wrong]
            with pytest.raises(openai.BadRequestError):
                client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": part}])
    assert len(bedrock.requests) == 1


def test_the_official_anthropic_client_sends_images_and_documents(server: RomServer, bedrock: LocalBedrock) -> None:
    """In messages and in results of tools; text sources too; an address is refused, and nothing is sent."""
    source = {"type": "base64", "media_type": "application/pdf", "data": base64.b64encode(PDF).decode()}
    picture = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(image()).decode()}
    plain = {"type": "text", "media_type": "text/plain", "data": "cláusula"}
    content: Any = [
        {"type": "document", "source": source, "title": "petição.pdf", "citations": {"enabled": False}},
        {"type": "document", "source": plain, "title": "notas"},
        {"type": "image", "source": picture},
        {"type": "text", "text": "Resuma."},
    ]
    call: Any = [{"type": "tool_use", "id": "t1", "name": "scan", "input": {}}]
    result: Any = [{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "image", "source": picture}]}]
    tool: Any = {"name": "scan", "input_schema": {"type": "object"}}
    with anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=0) as client:
        client.messages.create(model=MODEL, max_tokens=100, messages=[{"role": "user", "content": content}])
        shown = bedrock.requests[0].body["messages"][-1]["content"]
        assert [next(iter(block)) for block in shown] == ["document", "document", "image", "text"]
        assert [block["document"]["name"] for block in shown[:2]] == ["peticao", "notas"]
        messages: Any = [
            {"role": "user", "content": "Leia."},
            {"role": "assistant", "content": call},
            {"role": "user", "content": result},
        ]
        client.messages.create(model=MODEL, max_tokens=100, messages=messages, tools=[tool])
        returned = bedrock.requests[1].body["messages"][-1]["content"][0]["toolResult"]["content"]
        assert [next(iter(block)) for block in returned] == ["image"]
        counted = client.messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": content}])
        assert 0 < counted.input_tokens < 20_000
        address: Any = [{"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}]
        with pytest.raises(anthropic.BadRequestError, match="not fetched"):
            client.messages.create(model=MODEL, max_tokens=100, messages=[{"role": "user", "content": address}])
        kept: Any = [{"type": "document", "source": {"type": "file", "file_id": "file_1"}}]
        with pytest.raises(anthropic.BadRequestError, match="send the file's data"):
            client.messages.create(model=MODEL, max_tokens=100, messages=[{"role": "user", "content": kept}])
