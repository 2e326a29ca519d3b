"""Conversations at the side of the team's page, their export and print, and cards, in a real Chromium."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from documents_support import pdf
from e2e.serving import KEY, WITH_KEY, RomServer
from page_support import Seat
from playwright.sync_api import Browser, Page, expect
from pypdf import PdfReader

from local_bedrock import LocalBedrock, reply, tool_use

ATTACK = "<img src=x onerror=window.hit=1>"
SERVER_SETTINGS = WITH_KEY | {
    "PAGE_ENABLED": True,
    "CONVERSATIONS_ENABLED": True,
    "LEGAL_EXTRA_HOLIDAYS": f'["2026-03-10 {ATTACK}"]',
}
QUOTE = "Excelentissimo Senhor Doutor Juiz de Direito, folha 1"
DEADLINE = tool_use("prazo_processual", {"data": "2026-03-02", "evento": "disponibilizacao", "dias": 15})


@pytest.fixture
def seat(request: pytest.FixtureRequest, browser: Browser, server: RomServer, bedrock: LocalBedrock) -> Iterator[Seat]:
    """A person with a name of her own, signed in; nothing is wrong in the console when she leaves."""
    bedrock.reset()
    taken = Seat(browser, server.url, viewport={"width": 1280, "height": 800})
    taken.sign_in(KEY, request.node.name)
    yield taken
    assert taken.complaints == []
    assert taken.violations() == []
    assert taken.page.evaluate("window.hit") is None
    taken.close()


@pytest.fixture
def who(request: pytest.FixtureRequest) -> str:
    """Her name."""
    name: str = request.node.name
    return name


def listed(page: Page) -> list[str]:
    """The titles at the side."""
    return page.locator(".side-name").all_inner_texts()


def ask(server: RomServer, who: str, message: str, **body: Any) -> str:
    """A question of an earlier day; the id of its conversation."""
    answer = server.chat(message, user=who, store=True, headers={"X-Api-Key": KEY}, **body)
    assert answer.status_code == 200, answer.text
    made: str = answer.json()["conversation_id"]
    return made


def test_a_question_begins_a_conversation_that_goes_on_is_found_again_and_left(
    seat: Seat, bedrock: LocalBedrock
) -> None:
    """Newest first; opening one shows what was said; the next question goes on with it; a reload comes back to it."""
    page = seat.page
    expect(page.locator(".side-state")).to_contain_text("Nenhuma conversa")
    bedrock.script(reply("Quinze dias."), reply("Dez anos."), reply("Em dobro, trinta."))
    seat.ask("Qual o prazo para apelar?")
    page.click("#new-conversation")
    expect(page.locator(".turn")).to_have_count(0)
    seat.ask("Quando prescreve?")
    expect(page.locator(".side-name")).to_have_text(["Quando prescreve?", "Qual o prazo para apelar?"])
    expect(page.locator("[aria-current] .side-name")).to_have_text("Quando prescreve?")
    page.click("text=Qual o prazo para apelar?")
    expect(page.locator(".turn .prose")).to_have_text("Quinze dias.")
    expect(page.locator("#log")).to_be_focused()
    assert page.title() == "Qual o prazo para apelar? · ROM"
    seat.ask("E para a Fazenda?")
    sent = bedrock.requests[-1].body["messages"]
    said = [next(block["text"] for block in message["content"] if "text" in block) for message in sent]
    assert said == ["Qual o prazo para apelar?", "Quinze dias.", "E para a Fazenda?"]
    expect(page.locator(".side-name")).to_have_text(["Qual o prazo para apelar?", "Quando prescreve?"])
    page.reload()
    expect(page.locator(".turn .prose")).to_have_text(["Quinze dias.", "Em dobro, trinta."])
    page.click("#new-conversation")
    page.reload()
    expect(page.locator(".side-name")).to_have_count(2)
    expect(page.locator("#welcome")).to_be_visible()
    assert seat.moved() == []


def test_the_list_comes_in_pages_and_is_searched_by_title(seat: Seat, server: RomServer, who: str) -> None:
    """Thirty at a time; words of the title in any case; an answer that was overtaken changes nothing."""
    for number in range(32):
        ask(server, who, f"Pergunta {number}: contrato {'de aluguel' if number % 16 == 0 else 'social'}")
    page = seat.page
    page.reload()
    expect(page.locator(".side-name")).to_have_count(30)
    assert listed(page)[0].startswith("Pergunta 31")
    page.click("text=Mostrar mais")
    expect(page.locator(".side-name")).to_have_count(32)
    expect(page.locator(".side-next")).to_be_hidden()
    page.locator("#search").press_sequentially("ALUGUEL contrato", delay=5)
    expect(page.locator(".side-name")).to_have_count(2)
    expect(page.locator(".side-state")).to_have_text("2 conversas")
    page.fill("#search", "usucapião")
    expect(page.locator(".side-state")).to_have_text("Nenhum título com essas palavras.")
    page.fill("#search", "")
    expect(page.locator(".side-name")).to_have_count(30)


def test_a_title_is_changed_and_a_conversation_erased_after_a_second_look(
    seat: Seat, server: RomServer, who: str
) -> None:
    """By keyboard alone; Escape changes nothing and gives the focus back."""
    mine = ask(server, who, "Primeira")
    ask(server, who, "Segunda")
    page = seat.page
    page.reload()
    options = page.get_by_role("button", name="Opções da conversa Primeira")
    options.focus()
    page.keyboard.press("Enter")
    expect(options).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    field = page.get_by_label("Título", exact=True)
    expect(field).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Renomear")).to_be_focused()
    page.keyboard.press("Enter")
    field.fill("Apelação da Ana")
    page.keyboard.press("Enter")
    expect(page.locator(".side-name")).to_have_text(["Segunda", "Apelação da Ana"])
    page.get_by_role("button", name="Apagar").press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("para sempre")
    expect(page.get_by_role("button", name="Cancelar")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".side-name")).to_have_count(2)
    page.get_by_role("button", name="Apagar").press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="Apagar").press("Enter")
    expect(page.locator(".side-name")).to_have_text(["Segunda"])
    answer = requests.get(
        f"{server.url}/api/conversations/{mine}", params={"user": who}, headers={"X-Api-Key": KEY}, timeout=60
    )
    assert answer.status_code == 404


def test_what_was_erased_elsewhere_is_said_to_be_gone(seat: Seat, server: RomServer, who: str) -> None:
    """And leaves the list."""
    mine = ask(server, who, "Primeira")
    page = seat.page
    page.reload()
    expect(page.locator(".side-name")).to_have_count(1)
    address = f"{server.url}/api/conversations/{mine}"
    requests.delete(address, params={"user": who}, headers={"X-Api-Key": KEY}, timeout=60)
    page.click(".side-open")
    expect(page.locator(".side-state")).to_have_text("Esta conversa não existe mais.")
    expect(page.locator(".side-name")).to_have_count(0)
    seat.complaints.clear()


def cited(seat: Seat, server: RomServer, who: str) -> Page:
    """A conversation about a contract, with a quote from it, and one with a deadline, the latter open."""
    file = {"file": ("contrato.pdf", pdf(), "application/pdf")}
    kept = requests.post(f"{server.url}/api/files", files=file, headers={"X-Api-Key": KEY}, timeout=60).json()
    ask(server, who, "Quem responde pelo aluguel?", attachments=[{"file_id": kept["id"]}], citations=True)
    seat.page.reload()
    expect(seat.page.locator(".side-name")).to_have_count(1)
    return seat.page


def test_a_conversation_is_exported_as_markdown(seat: Seat, server: RomServer, who: str, tmp_path: Path) -> None:
    """A file with what was asked and answered, attachments and sources; nothing but the file is fetched for it."""
    page = cited(seat, server, who)
    page.click(".side-more")
    with page.expect_download() as download:
        page.get_by_role("button", name="Exportar").click()
    assert download.value.suggested_filename == "Quem responde pelo aluguel.md"
    download.value.save_as(tmp_path / "exported.md")
    text = (tmp_path / "exported.md").read_text(encoding="utf-8")
    assert text.startswith("# Quem responde pelo aluguel?\n")
    assert "## Pergunta" in text
    assert "Anexos: contrato" in text
    assert f"### Fontes citadas\n\n1. contrato, p. 1: “{QUOTE}”" in text


def test_a_printed_conversation_is_what_was_said_and_its_sources(
    seat: Seat, server: RomServer, bedrock: LocalBedrock, who: str
) -> None:
    """A PDF with title, question, answer, sources and the card, unfolded; nothing to press, no other conversation."""
    page = cited(seat, server, who)
    page.click(".side-open")
    expect(page.locator(".sources")).to_contain_text("p. 1")
    bedrock.script(DEADLINE, reply("Apele até a data do cartão."))
    seat.ask("E o prazo?")
    ask(server, who, "Outra conversa")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    sheet = PdfReader(io.BytesIO(page.pdf()))
    text = " ".join("\n".join(each.extract_text() for each in sheet.pages).replace("\ufb01", "fi").split())
    for said in (
        "Quem responde pelo aluguel?",
        QUOTE,
        "contrato, p. 1",
        "E o prazo?",
        "Apele até a data do cartão.",
        "Vencimento 25/03/2026",
        "CPC, art. 219",
        "Impresso em",
    ):
        assert said in text, text
    for pressed in ("Nova conversa", "Sair", "Copiar", "Buscar", "Anexos:", "Outra conversa", "Enviar", "Enter"):
        assert pressed not in text, text
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    expect(page.locator(".card details").last).not_to_have_attribute("open", "")


def test_a_deadline_is_a_card_with_the_days_that_do_not_count_and_why(seat: Seat, bedrock: LocalBedrock) -> None:
    """A table for who cannot see it; the same card when the conversation is opened again; what it says is only text."""
    page = seat.page
    bedrock.script(DEADLINE, reply("Veja o cartão."))
    seat.ask("Qual o prazo?")
    card = page.get_by_role("region", name="Prazo processual")
    expect(card.locator(".deadline-due")).to_contain_text("25/03/2026")
    march = card.get_by_role("table", name="março de 2026")
    expect(march.get_by_role("columnheader")).to_have_text(["dom", "seg", "ter", "qua", "qui", "sex", "sáb"])
    expect(march.get_by_role("cell", name=f"10 (não conta: {ATTACK})")).to_have_count(1)
    expect(march.get_by_role("cell", name="8 (não conta: domingo)")).to_have_count(1)
    expect(march.get_by_role("cell", name="25 (dia 15, vencimento)")).to_have_count(1)
    expect(march.get_by_role("cell", name="4 (dia 1, início da contagem)")).to_have_count(1)
    expect(march.get_by_role("cell", name="3 (publicação)")).to_have_count(1)
    expect(card).to_contain_text(f"10/03/2026 {ATTACK}")
    shown = card.inner_text()
    assert page.evaluate("document.querySelectorAll('.card img').length") == 0
    assert seat.moved() == []
    page.reload()
    expect(page.locator(".turn")).to_have_count(1)
    assert page.get_by_role("region", name="Prazo processual").inner_text() == shown


def test_titles_and_questions_are_only_text(seat: Seat, server: RomServer, who: str) -> None:
    """Whatever they hold; in the list, the heading, dialogs and names of controls."""
    ask(server, who, f"{ATTACK}<script>window.hit=1</script>")
    page = seat.page
    page.reload()
    page.click(".side-open")
    expect(page.locator(".asked-text")).to_contain_text(ATTACK)
    page.click(".side-more")
    page.get_by_role("button", name="Renomear").click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Apagar").click()
    expect(page.get_by_role("dialog")).to_contain_text(ATTACK)
    page.keyboard.press("Escape")
    assert page.evaluate("document.querySelectorAll('#app img, #app script, dialog img').length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_side_has_no_barriers_and_is_a_drawer_on_a_telephone(
    seat: Seat, server: RomServer, bedrock: LocalBedrock, who: str, scheme: Any
) -> None:
    """axe finds nothing in any state; the drawer keeps the focus, Escape closes it, nothing scrolls sideways."""
    ask(server, who, "Uma pergunta com um título tão comprido que não cabe em uma linha só")
    page = seat.page
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    bedrock.script(DEADLINE, reply("Veja o cartão."))
    seat.ask("Qual o prazo?")
    expect(page.locator(".side-name")).to_have_count(2)
    page.locator(".side-more").first.click()
    assert seat.barriers() == []
    page.get_by_role("button", name="Apagar").click()
    assert seat.barriers() == []
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 360, "height": 740})
    expect(page.locator("#conversations")).to_be_hidden()
    toggle = page.locator("#toggle-conversations")
    toggle.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#search")).to_be_focused()
    assert seat.barriers() == []
    for _ in range(12):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('.side')")
    page.locator("#search").focus()
    page.keyboard.press("Escape")
    expect(page.locator("#conversations")).to_be_hidden()
    expect(toggle).to_be_focused()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert seat.barriers() == []
    small = page.evaluate(
        """[...document.querySelectorAll("button, input, summary")].filter(n => n.offsetParent)
          .filter(n => Math.min(n.getBoundingClientRect().width, n.getBoundingClientRect().height) < 24)
          .map(n => n.id || n.textContent)"""
    )
    assert small == []


def test_who_signs_out_leaves_nothing_behind(seat: Seat, server: RomServer, who: str) -> None:
    """Neither in the list nor for the next one who signs in on the same page."""
    ask(server, who, "Sigiloso")
    page = seat.page
    page.reload()
    page.click(".side-open")
    page.click("#sign-out")
    expect(page.locator("#key")).to_be_focused()
    assert page.evaluate("document.body.textContent.includes('Sigiloso')") is False
    assert page.title() == "ROM · Assistente jurídico"
    page.fill("#name", "outra pessoa")
    page.fill("#key", KEY)
    page.keyboard.press("Enter")
    expect(page.locator(".side-state")).to_contain_text("Nenhuma conversa")
    expect(page.locator("#welcome")).to_be_visible()
