"""Citations in a history: what goes upstream is accepted, whatever a client or a plugin sends back."""

from __future__ import annotations

import copy
from typing import Any

from conversation_support import MODEL, assistant, sent, user
from hypothesis import given, settings
from hypothesis import strategies as st

from rom_core.conversation import Block, ModelCapabilities, left_out, normalise

PLAIN = ModelCapabilities(max_tokens=512, alias="second", citations=False)


def document(name: str = "a", *, cite: bool = True, kind: str = "txt", **source: Any) -> Block:
    """A document as Converse has it; a text has text where it is cited."""
    given: dict[str, Any] = source or ({"text": "um dois"} if kind == "txt" and cite else {"bytes": b"%PDF-1.7"})
    return {"document": {"name": name, "format": kind, "source": given, "citations": {"enabled": cite}}}


def cited(text: str = "um", number: Any = 0, start: Any = 0, end: Any = 2, kind: str = "documentChar") -> Block:
    """A text that rests on a document."""
    location = {kind: {"documentIndex": number, "start": start, "end": end}}
    citation = {"sourceContent": [{"text": "um"}], "location": location}
    return {"citationsContent": {"content": [{"text": text}], "citations": [citation]}}


def test_citations_go_back_with_their_document() -> None:
    """As they are, and equal when they come out again."""
    request = sent(user(document(), "Quem?"), assistant(cited(), "."), user("E?"))
    assert "citationsContent" in request["messages"][1]["content"][0]
    assert normalise(request, model=MODEL) == request


def test_without_its_document_the_text_stays() -> None:
    """Not there, not yet there, or without citations."""
    for history in (
        (user("Quem?"), assistant(cited()), user("E?")),
        (user("Quem?"), assistant(cited()), user(document(), "E?")),
        (user(document(cite=False, kind="pdf"), "Quem?"), assistant(cited()), user("E?")),
        (user(document(), "Quem?"), assistant(cited(number=1)), user("E?")),
    ):
        assert sent(*history)["messages"][1]["content"] == [{"text": "um"}]


def test_documents_go_as_citations_can_be_had() -> None:
    """A text as text with them and as bytes without; formats that are not cited without; on all or on none."""
    one = sent(user(document(), "?"))["messages"][0]["content"][0]["document"]
    assert one["source"] == {"text": "um dois"}
    for block in (document(kind="docx", bytes=b"x"), document(bytes=b"x"), document(cite=False, text="um dois")):
        plain = sent(user(block, "?"))["messages"][0]["content"][0]["document"]
        assert "citations" not in plain
        assert "bytes" in plain["source"]
    mixed = sent(user(document(), document("b", kind="docx", bytes=b"x"), "?"))["messages"][0]["content"]
    assert not any("citations" in block["document"] for block in mixed[:2])


def test_a_model_that_does_not_cite_gets_none_and_they_are_named() -> None:
    """For the answer's `ignored`; one that cites loses nothing."""
    request = {"messages": [user(document(), "Quem?"), assistant(cited()), user("E?")]}
    before = copy.deepcopy(request)
    adapted = normalise(request, model=PLAIN)
    assert "citations" not in str(adapted)
    assert adapted["messages"][0]["content"][0]["document"]["source"] == {"bytes": b"um dois"}
    assert left_out(request, adapted) == ("citations",)
    assert left_out(request, normalise(request, model=MODEL)) == ()
    assert request == before


NUMBERS = st.one_of(st.integers(-1, 4), st.sampled_from([None, True, "1", 0.5]))
CITED = st.builds(
    cited,
    st.sampled_from(["um", "", " "]),
    NUMBERS,
    NUMBERS,
    NUMBERS,
    st.sampled_from(["documentChar", "documentPage", "documentChunk", "web", "searchResultLocation"]),
)
NO_CITATIONS: list[Any] = [None, {}, "x", {"content": [{"text": "um"}]}, {"content": "um", "citations": [None, {}]}]
JUNK = st.sampled_from([{"citationsContent": value} for value in NO_CITATIONS])
DOCUMENTS = st.builds(
    lambda name, cite, kind, text: document(
        name, cite=cite, kind=kind, **({"text": "um"} if text else {"bytes": b"x"})
    ),
    st.sampled_from("abc"),
    st.booleans(),
    st.sampled_from(["txt", "pdf", "docx"]),
    st.booleans(),
)
RESULTS = st.builds(lambda one: {"toolResult": {"toolUseId": "t", "content": [one]}}, st.one_of(DOCUMENTS, CITED, JUNK))
BLOCKS = st.one_of(DOCUMENTS, CITED, JUNK, RESULTS, st.just({"text": "oi"}))
TURNS = st.lists(st.tuples(st.booleans(), st.lists(BLOCKS, max_size=4)), max_size=6)


@settings(deadline=None, max_examples=150)
@given(TURNS, st.sampled_from([MODEL, PLAIN]))
def test_whatever_is_sent_back_is_accepted(turns: list[tuple[bool, list[Block]]], model: ModelCapabilities) -> None:
    """By the rules of the local Bedrock; and a normalised request comes out equal."""
    messages = [{"role": "user" if theirs else "assistant", "content": blocks} for theirs, blocks in turns]
    request = sent(*messages, user("E?"), model=model)
    assert normalise(request, model=model) == request
