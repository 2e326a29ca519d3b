"""Quotes: what is in a document is found wherever it stands, and what is not is never called a quote."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rom_core.documents.quotes import Source, Sources, letters

TEXT = "A fiança prestada pelo autor, no valor de R$ 1.200,00.\nPrazo de 10 20 dias; saldo de -5%."
QUIET = settings(deadline=None, max_examples=60)
WORDS = st.lists(st.text("abcçãé", min_size=2, max_size=8), min_size=3, max_size=30)


def citation(quote: str, kind: str = "documentChar", start: int = 0, end: int = 0, **more: Any) -> dict[str, Any]:
    """A model's citation, as Converse has it."""
    location = {kind: {"documentIndex": 0, "start": start, "end": end}}
    return {"sourceContent": [{"text": quote}], "location": location, **more}


@pytest.mark.parametrize(
    ("quote", "found"),
    [
        ("fiança prestada", True),
        ("FIANC\u0327A  PRESTADA\npelo autor", True),
        ("a \ufb01ança pres-\ntada", True),
        ("pres\u00adtada pelo au\u200btor", True),
        ("saldo de \u22125%", True),
        ("saldo de 5%", False),
        ("1020 dias", False),
        ("fiança prestada pelo réu", False),
        ("R$ 1.300,00", False),
        ("", False),
        ("., ;", False),
    ],
)
def test_what_typesetting_changes_is_the_same_and_nothing_else(quote: str, found: bool) -> None:
    """In a text and on a page."""
    claimed = {"start": 0, "end": 0}
    assert (Source(0, "a", text=TEXT).place(quote, claimed) is not None) is found
    assert (Source(0, "a", pages=(TEXT,)).place(quote, claimed) is not None) is found


@QUIET
@given(WORDS, st.data())
def test_a_piece_of_a_text_is_found_where_it_stands(words: list[str], data: st.DataObject) -> None:
    """Whatever place the model claims for it; the characters at the place are the quote."""
    text = " ".join(words)
    start = data.draw(st.integers(0, len(text) - 3))
    quote = text[start : data.draw(st.integers(start + 2, len(text)))]
    claimed = {"start": data.draw(st.integers(-2, 99)), "end": data.draw(st.integers(-2, 99))}
    place = Source(0, "a", text=text).place(quote, claimed)
    if not quote.strip():
        assert place is None
        return
    assert place is not None
    where = place["documentChar"]
    assert letters(quote) in letters(text[where["start"] : where["end"]])


@QUIET
@given(st.lists(WORDS.map(" ".join), min_size=1, max_size=6), st.data())
def test_a_piece_of_a_pdf_is_found_on_its_pages(pages: list[str], data: st.DataObject) -> None:
    """Also one that goes over a page's end; the pages that are named have it."""
    whole = " ".join(pages)
    start = data.draw(st.integers(0, len(whole) - 3))
    quote = whole[start : data.draw(st.integers(start + 2, min(len(whole), start + 60)))].strip()
    claimed = {"start": data.draw(st.integers(-1, 9)), "end": data.draw(st.integers(-1, 9))}
    place = Source(0, "a", pages=tuple(pages)).place(quote, claimed)
    if not quote:
        return
    assert place is not None
    where = place["documentPage"]
    assert 1 <= where["start"] < where["end"] <= len(pages) + 1
    assert letters(quote) in "".join(map(letters, pages[where["start"] - 1 : where["end"] - 1]))


@QUIET
@given(WORDS.map(" ".join), st.text("xyz", min_size=1, max_size=9), st.integers(0, 50), st.integers(0, 50))
def test_what_is_not_there_is_no_quote(text: str, other: str, start: int, end: int) -> None:
    """Letters that the document does not have, under any claim."""
    sources = Sources([("a", Source(0, "a.txt", text=text)), ("b", Source(1, "b.pdf", pages=(text,)))])
    for title in ("a", "b", "nothing"):
        checked = sources.check(citation(text[:4] + other, start=start, end=end, title=title))
        assert checked.block is None
        assert checked.shown is None


def test_the_document_is_the_one_that_is_named() -> None:
    """By its name, which counts more than its number; a quote from another document does not hold."""
    sources = Sources([("a", Source(0, "a.txt", text="um dois")), ("b", Source(1, "b.txt", text="tres quatro"))])
    assert sources.check(citation("tres quatro")).shown is None
    shown = sources.check(citation("tres quatro", title="b")).shown
    assert shown == {"document": 1, "name": "b.txt", "range": {"start": 0, "end": 11}, "quote": "tres quatro"}


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"location": None, "sourceContent": None},
        {"location": {"web": {"url": "https://example.com"}}, "sourceContent": [{"text": "um"}]},
        {"location": {"documentChar": {"documentIndex": 7, "start": 0, "end": 2}}, "sourceContent": [{"text": "um"}]},
        {"location": {"documentChar": {"documentIndex": True}}, "sourceContent": [{"text": None}]},
    ],
)
def test_what_is_no_citation_of_a_document_does_not_hold(broken: dict[str, Any]) -> None:
    """And raises nothing."""
    assert Sources([("a", Source(0, "a.txt", text="um"))]).check(broken).block is None


def test_a_quote_that_only_the_comparison_finds_has_the_whole_text_as_its_place() -> None:
    """Also in a text of megabytes, which is compared in pieces."""
    text = "palavra " * 400_000 + "fim do  contrato"
    place = Source(0, "a", text=text).place("fim do\ncontrato", {})
    assert place == {"documentChar": {"documentIndex": 0, "start": 0, "end": len(text)}}
