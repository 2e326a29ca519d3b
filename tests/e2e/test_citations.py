"""Citations on a real server process, against the local Bedrock: quotes that are in the document, and no others."""

from __future__ import annotations

from typing import Any

import pytest
from documents_support import attached, docx, image, pdf, scanned_pdf, xlsx
from e2e.serving import RomServer, Stream

from local_bedrock import LocalBedrock

CONTRACT = "Contrato de locação.\nO fiador responde por todas as obrigações.\nO aluguel é de R$ 1.200,00."
TEXT = attached(CONTRACT.encode(), "contrato.txt")
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
