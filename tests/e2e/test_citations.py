"""Citations on a real server process, against the local Bedrock: quotes that are in the document, and no others."""

from __future__ import annotations

import base64
from typing import Any

import anthropic
import pytest
from documents_support import attached, docx, image, pdf, scanned_pdf, xlsx
from e2e.serving import RomServer, Stream

from local_bedrock import LocalBedrock

CONTRACT = "Contrato de locação.\nO fiador responde por todas as obrigações.\nO aluguel é de R$ 1.200,00."
TEXT = attached(CONTRACT.encode(), "contrato.txt")
MODEL = "anthropic.claude-sonnet-4-5"
FALSE = "O fiador não responde por nada."


@pytest.fixture(autouse=True)
def _fresh(bedrock: LocalBedrock) -> None:
    bedrock.reset()


def streamed(server: RomServer, message: str, *files: Any) -> list[tuple[str, dict[str, Any]]]:
    """The events of an answer with citations."""
    body = {"message": message, "attachments": list(files), "citations": True, "stream": True}
    stream = Stream(server.url, body)
    try:
        return list(stream.events())
    finally:
        stream.close()


def test_a_quote_from_a_text_comes_back_with_its_place(server: RomServer, bedrock: LocalBedrock) -> None:
    """Document, characters, quote, and what of the answer rests on it; Bedrock is asked as it takes it."""
    answer = server.chat("Resuma. [[quote=O fiador responde]]", attachments=[TEXT], citations=True).json()
    (citation,) = answer["citations"]
    assert (citation["document"], citation["name"]) == (0, "contrato.txt")
    assert citation["quote"] == "O fiador responde"
    assert CONTRACT[citation["range"]["start"] : citation["range"]["end"]] == "O fiador responde"
    assert answer["reply"][slice(*citation["reply"].values())] == 'O documento diz: "O fiador responde"'
    assert "warnings" not in answer
    document = bedrock.requests[0].body["messages"][-1]["content"][0]["document"]
    assert document["citations"] == {"enabled": True}
    assert document["source"] == {"text": CONTRACT}


def test_a_false_quote_is_not_passed_on(server: RomServer) -> None:
    """Its text stays, it is no citation, and the person is told in Portuguese; the same in a stream."""
    question = f"Resuma. [[quote={FALSE}]]"
    answer = server.chat(question, attachments=[TEXT], citations=True).json()
    assert FALSE in answer["reply"]
    assert "citations" not in answer
    (warning,) = answer["warnings"]
    assert (warning["code"], warning["attachment"]) == ("quote_not_in_document", "contrato.txt")
    assert "não foi encontrado" in warning["text"]
    events = streamed(server, question, TEXT)
    assert not [data for name, data in events if name == "citation"]
    assert [data for name, data in events if name == "warning"] == [warning]
    assert events[-1][1]["warnings"] == [warning]


def test_a_stream_has_each_citation_when_its_text_was_said(server: RomServer) -> None:
    """An event after the deltas that it belongs to, and the same in `done`."""
    events = streamed(server, "Resuma.", TEXT)
    names = [name for name, _ in events]
    place = names.index("citation")
    said = "".join(data["text"] for name, data in events[:place] if name == "delta")
    citation = events[place][1]
    assert said[slice(*citation["reply"].values())] == 'O documento diz: "Contrato de locação."'
    assert events[-1][1]["citations"] == [citation]
    assert set(names) == {"start", "delta", "citation", "done"}


def test_nobody_who_does_not_ask_is_given_any(server: RomServer, bedrock: LocalBedrock) -> None:
    """The request is as it was without them."""
    answer = server.chat("Resuma.", attachments=[TEXT]).json()
    assert "citations" not in answer
    document = bedrock.requests[0].body["messages"][-1]["content"][0]["document"]
    assert "citations" not in document


def test_a_quote_from_a_pdf_has_its_page(server: RomServer) -> None:
    """The page where it is, whatever the model says (it says 1)."""
    file = attached(pdf(pages=3), "petição.pdf")
    answer = server.chat("Resuma. [[quote=Juiz de Direito, folha 2]]", attachments=[file], citations=True).json()
    (citation,) = answer["citations"]
    assert (citation["name"], citation["page"], citation["last_page"]) == ("petição.pdf", 2, 2)
    assert "range" not in citation
    false = server.chat("Resuma. [[quote=folha 9]]", attachments=[file], citations=True).json()
    assert "citations" not in false
    assert [one["code"] for one in false["warnings"]] == ["quote_not_in_document"]


