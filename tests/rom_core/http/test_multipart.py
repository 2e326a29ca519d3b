"""A form with files on POST /api/chat: the fields of the JSON body, the files as parts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from documents_support import READS, attached, docx, pdf
from falcon import testing
from hypothesis import given, settings
from hypothesis import strategies as st
from support import make_runtime, says
from urllib3 import encode_multipart_formdata

from rom_core.http.app import create_app
from rom_core.http.multipart import read_form
from rom_core.settings import texts

MODELS: dict[str, Any] = {"MODELS": [READS], "MODEL_PRIMARY": "reads", "MODEL_FALLBACKS": []}
PDF = pdf()
Part = tuple[str, Any]


def post(*parts: Part, body: bytes | None = None, kind: str = "", **settings: Any) -> tuple[Any, Any]:
    """The answer to a form, and the transport that was to be asked."""
    runtime, transport = make_runtime(says("lido"), **(MODELS | settings))
    made, content_type = encode_multipart_formdata(parts)
    answer = testing.TestClient(create_app(runtime)).simulate_post(
        "/api/chat", body=made if body is None else body, headers={"Content-Type": kind or content_type}
    )
    return answer, transport


def test_fields_are_those_of_the_json_body_and_files_are_parts() -> None:
    """Text as text, everything else as JSON; files under any field, in order, with the names that they had."""
    earlier = [{"role": "user", "content": "Olá"}, {"role": "assistant", "content": "Olá!"}]
    answer, transport = post(
        ("message", "Resuma\r\nem duas linhas."),
        ("conversation_id", "123"),
        ("max_tokens", "50"),
        ("temperature", "0.5"),
        ("messages", json.dumps(earlier)),
        ("attachments", ("Petição inicial.pdf", PDF, "application/pdf")),
        ("anything", ("PETICAO INICIAL.docx", docx())),
    )
    assert answer.status_code == 200, answer.text
    assert answer.json["conversation_id"] == "123"
    (request,) = transport.requests
    *before, last = request["messages"]
    assert [message["content"][0]["text"] for message in before] == ["Olá", "Olá!"]
    assert [block["document"]["name"] for block in last["content"][:-1]] == ["Peticao inicial", "PETICAO INICIAL 2"]
    assert last["content"][0]["document"]["source"]["bytes"] == PDF
    assert last["content"][-1] == {"text": "Resuma\nem duas linhas."}
    assert request["inferenceConfig"] == {"maxTokens": 50, "temperature": 0.5}


def test_a_form_may_ask_for_a_stream_and_bring_attachments_as_json_too() -> None:
    """`stream` is JSON's true; a list of `attachments` comes before the files."""
    listed = json.dumps([attached(b"um", "um.txt")])
    answer, transport = post(
        ("message", "Resuma."), ("stream", "true"), ("attachments", listed), ("file", ("dois.txt", b"dois"))
    )
    assert "event: done" in answer.text
    blocks = transport.requests[0]["messages"][-1]["content"]
    assert [block["document"]["name"] for block in blocks[:-1]] == ["um", "dois"]


def test_inputs_that_were_left_empty_are_absent() -> None:
    """A browser sends them all: an empty text, and a file without name and content."""
    empty = ("attachments", ("", b"", "application/octet-stream"))
    answer, transport = post(("message", "Olá"), ("user", ""), ("conversation_id", ""), empty)
    assert answer.status_code == 200, answer.text
    assert transport.requests[0]["messages"][-1]["content"] == [{"text": "Olá"}]


