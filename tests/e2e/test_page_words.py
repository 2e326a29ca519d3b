"""What the team's page says of an answer that is not simply an answer, and where its sources are; answers by script."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.serving import KEY, WITH_KEY, RomServer
from page_support import DONE, START, Seat
from playwright.sync_api import Browser, expect

SERVER_SETTINGS = WITH_KEY | {"PAGE_ENABLED": True, "CONVERSATIONS_ENABLED": False, "RUNS_ENABLED": False}
TEXT = "O fiador responde. 👩‍⚖️ A multa é de **dez** por cento."


@pytest.fixture(scope="module")
def at_page(browser: Browser, server: RomServer) -> Iterator[Seat]:
    """Somebody who has signed in."""
    taken = Seat(browser, server.url)
    taken.sign_in(KEY)
    yield taken
    assert taken.complaints == []
    taken.close()


@pytest.fixture
def seat(at_page: Seat) -> Seat:
    """The same person, in a new conversation."""
    at_page.page.click("#new-conversation")
    return at_page


# Pieces of Markdown whose meaning later pieces change.
BITS = [
    "- a",
    "1. b",
    "   - c",
    "\n",
    "\n\n",
    "texto",
    "**n**",
    "`c`",
    "# t",
    "> q",
    "| a | b |",
    "|---|---|",
    "| 1 | 2 |",
]
BITS += ["```", "===", "---", "[x](http://e.example/)", "<b>", "    code", "*", "~~s~~", "\r\n", "  ", "- [ ] d"]
BITS += ["[r]: http://e.example/", "[r]"]
CUTS = (Path(__file__).parents[1] / "page_cuts.js").read_text(encoding="utf-8")


def test_however_a_text_is_cut_it_ends_as_the_whole(seat: Seat) -> None:
    """What was settled early is what it would have been: lists, tables, fences, references."""
    assert seat.page.evaluate(CUTS, BITS) == []


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        ({"stop_reason": "guardrail_hard_limit", "degraded": True}, "limite de etapas"),
        ({"stop_reason": "loop_cap", "degraded": True}, "limite de etapas"),
        ({"model": "anthropic.claude-haiku-4-5", "degraded": True}, "modelo de reserva (anthropic.claude-haiku-4-5)"),
        ({"degraded": True}, "não saiu como deveria"),
        ({"stop_reason": "max_tokens"}, "tamanho máximo"),
        ({"stop_reason": "content_filtered"}, "filtro de conteúdo"),
        ({"stop_reason": "guardrail_intervened", "degraded": False}, "filtro de conteúdo"),
        ({"stop_reason": "model_context_window_exceeded"}, "longa demais"),
    ],
)
def test_what_a_lawyer_has_to_know_is_said_in_words(seat: Seat, ending: dict[str, Any], words: str) -> None:
    """One note, below the text, without a code."""
    seat.hears(("start", START), ("delta", {"text": TEXT}), ("done", DONE | ending))
    page = seat.ask("Oi")
    expect(page.locator(".notes .note")).to_have_count(1)
    expect(page.locator(".notes .note")).to_contain_text(words)
    assert "guardrail_" not in page.inner_text("#turns")


def test_an_answer_as_it_should_be_has_no_notes(seat: Seat) -> None:
    """And one of a real model no mark of the stand-in."""
    seat.hears(("start", START), ("delta", {"text": TEXT}), ("done", DONE))
    page = seat.ask("Oi")
    expect(page.locator(".note")).to_have_count(0)
    expect(page.locator(".tag")).to_have_count(0)


def test_sources_stand_below_with_a_number_where_they_count(seat: Seat) -> None:
    """After the very words, in code points; the number leads to the quotation and back is no jump of the text."""
    first, second = TEXT.index(" 👩"), len(TEXT)
    citations = [
        {"document": 0, "name": "contrato.pdf", "page": 3, "last_page": 4, "quote": "O fiador responde."},
        {"document": 1, "name": "notas.txt", "quote": "Multa: dez por cento."},
    ]
    ends = ({"start": 0, "end": first}, {"start": first, "end": second})
    cited = [citation | {"reply": end} for citation, end in zip(citations, ends, strict=True)]
    half = len(TEXT) // 2
    seat.hears(
        ("start", START),
        ("delta", {"text": TEXT[:half]}),
        ("citation", cited[0]),
        ("delta", {"text": TEXT[half:]}),
        ("citation", cited[1]),
        ("done", DONE | {"citations": cited}),
    )
    page = seat.ask("Quem responde?")
    expect(page.locator(".prose")).to_have_text("O fiador responde.1 👩‍⚖️ A multa é de dez por cento.2")
    expect(page.locator(".sources li").first).to_contain_text("contrato.pdf, p. 3–4")
    expect(page.locator(".sources blockquote").last).to_have_text("Multa: dez por cento.")
    link = page.get_by_role("link", name="Fonte 2")
    expect(link).to_have_attribute("href", f"#{page.locator('.sources li').last.get_attribute('id')}")
    seat.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copiar", exact=True).click()
    expect(page.locator("#status")).to_have_text("Copiado.")
    assert page.evaluate("navigator.clipboard.readText()") == TEXT
    assert seat.barriers() == []


def test_a_warning_is_seen_before_the_text_it_concerns(seat: Seat) -> None:
    """One of a file stands above the answer, one of a quotation that was dropped below it."""
    early = {"code": "hidden_text", "attachment": "a.pdf", "text": "O arquivo tem texto escondido."}
    late = {"code": "quote_not_in_document", "attachment": "a.pdf", "text": "Uma citação não foi encontrada."}
    seat.hears(("start", START), ("warning", early), ("delta", {"text": TEXT}), ("warning", late), ("done", DONE))
    page = seat.ask("Oi")
    expect(page.locator(".flow .note")).to_have_text("Atenção O arquivo tem texto escondido.")
    expect(page.locator(".notes .note")).to_have_text("Atenção Uma citação não foi encontrada.")


def test_what_a_model_thought_is_folded(seat: Seat) -> None:
    """Where it comes, in pieces, above the text."""
    seat.hears(
        ("start", START),
        ("thinking", {}),
        ("thinking", {"text": "Vou considerar "}),
        ("thinking", {"text": "o contrato."}),
        ("delta", {"text": TEXT}),
        ("done", DONE),
    )
    page = seat.ask("Oi")
    expect(page.locator(".thoughts-text")).to_be_hidden()
    page.click(".thoughts summary")
    expect(page.locator(".thoughts-text")).to_have_text("Vou considerar o contrato.")


@pytest.mark.parametrize("ending", ["", "\r\n\r\n: keep-alive\n\n"])
def test_a_stream_without_an_end_is_not_taken_for_an_answer(seat: Seat, ending: str) -> None:
    """What came is kept and called incomplete; the request id is there."""
    seat.hears(("start", START), ("delta", {"text": f"O prazo é{ending}"}))
    page = seat.ask("Oi", "failed")
    expect(page.locator(".note[data-kind=error]")).to_contain_text("A conexão caiu antes do fim")
    expect(page.locator(".note code")).to_have_text("req-1")
    expect(page.locator(".prose")).to_contain_text("O prazo é")


def test_a_server_that_cannot_be_reached_is_said_so(seat: Seat) -> None:
    """And the question is not lost: it can be put again."""
    seat.page.unroute("**/api/chat")
    seat.page.route("**/api/chat", lambda route: route.abort())
    page = seat.ask("Oi", "failed")
    expect(page.locator(".note[data-kind=error]")).to_contain_text("Confira a sua conexão")
    seat.complaints.clear()
    seat.hears(("start", START), ("delta", {"text": TEXT}), ("done", DONE))
    page.get_by_role("button", name="Perguntar de novo").click()
    page.wait_for_selector(".turn[data-state=done]")


def test_a_key_that_is_taken_away_ends_the_session(seat: Seat) -> None:
    """The form is back with a sentence, and nothing of the conversation stays on the page."""
    seat.page.unroute("**/api/chat")
    refusal = {"code": "unauthorized", "user_message": "x", "request_id": "r", "status": 401}
    seat.page.route("**/api/chat", lambda route: route.fulfill(status=401, json=refusal))
    seat.page.fill("#question", "Oi")
    seat.page.press("#question", "Enter")
    expect(seat.page.locator("#sign-in-error")).to_contain_text("A sessão terminou")
    expect(seat.page.locator(".turn")).to_have_count(0)
    assert seat.page.evaluate("sessionStorage.length") == 0
    seat.complaints.clear()
    seat.sign_in(KEY)