def test_a_quote_from_a_docx_is_looked_up_in_our_own_text(server: RomServer, bedrock: LocalBedrock) -> None:
    """Bedrock cites no DOCX: the model is given its text."""
    file = attached(docx(text="O réu foi citado em 3 de março."), "mandado.docx")
    answer = server.chat("Resuma. [[quote=O réu foi citado]]", attachments=[file], citations=True).json()
    (citation,) = answer["citations"]
    document = bedrock.requests[0].body["messages"][-1]["content"][0]["document"]
    assert document["format"] == "txt"
    assert document["source"]["text"][slice(*citation["range"].values())] == "O réu foi citado"


def test_a_scanned_pdf_cannot_be_checked(server: RomServer) -> None:
    """No quote from it is passed on, and the person is told why before the answer."""
    events = streamed(server, "Resuma. [[quote=Contrato]]", attached(scanned_pdf(), "scan.pdf"))
    names = [name for name, _ in events]
    assert names[:2] == ["start", "warning"]
    assert events[1][1]["code"] == "citations_not_checked"
    assert "não tem texto" in events[1][1]["text"]
    assert "citation" not in names
    assert "citations" not in events[-1][1]


def test_where_citations_cannot_be_had_they_are_named_as_ignored(server: RomServer, bedrock: LocalBedrock) -> None:
    """Beside a spreadsheet, with nothing but an image, without files, and with a schema for the answer."""
    sheet = server.chat("Resuma.", attachments=[TEXT, attached(xlsx(), "contas.xlsx")], citations=True)
    assert [one["code"] for one in sheet.json()["warnings"]] == ["citations_not_possible"]
    picture = server.chat("Resuma.", attachments=[attached(image(), "a.png")], citations=True)
    nothing = server.chat("Olá", citations=True)
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object", "properties": {}}}}
    structured = server.chat("Resuma.", attachments=[TEXT], citations=True, response_format=schema)
    for answer in (sheet, picture, nothing, structured):
        assert answer.status_code == 200, answer.text
        assert answer.headers["X-Rom-Ignored"] == "citations"
        assert answer.json()["ignored"] == ["citations"]
    assert not any("citations" in str(request.body) for request in bedrock.requests)


def claude_document(data: bytes | str, title: str, *, cite: bool = True) -> dict[str, Any]:
    """A document as Anthropic's client sends it, a text or a PDF."""
    source: dict[str, Any] = {"type": "text", "media_type": "text/plain", "data": data}
    if isinstance(data, bytes):
        source = {"type": "base64", "media_type": "application/pdf", "data": base64.b64encode(data).decode()}
    return {"type": "document", "source": source, "title": title, "citations": {"enabled": cite}}


def test_the_official_anthropic_client_reads_citations_and_sends_them_back(
    server: RomServer, bedrock: LocalBedrock, anthropic_client: Any
) -> None:
    """Text blocks with char_location and page_location, whole and streamed; the next turn stays valid."""
    files: Any = [claude_document(CONTRACT, "contrato.txt"), claude_document(pdf(pages=2), "petição.pdf")]
    question: Any = {"role": "user", "content": [*files, {"type": "text", "text": "Resuma."}]}
    given: Any = {"model": MODEL, "max_tokens": 500}
    whole = anthropic_client.messages.create(messages=[question], **given)
    cited = [block for block in whole.content if block.type == "text" and block.citations]
    (block,) = cited
    (citation,) = block.citations
    assert isinstance(citation, anthropic.types.CitationCharLocation)
    assert (citation.document_index, citation.document_title) == (0, "contrato.txt")
    assert CONTRACT[citation.start_char_index : citation.end_char_index] == citation.cited_text
    with anthropic_client.messages.stream(messages=[question], **given) as stream:
        kinds = [event.delta.type for event in stream if event.type == "content_block_delta"]
        streamed_message = stream.get_final_message()
    assert kinds.count("citations_delta") == 1
    texts: list[Any] = list(streamed_message.content)
    assert [(one.text, one.citations) for one in texts if one.citations] == [(block.text, block.citations)]
    assert "".join(one.text for one in texts) == "".join(getattr(one, "text", "") for one in whole.content)
    back: Any = [block.model_dump() for block in whole.content]
    again: Any = {"role": "user", "content": "E o aluguel?"}
    anthropic_client.messages.create(messages=[question, {"role": "assistant", "content": back}, again], **given)
    sent = bedrock.requests[-1].body["messages"][1]["content"]
    assert [next(iter(one)) for one in sent].count("citationsContent") == 1
    lonely: Any = [{"role": "user", "content": "Oi"}, {"role": "assistant", "content": back}, again]
    anthropic_client.messages.create(messages=lonely, **given)
    assert "citationsContent" not in str(bedrock.requests[-1].body)