@pytest.mark.parametrize(
    ("parts", "status", "code", "where"),
    [
        ([("file", ("a.pdf", PDF))], 422, "invalid_request", "message"),
        ([("message", "Olá"), ("mesage", "Olá")], 422, "invalid_request", "mesage"),
        ([("message", "Olá"), ("stream", "on")], 422, "invalid_request", "stream"),
        ([("message", "Olá"), ("attachments", "x"), ("file", ("a.pdf", PDF))], 422, "invalid_request", "attachments"),
        ([("message", "Olá"), ("messages", "[")], 400, "malformed_request", None),
        ([("message", "Olá"), ("message", "Olá")], 400, "malformed_request", None),
        ([("message", b"\xff")], 400, "malformed_request", None),
        ([("message", "Olá"), *[("file", ("a.txt", b"x"))] * 500], 400, "malformed_request", None),
        ([("message", "Olá"), ("file", ("", b"x"))], 422, "invalid_request", "attachments.0.name"),
        ([("message", "Olá"), ("file", ("x" * 10_000 + ".pdf", PDF))], 422, "attachment_name", "attachments.0"),
        ([("message", "Olá"), ("file", ("a.pdf", b""))], 422, "attachment_empty", "attachments.0"),
        ([("message", "Olá"), ("file", ("a.pdf", docx()))], 422, "attachment_mislabelled", "attachments.0"),
        ([("message", "Olá"), *[("file", ("a.txt", b"x"))] * 6], 422, "too_many_documents", "attachments.5"),
    ],
)
def test_a_form_is_refused_as_the_same_json_is(parts: list[Part], status: int, code: str, where: str | None) -> None:
    """With a status of the client's, a place, and a Portuguese sentence; nothing is sent."""
    answer, transport = post(*parts)
    assert (answer.status_code, answer.json["code"]) == (status, code), answer.text
    assert answer.json["error"]["param"] == where
    assert answer.json["user_message"] == texts.ERRORS[code]
    assert transport.requests == []


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "multipart/form-data; boundary=x"),
        (b"--x\r\n", "multipart/form-data; boundary=x"),
        (b"--x--\r\n", "multipart/form-data"),
        (b"--x--\r\n", "multipart/form-data; boundary=" + "x" * 71),
        (b'--x\r\nContent-Disposition: form-data; name="message"\r\n\r\nOl', "multipart/form-data; boundary=x"),
        (b"--x\r\nContent-Type: text/plain\r\n\r\nOi\r\n--x--\r\n", "multipart/form-data; boundary=x"),
        (b'{"message": "x"}', "multipart/form-data; boundary=x"),
    ],
)
def test_what_is_no_whole_form_is_malformed(body: bytes, kind: str) -> None:
    """Cut off, without a boundary, without names."""
    answer, transport = post(body=body, kind=kind)
    assert (answer.status_code, answer.json["code"]) == (400, "malformed_request")
    assert transport.requests == []


def test_a_file_name_that_is_not_utf8_is_refused_as_a_name() -> None:
    """As programs of old send them."""
    head = b'--x\r\nContent-Disposition: form-data; name="f"; filename="a\xe7\xe3o.pdf"\r\n\r\n'
    answer, _ = post(body=head + PDF + b"\r\n--x--\r\n", kind="multipart/form-data; boundary=x")
    assert (answer.status_code, answer.json["code"]) == (422, "attachment_name")


def test_the_text_of_a_form_and_its_files_have_limits_of_their_own() -> None:
    """MAX_BODY_BYTES for the text of all fields, MAX_ATTACHMENT_BYTES for the whole body."""
    limits: dict[str, Any] = {"MAX_BODY_BYTES": 20_000, "MAX_ATTACHMENT_BYTES": 200_000}
    assert post(("message", "Olá"), ("file", ("a.txt", b"x" * 150_000)), **limits)[0].status_code == 200
    for parts in (
        [("message", "word " * 5000)],
        [("message", "word " * 3000), ("system", "word " * 3000)],
        [("message", "Olá"), ("file", ("a.txt", b"x" * 200_000))],
    ):
        answer, transport = post(*parts, **limits)
        assert (answer.status_code, answer.json["code"]) == (413, "payload_too_large")
        assert transport.requests == []


@settings(deadline=None, max_examples=60)
@given(
    contents=st.lists(
        st.one_of(
            st.binary(max_size=300),
            st.builds(
                lambda piece, times: piece * times, st.sampled_from([b"\r\n--x", b"--", b"\r\n"]), st.integers(0, 9000)
            ),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_a_file_arrives_as_it_was_sent(contents: list[bytes]) -> None:
    """Whatever its bytes are, those of a boundary's beginning too."""
    runtime, _ = make_runtime(says("lido"), **MODELS)
    seen: list[bytes] = []
    app = create_app(runtime)
    files = [("file", (f"a{number}.txt", b"text " + content)) for number, content in enumerate(contents)]
    body, kind = encode_multipart_formdata([("message", "Olá"), *files], boundary="xy")

    class Resource:
        auth = "open"

        def on_post(self, req: Any, _resp: Any) -> None:
            seen.extend(file.data for file in read_form(req, 1000, 10_000_000).files)

    app.add_route("/form", Resource())
    answer = testing.TestClient(app).simulate_post("/form", body=body, headers={"Content-Type": kind})
    assert answer.status_code == 200, answer.text
    assert seen == [b"text " + content for content in contents]
