"""Answers that go on at the server: cut connections, long analyses, reloads and cancelling, in a real Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from e2e.cutting import CuttingProxy, cutting
from e2e.serving import KEY, WITH_KEY, RomServer
from page_support import Seat
from playwright.sync_api import Browser, Page, expect
from waiting import until

from local_bedrock import LocalBedrock, reply, tool_use

SERVER_SETTINGS = WITH_KEY | {"PAGE_ENABLED": True, "CONVERSATIONS_ENABLED": True, "RUNS_ENABLED": True}
WORDS = " ".join(f"palavra{number}" for number in range(400))
# Long enough for all that has to happen meanwhile on a busy machine, and ended by whoever waits no longer.
SLOW = reply(" ".join(f"trecho{number}" for number in range(3000)), delay=0.06)


@pytest.fixture(scope="module")
def proxy(server: RomServer) -> Iterator[CuttingProxy]:
    """Between the browser and the server."""
    with cutting(server.url) as running:
        yield running


@pytest.fixture
def seat(
    request: pytest.FixtureRequest, browser: Browser, proxy: CuttingProxy, bedrock: LocalBedrock
) -> Iterator[Seat]:
    """A person with a name of her own, signed in, behind the proxy."""
    bedrock.reset()
    proxy.cut_after(())
    taken = Seat(browser, proxy.url, viewport={"width": 1280, "height": 800})
    taken.sign_in(KEY, request.node.name)
    yield taken
    assert taken.violations() == []
    taken.close()


def said(page: Page) -> str:
    """The last answer's text."""
    return page.locator(".turn").last.locator(".prose").last.inner_text()


def runs(server: RomServer, who: str) -> list[dict[str, Any]]:
    """Her runs."""
    answer = requests.get(f"{server.url}/api/runs", params={"user": who}, headers={"X-Api-Key": KEY}, timeout=60)
    listed: list[dict[str, Any]] = answer.json()["runs"]
    return listed


@pytest.mark.parametrize("cuts", [[900], [600, 0, 1500, 700], [1000, 300, 40]])
def test_a_connection_that_is_cut_goes_on_without_doubled_or_missing_text(
    seat: Seat, proxy: CuttingProxy, bedrock: LocalBedrock, cuts: list[int]
) -> None:
    """Wherever it is cut, in a head, in an event, in a character: the answer is whole, and was asked for once."""
    bedrock.script(reply(f"Ação: {WORDS}", delay=0.001))
    proxy.cut_after(cuts)
    page = seat.ask("Conte.")
    assert said(page) == f"Ação: {WORDS}"
    assert proxy.cut == len(cuts)
    assert len(proxy.requests) == len(cuts) + 1
    assert len(bedrock.requests) == 1
    assert page.locator(".note[data-kind=error]").count() == 0


def test_a_question_whose_first_answer_is_lost_is_found_again(
    seat: Seat, proxy: CuttingProxy, bedrock: LocalBedrock
) -> None:
    """Cut in the head of the answer: it is not asked twice, and its run is read."""
    bedrock.script(reply(WORDS))
    proxy.cut_after([40])
    page = seat.ask("Conte.")
    assert said(page) == WORDS
    assert len(bedrock.requests) == 1


def test_a_reload_in_the_middle_shows_the_whole_answer(seat: Seat, server: RomServer, bedrock: LocalBedrock) -> None:
    """The answer goes on meanwhile, and is read from its beginning."""
    bedrock.script(SLOW)
    page = seat.page
    page.fill("#question", "Conte.")
    page.press("#question", "Enter")
    expect(page.locator(".prose")).to_contain_text("trecho3 ")
    page.reload()
    expect(page.locator(".turn")).to_have_count(1)
    expect(page.locator(".prose")).to_contain_text("trecho0 trecho1 trecho2 trecho3 trecho4")
    expect(page.locator(".asked-text")).to_have_text("Conte.")
    page.click("#stop")
    expect(page.locator(".turn")).to_have_attribute("data-state", "stopped")
    assert len(bedrock.requests) == 1


def test_stop_ends_the_run_at_the_server(
    seat: Seat, server: RomServer, bedrock: LocalBedrock, request: pytest.FixtureRequest
) -> None:
    """Leaving would not."""
    bedrock.script(SLOW)
    page = seat.page
    page.fill("#question", "Conte.")
    page.press("#question", "Enter")
    expect(page.locator(".prose")).to_contain_text("trecho0")
    page.keyboard.press("Escape")
    expect(page.locator(".turn")).to_have_attribute("data-state", "stopped")
    assert until(lambda: [run["state"] for run in runs(server, request.node.name)] == ["cancelled"])


