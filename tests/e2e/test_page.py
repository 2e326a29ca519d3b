"""The team's page in a real Chromium, on a real server process, against the local Bedrock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from e2e.serving import KEY, WITH_KEY, RomServer
from page_support import Seat
from playwright.sync_api import Browser, expect

from local_bedrock import LocalBedrock, fault, reply, tool_use
from rom_core.settings import texts

SERVER_SETTINGS = WITH_KEY | {
    "PAGE_ENABLED": True,
    "CONVERSATIONS_ENABLED": False,
    "RUNS_ENABLED": False,
    "RETRY_ENABLED": True,
    "RETRY_BACKOFF_SECONDS": "[0.05]",
}
QUESTION = "O número 0001234-08.2023.8.26.0100 é válido?"
PROSE = """## Prazo

O prazo é de **15 dias úteis**, contados em *dobro* para a Fazenda:

3. publicação em 02/03/2026;
4. início em 03/03/2026;
   - quarta-feira;
   - expediente normal.

| Ato | Prazo | Base |
|---|---:|---|
| Apelação | 15 | art. 1.003, § 5º |
| Embargos | 5 | art. 1.023 |

> Os prazos processuais contam-se em dias úteis.

```
15 dias úteis
```

Veja o [CPC](https://www.planalto.gov.br/ccivil_03/_ato2015-2018/2015/lei/l13105.htm), art. 219.
"""


@pytest.fixture
def seat(browser: Browser, server: RomServer, bedrock: LocalBedrock) -> Iterator[Seat]:
    """Somebody at the page, who has not signed in; nothing may be wrong in the console when they leave."""
    bedrock.reset()
    taken = Seat(browser, server.url, viewport={"width": 1280, "height": 800})
    yield taken
    assert taken.foreign == []
    taken.close()


def test_key_and_enter_are_enough(seat: Seat, bedrock: LocalBedrock) -> None:
    """From the address to an answer by keyboard alone; nothing is asked of the server before the key."""
    page = seat.open()
    expect(page.locator("#key")).to_be_focused()
    page.wait_for_load_state("networkidle")
    assert [one for one in seat.asked if "/api/" in one or "/v1/" in one or "/admin/" in one] == []
    page.keyboard.type(KEY)
    page.keyboard.press("Enter")
    expect(page.locator("#question")).to_be_focused()
    page.keyboard.type(QUESTION)
    page.keyboard.press("Enter")
    expect(page.locator(".turn[data-state=done] .prose").last).to_contain_text("TJSP")
    expect(page.locator(".step")).to_contain_text("concluído")
    expect(page.locator(".step")).not_to_contain_text("_")
    assert [one for one in seat.asked if "/api/" in one] == ["GET /api/capabilities", "POST /api/chat"]
    assert seat.complaints == []
    assert seat.violations() == []


def test_the_name_goes_along_as_user_and_both_last_as_long_as_the_browser_session(seat: Seat) -> None:
    """A reload does not ask again; a new session does; signing out forgets."""
    page = seat.sign_in(KEY, "Ana Souza")
    with page.expect_request("**/api/chat") as sent:
        seat.ask("Bom dia")
    body: Any = sent.value.post_data_json
    assert (body["user"], body["stream"], body["restart"]) == ("Ana Souza", True, True)
    expect(page.locator(".asked .author")).to_have_text("Ana Souza")
    page.reload()
    expect(page.locator("#question")).to_be_focused()
    assert KEY not in str(page.context.storage_state())
    page.click("#sign-out")
    expect(page.locator("#key")).to_be_focused()
    assert page.evaluate("sessionStorage.length") == 0
    page.reload()
    expect(page.locator("#sign-in")).to_be_visible()


def test_a_wrong_key_is_said_in_words(seat: Seat) -> None:
    """Beside the field, and the field has the focus; without any key nothing is asked."""
    page = seat.open()
    page.press("#key", "Enter")
    expect(page.locator("#sign-in-error")).to_have_text("Informe a chave de acesso.")
    page.fill("#key", "sk-wrong-0123456789")
    page.press("#key", "Enter")
    expect(page.locator("#sign-in-error")).to_contain_text("Chave incorreta")
    expect(page.locator("#key")).to_be_focused()
    expect(page.locator("#app")).to_be_hidden()


def test_a_server_without_keys_says_so_and_lets_one_in(browser: Browser, server: RomServer) -> None:
    """In development; the page that such a server sends, before a server that is content."""
    seat = Seat(browser, server.url, extra_http_headers={"X-Api-Key": KEY})
    page = seat.page
    html = page.request.get(server.url).text().replace('data-keys="needed"', 'data-keys="none"')
    page.route(f"{server.url}/", lambda route: route.fulfill(content_type="text/html; charset=utf-8", body=html))
    seat.open()
    expect(page.locator("#sign-in-hint")).to_contain_text("não pede chave")
    expect(page.locator("#key")).to_be_hidden()
    expect(page.locator("#name")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#question")).to_be_focused()
    assert seat.complaints == []
    seat.close()


def test_markdown_is_shown_as_it_comes_and_nothing_moves(seat: Seat, bedrock: LocalBedrock) -> None:
    """Headings, lists, a table, a quotation, code, a link; no layout shift, and what is settled is not made anew."""
    page = seat.sign_in(KEY)
    deadline = {"data": "2026-03-02", "evento": "disponibilizacao", "dias": 15}
    bedrock.script(tool_use("prazo_processual", deadline), reply(PROSE, delay=0.012))
    page.fill("#question", "Qual o prazo?")
    page.press("#question", "Enter")
    page.wait_for_selector(".prose ol > li:nth-child(2)")
    page.evaluate("document.querySelector('.prose h3').first = true")
    page.wait_for_selector(".turn[data-state=done]")
    assert page.evaluate("document.querySelector('.prose h3').first") is True
    prose = page.locator(".prose").last
    for selector, text in (
        ("h3", "Prazo"),
        ("strong", "15 dias úteis"),
        ('ol[start="3"] > li > ul > li', "quarta-feira;"),
        ("td[align=right]", "15"),
        ("blockquote", "Os prazos processuais contam-se em dias úteis."),
        ("pre code", "15 dias úteis"),
        ("a", "CPC"),
    ):
        expect(prose.locator(selector).first).to_have_text(text)
    expect(prose.locator("a")).to_have_attribute("rel", "noopener noreferrer nofollow")
    assert seat.moved() == []
    assert seat.complaints == []


def test_a_stream_looks_in_the_end_as_the_same_text_in_one_piece(seat: Seat, bedrock: LocalBedrock) -> None:
    """However it was cut: what was settled early is what it would have been."""
    page = seat.sign_in(KEY)
    shown = []
    for delay in (0.012, 0.0):
        bedrock.script(reply(PROSE, delay=delay))
        seat.ask("Qual o prazo?")
        shown.append(page.locator(".prose").last.inner_html())
    assert shown[0] == shown[1]


def test_stop_ends_the_answer_and_keeps_what_was_said(seat: Seat, bedrock: LocalBedrock) -> None:
    """By the button and by Escape; the model is left, and one may ask again."""
    page = seat.sign_in(KEY)
    for by_key in (False, True):
        before = bedrock.aborted
        bedrock.script("[[length=400]] [[delay=0.05]]")
        page.fill("#question", "Conte.")
        page.press("#question", "Enter")
        page.wait_for_selector(".turn:last-child .prose p")
        if by_key:
            page.keyboard.press("Escape")
        else:
            page.click("#stop")
        page.wait_for_selector(".turn:last-child[data-state=stopped]")
        expect(page.locator(".turn").last.locator(".note")).to_contain_text("Você interrompeu a resposta")
        expect(page.locator("#send")).to_be_visible()
        page.wait_for_function("() => document.activeElement.id === 'question'")
        assert bedrock.aborted >= before
    assert seat.complaints == []


def test_an_error_is_told_in_its_own_words_with_an_id_to_copy(seat: Seat, bedrock: LocalBedrock) -> None:
    """`user_message`, and the request id; asking again puts the same question once more, in the place of the first."""
    seat.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = seat.sign_in(KEY)
    bedrock.script(fault(403))
    with page.expect_response("**/api/chat") as answered:
        seat.ask("Bom dia", "failed")
    note = page.locator(".note[data-kind=error]")
    request_id = answered.value.headers["x-request-id"]
    expect(note).to_contain_text(texts.ERRORS["upstream_refused"])
    expect(note.locator("code")).to_have_text(request_id)
    # It says so for two seconds only.
    note.evaluate(
        """node => { window.said = []; const button = node.querySelector("button");
          new MutationObserver(() => window.said.push(button.textContent))
            .observe(node, {childList: true, characterData: true, subtree: true}); }"""
    )
    note.get_by_role("button", name="Copiar código").click()
    page.wait_for_function("() => window.said.includes('Copiado')")
    assert page.evaluate("navigator.clipboard.readText()") == request_id
    page.get_by_role("button", name="Perguntar de novo").click()
    page.wait_for_selector(".turn[data-state=done]")
    assert page.locator(".turn").count() == 1
    expect(page.locator(".asked-text")).to_have_text("Bom dia")


def test_an_answer_that_breaks_off_begins_again_without_a_doubled_word(seat: Seat, bedrock: LocalBedrock) -> None:
    """`restart` takes back what was said of that attempt; the text is the answer's."""
    page = seat.sign_in(KEY)
    text = "O prazo é de quinze dias úteis, contados da publicação, conforme o Código."
    bedrock.script("[[say=" + text + "]] [[fault=cut]] [[after=4]]", reply(text))
    page.evaluate(
        """() => { window.states = []; new MutationObserver(changes => changes.forEach(
          change => window.states.push(change.target.dataset.state)))
          .observe(document.querySelector("#turns"), {attributeFilter: ["data-state"], subtree: true}); }"""
    )
    seat.ask("Qual o prazo?")
    assert "again" in page.evaluate("window.states")
    assert len(bedrock.requests) == 2
    expect(page.locator(".prose").last).to_have_text(text)


def test_the_whole_answer_can_be_copied_as_it_was_written(seat: Seat, bedrock: LocalBedrock) -> None:
    """Markdown, to be put into a text or a mail."""
    seat.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = seat.sign_in(KEY)
    bedrock.script(reply(PROSE))
    seat.ask("Qual o prazo?")
    page.get_by_role("button", name="Copiar").click()
    expect(page.locator("#status")).to_have_text("Copiado.")
    assert page.evaluate("navigator.clipboard.readText()") == PROSE.strip()


def test_what_was_said_before_goes_along(seat: Seat, bedrock: LocalBedrock) -> None:
    """Where no conversations are kept the page sends them; a new conversation begins with nothing."""
    page = seat.sign_in(KEY)
    bedrock.script(reply("Quinze dias."), reply("Trinta."), reply("Oi."))
    seat.ask("Qual o prazo?")
    seat.ask("E em dobro?")
    sent = [message["content"][0]["text"] for message in bedrock.requests[-1].body["messages"]]
    assert sent == ["Qual o prazo?", "Quinze dias.", "E em dobro?"]
    page.click("#new-conversation")
    expect(page.locator("#welcome")).to_be_visible()
    assert page.locator(".turn").count() == 0
    seat.ask("Oi")
    assert len(bedrock.requests[-1].body["messages"]) == 1


def test_the_end_is_followed_until_somebody_scrolls_up(seat: Seat, bedrock: LocalBedrock) -> None:
    """However fast it grows; who reads what is above stays there."""
    page = seat.sign_in(KEY)

    def ask_and_watch(question: str) -> None:
        bedrock.script("[[length=300]] [[delay=0.01]]")
        page.fill("#question", question)
        page.press("#question", "Enter")
        page.wait_for_selector(".turn:last-child .prose p")

    bedrock.script("[[length=900]]")
    seat.ask("Conte muito.")
    page.wait_for_function("() => { const n = document.querySelector('#log'); return n.scrollTop > 500; }")
    assert page.evaluate("(n => n.scrollHeight - n.scrollTop - n.clientHeight)(document.querySelector('#log'))") < 2
    ask_and_watch("Mais.")
    page.hover("#log")
    page.mouse.wheel(0, -20000)
    page.wait_for_function("() => document.querySelector('#log').scrollTop === 0")
    page.wait_for_selector(".turn:nth-child(2)[data-state=done]")
    assert page.evaluate("document.querySelector('#log').scrollTop") == 0
    ask_and_watch("E mais.")
    page.evaluate("document.querySelector('#log').addEventListener('wheel', () => { window.wheeled = true; })")
    page.mouse.wheel(0, -40)
    page.wait_for_function("() => window.wheeled")
    seen = page.evaluate("document.querySelector('#log').scrollTop")
    page.wait_for_selector(".turn:nth-child(3)[data-state=done]")
    assert page.evaluate("document.querySelector('#log').scrollTop") <= seen, "a little is enough"
    page.mouse.wheel(0, 20000)
    page.wait_for_function(
        "() => { const n = document.querySelector('#log'); return n.scrollHeight - n.scrollTop - n.clientHeight < 2; }"
    )
    page.set_viewport_size({"width": 360, "height": 400})
    page.click("#new-conversation")
    assert page.evaluate("document.querySelector('#log').scrollTop") == 0


def test_the_end_is_followed_though_the_answer_grows_before_its_scroll_is_told(
    seat: Seat, bedrock: LocalBedrock
) -> None:
    """Far beyond what is near the end: nobody has scrolled."""
    page = seat.sign_in(KEY)
    page.evaluate(
        """() => addEventListener("scroll", () => {
          document.querySelector(".turn").style.paddingBottom = "900px"; }, {capture: true, once: true})"""
    )
    bedrock.script("[[length=900]] [[delay=0.001]]")
    seat.ask("Conte muito.")
    assert page.evaluate("document.querySelector('.turn').style.paddingBottom") == "900px"
    assert page.evaluate("(n => n.scrollHeight - n.scrollTop - n.clientHeight)(document.querySelector('#log'))") < 2


def test_the_stand_in_is_marked_in_large_letters(seat: Seat) -> None:
    """On the answer, at no smaller a size than the text; the banner of the whole page is for a server that has it."""
    page = seat.sign_in(KEY)
    seat.ask("Bom dia")
    tag = page.locator(".tag")
    expect(tag).to_have_text("Simulação")
    size = tag.evaluate("node => [parseFloat(getComputedStyle(node).fontSize), getComputedStyle(node).textTransform]")
    assert size[0] >= 16
    assert size[1] == "uppercase"


def test_shift_enter_breaks_the_line_and_an_empty_question_is_not_sent(seat: Seat) -> None:
    """And while an answer comes, Enter sends nothing."""
    page = seat.sign_in(KEY)
    page.keyboard.press("Enter")
    page.keyboard.type("um")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("dois")
    assert page.input_value("#question") == "um\ndois"
    assert "POST /api/chat" not in seat.asked
    page.keyboard.press("Enter")
    page.wait_for_selector(".turn[data-state=done]")
    expect(page.locator(".asked-text")).to_have_text("um\ndois")
    assert seat.asked.count("POST /api/chat") == 1


def test_a_screen_reader_hears_the_answer_once(seat: Seat, bedrock: LocalBedrock) -> None:
    """The live region says that it begins, what tools do, and the whole at the end: not every word that comes."""
    page = seat.sign_in(KEY)
    page.evaluate(
        """() => { window.heard = []; new MutationObserver(() => {
          const text = document.querySelector("#status").textContent; if (text) window.heard.push(text);
        }).observe(document.querySelector("#status"), {childList: true, characterData: true, subtree: true}); }"""
    )
    bedrock.script("[[length=120]] [[delay=0.005]]")
    seat.ask("Conte.")
    heard = page.evaluate("window.heard")
    assert heard[0] == "O assistente está respondendo."
    assert heard[-1].startswith("Resposta concluída.")
    assert len(heard) <= 3
    assert page.locator("#log[aria-live], #turns[aria-live], .answer[aria-live]").count() == 0