def test_a_page_on_messages_and_a_false_quote(server: RomServer, bedrock: LocalBedrock, anthropic_client: Any) -> None:
    """The end of a page_location is excluded, as Anthropic has it; what is not there is plain text."""
    file: Any = claude_document(pdf(pages=3), "petição.pdf")
    given: Any = {"model": MODEL, "max_tokens": 500}
    content: Any = [file, {"type": "text", "text": "Resuma. [[quote=folha 3]]"}]
    answer = anthropic_client.messages.create(messages=[{"role": "user", "content": content}], **given)
    (citation,) = next(block.citations for block in answer.content if block.citations)
    assert (citation.type, citation.start_page_number, citation.end_page_number) == ("page_location", 3, 4)
    content = [file, {"type": "text", "text": "Resuma. [[quote=folha 9]]"}]
    with anthropic_client.messages.stream(messages=[{"role": "user", "content": content}], **given) as stream:
        message = stream.get_final_message()
    assert not any(block.citations for block in message.content)
    assert "folha 9" in "".join(block.text for block in message.content)


def test_on_messages_all_documents_are_cited_or_none(server: RomServer, anthropic_client: Any) -> None:
    """As Anthropic's API refuses it, with the place; without documents of which they can be had they are ignored."""
    files = [claude_document(CONTRACT, "a.txt"), claude_document(CONTRACT, "b.txt", cite=False)]
    content: Any = [*files, {"type": "text", "text": "Resuma."}]
    with pytest.raises(anthropic.BadRequestError, match=r"messages\.0\.content\.1\.citations"):
        anthropic_client.messages.create(model=MODEL, max_tokens=100, messages=[{"role": "user", "content": content}])
    schema: Any = {"type": "json_schema", "schema": {"type": "object", "properties": {}, "additionalProperties": False}}
    raw = anthropic_client.messages.with_raw_response.create(
        model=MODEL,
        max_tokens=100,
        messages=[{"role": "user", "content": [files[0], {"type": "text", "text": "Resuma."}]}],
        output_config={"format": schema},
    )
    assert raw.headers["X-Rom-Ignored"] == "messages.content.citations"


def test_the_official_openai_client_reads_annotations(
    server: RomServer, bedrock: LocalBedrock, openai_client: Any
) -> None:
    """Of the one kind that it knows, with a place in the address; in full in `rom`; the message may be sent back."""
    uri = f"data:text/plain;base64,{base64.b64encode(CONTRACT.encode()).decode()}"
    parts: Any = [
        {"type": "file", "file": {"filename": "contrato novo.txt", "file_data": uri}},
        {"type": "text", "text": "Resuma."},
    ]
    question: Any = {"role": "user", "content": parts}
    given: Any = {"model": MODEL, "extra_body": {"citations": True}}
    answer = openai_client.chat.completions.create(messages=[question], **given)
    message = answer.choices[0].message
    assert message.annotations is not None
    (annotation,) = message.annotations
    cited = annotation.url_citation
    assert message.content is not None
    assert message.content[cited.start_index : cited.end_index] == 'O documento diz: "Contrato de locação."'
    assert (cited.title, cited.url) == ("contrato novo.txt", "attachment:contrato%20novo.txt#char=0,20")
    assert answer.rom["citations"][0]["quote"] == "Contrato de locação."
    chunks = list(openai_client.chat.completions.create(messages=[question], stream=True, **given))
    deltas = [chunk.choices[0].delta.model_dump().get("annotations") for chunk in chunks if chunk.choices]
    assert [one for one in deltas if one] == [[annotation.model_dump()]]
    assert chunks[-1].rom["citations"] == answer.rom["citations"]
    back: Any = message.model_dump()
    openai_client.chat.completions.create(messages=[question, back, {"role": "user", "content": "E?"}], **given)
    false: Any = [parts[0], {"type": "text", "text": f"Resuma. [[quote={FALSE}]]"}]
    refused = openai_client.chat.completions.create(messages=[{"role": "user", "content": false}], **given)
    assert refused.choices[0].message.annotations is None
    assert [one["code"] for one in refused.rom["warnings"]] == ["quote_not_in_document"]