def test_who_has_stopped_an_answer_may_ask_on_at_once(seat: Seat, bedrock: LocalBedrock) -> None:
    """However quickly: until the server has let go of the conversation the page waits."""
    page = seat.page
    for number in range(2):
        bedrock.script(SLOW, reply("Pronto."))
        page.fill("#question", "Conte.")
        page.press("#question", "Enter")
        expect(page.locator(".prose").last).to_contain_text("trecho0")
        page.keyboard.press("Escape")
        page.fill("#question", f"Melhor assim: {number}")
        page.press("#question", "Enter")
        expect(page.locator(".turn")).to_have_count(2 * number + 2)
        expect(page.locator(".turn").last).to_have_attribute("data-state", "done")
        assert said(page) == "Pronto."
    expect(page.locator("#runs")).to_be_hidden()


def test_a_long_analysis_is_there_when_one_comes_back(
    seat: Seat, server: RomServer, bedrock: LocalBedrock, request: pytest.FixtureRequest
) -> None:
    """Asked for, left for another question, found in the list, ready, read whole; the same after a reload."""
    page = seat.page
    bedrock.script(SLOW, reply("Dez anos."))
    page.get_by_role("button", name="Análise longa").click()
    page.fill("#question", "Analise o processo.")
    page.press("#question", "Enter")
    expect(page.locator(".turn")).to_contain_text("Pode sair desta página")
    expect(page.get_by_role("button", name="Análise longa")).to_have_attribute("aria-pressed", "false")
    expect(page.locator(".prose")).to_contain_text("trecho0")
    page.click("#new-conversation")
    seat.ask("Quando prescreve?")
    badge = page.get_by_role("button", name="1 análise em andamento")
    expect(badge).to_be_visible()
    page.reload()
    badge.click()
    entry = page.get_by_role("dialog").get_by_role("listitem")
    expect(entry).to_contain_text("Analise o processo.")
    assert seat.barriers() == []
    entry.get_by_role("button", name="Abrir").click()
    expect(page.locator(".prose")).to_contain_text("trecho0 trecho1")
    assert seat.barriers() == []
    page.click("#new-conversation")
    badge.click()
    entry.get_by_role("button", name="Cancelar").click()
    expect(entry).to_contain_text("cancelada")
    page.keyboard.press("Escape")
    expect(badge).to_be_hidden()
    assert sorted(run["state"] for run in runs(server, request.node.name)) == ["cancelled", "done"]


def test_a_run_that_ends_while_one_is_elsewhere_is_announced(seat: Seat, bedrock: LocalBedrock) -> None:
    """As a number at the top and to a screen reader; opening it shows the whole answer and takes the number away."""
    page = seat.page
    bedrock.script(tool_use("numero_processo", {"numero": "0001234-08.2023.8.26.0100"}), reply(WORDS, delay=0.03))
    page.fill("#question", "Analise.")
    page.press("#question", "Enter")
    expect(page.locator(".prose")).to_contain_text("palavra0")
    expect(page.locator(".turn")).not_to_have_attribute("data-state", "done")
    expect(page.locator(".side-name")).to_have_text(["Analise."])
    page.click("#new-conversation")
    expect(page.locator("#runs")).to_be_visible()
    ready = page.get_by_role("button", name="1 resposta pronta")
    expect(ready).to_be_visible()
    ready.click()
    page.get_by_role("dialog").get_by_role("button", name="Abrir").click()
    expect(page.locator(".prose")).to_have_text(WORDS)
    expect(page.locator("#runs")).to_be_hidden()
    assert seat.complaints == []


def test_a_browser_that_goes_offline_goes_on_when_it_is_back(seat: Seat, bedrock: LocalBedrock) -> None:
    """Without waiting longer than it has to."""
    page = seat.page
    bedrock.script(reply(WORDS, delay=0.04))
    page.fill("#question", "Conte.")
    page.press("#question", "Enter")
    expect(page.locator(".prose")).to_contain_text("palavra1 ")
    seat.context.set_offline(True)
    page.evaluate("window.dispatchEvent(new Event('offline'))")
    expect(page.locator("#status")).to_contain_text("Sem conexão")
    seat.context.set_offline(False)
    expect(page.locator(".turn")).to_have_attribute("data-state", "done")
    assert said(page) == WORDS
    assert len(bedrock.requests) == 1
