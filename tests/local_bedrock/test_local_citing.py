"""Citations of the local Bedrock: where they may be asked for, and what it quotes."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from documents_support import pdf

from local_bedrock import LocalBedrock
from local_bedrock.citing import check_citations, quote_of

Block = dict[str, Any]
ASKED: Block = {"citations": {"enabled": True}}


def document(kind: str = "txt", **more: Any) -> Block:
    """A document of a text, unless it has another source."""
    given = {"name": "a", "format": kind, "source": {"text": "Primeira linha.\nSegunda."}, **more}
    return {"document": given}


def cited(number: int | None = 0, start: int = 0, end: int = 3, quote: str = "Pri", text: str = "Sim.") -> Block:
    """A text that rests on a document."""
    location = {"documentChar": {"documentIndex": number, "start": start, "end": end}}
    citation = {"sourceContent": [{"text": quote}], "location": location}
    return {"citationsContent": {"content": [{"text": text}], "citations": [citation]}}


def problems(*content: Block, answer: Block | None = None) -> list[str]:
    """What is wrong with a question, and the answer to it."""
    messages = [{"role": "user", "content": list(content)}]
    if answer is not None:
        messages.append({"role": "assistant", "content": [answer]})
    return list(check_citations(messages))


BYTES: Block = {"source": {"bytes": "eA=="}}


@pytest.mark.parametrize(
    ("blocks", "word"),
    [
        ([document("docx", **ASKED, **BYTES)], "Only txt and pdf"),
        ([document(**ASKED, **BYTES)], "The PDF specified was not valid"),
        ([document("pdf", **ASKED)], "The PDF specified was not valid"),
        ([document()], "bytes, s3Location"),
        ([document(**ASKED), document(**BYTES)], "or on none"),
        ([{"toolResult": {"content": [document(**ASKED)]}}], "not supported in tool result"),
    ],
)
def test_documents_that_cannot_be_cited_are_refused(blocks: list[Block], word: str) -> None:
    """In the service's words."""
    (problem,) = problems(*blocks)
    assert word in problem


@pytest.mark.parametrize("answer", [cited(1), cited(None), cited(start=3), cited(quote=" "), cited(text=" ")], ids=str)
def test_citations_that_cannot_stand_are_refused(answer: Block) -> None:
    """Of documents that are not there, without a place, a quote or a text."""
    assert problems(document(**ASKED), answer=answer)
    assert not problems(document(**ASKED), answer=cited())
    assert problems(document(**BYTES), answer=cited())


def test_it_quotes_the_first_line_or_what_it_is_told() -> None:
    """Of a text with its characters, of a PDF with its page; nothing where nobody asks."""
    body = {"messages": [{"role": "user", "content": [document(**ASKED)]}]}
    made = quote_of(body, None)
    assert made is not None
    assert made["sourceContent"] == [{"text": "Primeira linha."}]
    assert made["location"] == {"documentChar": {"documentIndex": 0, "start": 0, "end": 15}}
    source = {"source": {"bytes": base64.b64encode(pdf()).decode()}}
    made = quote_of({"messages": [{"role": "user", "content": [document("pdf", **ASKED, **source)]}]}, "folha 1")
    assert made is not None
    assert made["location"] == {"documentPage": {"documentIndex": 0, "start": 1, "end": 2}}
    assert quote_of({"messages": [{"role": "user", "content": [document(**BYTES)]}]}, "x") is None


def test_a_stream_has_the_citation_before_its_text(bedrock_local: LocalBedrock) -> None:
    """Whole and in the block of its text, as Bedrock sends it; Converse has the block."""
    import boto3

    client = boto3.client(
        "bedrock-runtime",
        endpoint_url=bedrock_local.url,
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    asked: Any = {
        "modelId": "global.anthropic.claude-sonnet-4-6",
        "messages": [{"role": "user", "content": [document(**ASKED), {"text": "Resuma. [[quote=Segunda]]"}]}],
    }
    whole = client.converse(**asked)["output"]["message"]["content"]
    assert whole[0]["citationsContent"]["citations"][0]["sourceContent"] == [{"text": "Segunda"}]
    events = [
        event["contentBlockDelta"]
        for event in client.converse_stream(**asked)["stream"]
        if "contentBlockDelta" in event
    ]
    assert list(events[0]["delta"]) == ["citation"]
    said = "".join(event["delta"].get("text", "") for event in events if event["contentBlockIndex"] == 0)
    assert said == whole[0]["citationsContent"]["content"][0]["text"]
