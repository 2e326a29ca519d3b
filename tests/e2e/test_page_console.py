"""The operator's console in a real Chromium: signing in, what it shows, and that nothing the server says ever runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from console_support import ANA, SETTINGS, VIEWS, Desk, ask
from e2e.serving import KEY, RomServer, serving
from playwright.sync_api import Browser, Route, expect

from local_bedrock import LocalBedrock, fault, reply, tool_use

SERVER_SETTINGS = SETTINGS
CHAT = {"X-Api-Key": KEY}
SECRET_WORDS = "Joana Prado contra Banco Exemplo"
# What is there once a view has what it shows.
FULL = {
    "agora": ".plot canvas",
    "turnos": ".turn-table tbody tr",
    "configuracoes": ".flag",
    "historico": ".history-table tbody tr",
    "canario": "[data-act='canary start']",
}
# What sticks out of the window, but for what can be scrolled by itself.
WIDE = """[...document.querySelectorAll("body *")]
  .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
  .filter(e => !e.closest(".scroller, .plot-canvas, .skip, .sr-only"))
  .map(e => `${e.tagName} ${e.id} ${e.className} ${e.getBoundingClientRect().right}`)"""
PAYLOAD = '"><img src=x onerror=window.pwned=1><script>window.pwned=1</script>'


@pytest.fixture(scope="module")
def desk(browser: Browser, server: RomServer) -> Iterator[Desk]:
    """Ana at the console; at the end nothing was asked elsewhere, complained of, or forbidden by the policy."""
    taken = Desk(browser, server.url, viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    taken.sign_in()
    yield taken
    assert taken.foreign == []
    assert taken.complaints == []
    assert taken.violations() == []
    taken.close()


@pytest.fixture
def guest(browser: Browser, server: RomServer) -> Iterator[Desk]:
    """Somebody who has not signed in."""
    taken = Desk(browser, server.url, viewport={"width": 360, "height": 740})
    yield taken
    assert taken.foreign == []
    taken.close()


def test_the_html_is_open_and_says_what_it_is(server: RomServer) -> None:
    """`/console` needs no token, names Bedrock and p95, and has a policy without unsafe-inline and unsafe-eval."""
    answer = requests.get(f"{server.url}/console", timeout=60)
    assert answer.status_code == 200
    assert {"Bedrock", "p95"} <= set(re.findall(r"\w+", answer.text))
    policy = answer.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert " style=" not in answer.text
    assert " on" not in re.sub(r">[^<]*<", "><", answer.text)


def test_a_wrong_token_is_refused_and_a_right_one_lasts_as_long_as_the_browser_session(guest: Desk) -> None:
    """Nothing is asked before a token; the wrong one is said to be wrong; a reload knows the right one."""
    page = guest.open("/console")
    page.wait_for_load_state("networkidle")
    assert [one for one in guest.asked if "/admin/" in one] == []
    page.press("#token", "Enter")
    expect(page.locator("#sign-in-error")).to_have_text("Informe o token de administrador.")
    page.fill("#token", "not-the-token")
    page.press("#token", "Enter")
    expect(page.locator("#sign-in-error")).to_contain_text("Token incorreto")
    expect(page.locator("#token")).to_be_focused()
    expect(page.locator("#console")).to_be_hidden()
    assert page.evaluate("[sessionStorage.length, localStorage.length]") == [0, 0]
    page.fill("#token", ANA)
    page.press("#token", "Enter")
    expect(page.locator("#kill")).to_be_enabled()
    assert page.evaluate("localStorage.length") == 0
    page.reload()
    expect(page.locator("#kill")).to_be_enabled()
    page.click("#sign-out")
    expect(page.locator("#token")).to_be_focused()
    assert page.evaluate("sessionStorage.length") == 0
    page.reload()
    expect(page.locator("#sign-in")).to_be_visible()


def test_a_token_that_is_no_longer_accepted_ends_the_session(guest: Desk) -> None:
    """Nothing stays on the screen, and the reason stands at the form."""
    page = guest.sign_in()
    page.route("**/admin/**", lambda route: route.fulfill(status=401, content_type="application/json", body="{}"))
    guest.page.click('#nav a[href="#historico"]')
    expect(page.locator("#sign-in-error")).to_contain_text("o token não é mais aceito")
    expect(page.locator("#console")).to_be_hidden()
    assert page.evaluate("sessionStorage.length") == 0


def test_the_first_load_is_small(guest: Desk) -> None:
    """Everything together takes less than 150 kB on the wire, compressed."""
    page = guest.open("/console")
    page.wait_for_load_state("networkidle")
    sizes = page.evaluate(
        "performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))"
        ".map(e => [e.name, e.encodedBodySize])"
    )
    assert len(sizes) > 20
    assert sum(size for _, size in sizes) < 150_000, sizes


def test_the_figures_are_live(desk: Desk, server: RomServer, bedrock: LocalBedrock) -> None:
    """Turns change the tiles and the sentence at the top within seconds; all the figures of the issue are there."""
    bedrock.reset()
    desk.view("agora")
    for _ in range(3):
        assert server.chat("Bom dia", headers=CHAT).ok
    expect(desk.tile("turns")).to_have_text(re.compile(r"^([3-9]|\d\d+)$"))
    expect(desk.page.locator("#verdict-state")).to_have_text("Bem")
    expect(desk.page.locator("#verdict-why")).to_have_text(re.compile(r"^0 de \d+ turnos do último minuto falharam\.$"))
    expect(desk.page.locator("#verdict")).to_have_attribute("data-state", "well")
    expect(desk.page.locator("#freshness")).to_have_text("ao vivo")
    expect(desk.tile("latency")).to_have_text(re.compile(r"^\S+ / \S+ s$"))
    expect(desk.tile("memory")).to_have_text(re.compile(r"^\S+ %$"))
    expect(desk.tile("cost")).to_have_text(re.compile(r"^US\$ \S+$"))
    tiles = desk.page.locator(".tile dt").all_inner_texts()
    assert [text.split("\n")[0].strip() for text in tiles] == [
        "Turnos por minuto", "Turnos com erro", "p50 / p95", "Fila e vagas", "Turnos recusados", "429 do Bedrock",
        "Memória", "Custo por hora", "Circuitos", "Instâncias", "Canário", "Armazenamento",
    ]  # fmt: skip


def test_a_turn_is_found_with_its_story_and_without_its_words(
    desk: Desk, server: RomServer, bedrock: LocalBedrock
) -> None:
    """By request id and by the beginning of the trace id: attempts, retry, tool and times; nothing that was said."""
    bedrock.reset()
    bedrock.script(fault(429), tool_use("numero_processo", {"numero": SECRET_WORDS}), reply(SECRET_WORDS))
    answer = server.chat(SECRET_WORDS, headers=CHAT).json()
    for id_ in (answer["request_id"], answer["trace_id"][:12], f"#turnos/{answer['request_id']}"):
        desk.view("turnos")
        if id_.startswith("#"):
            desk.page.evaluate("address => { location.hash = address; }", id_)
        else:
            desk.page.fill("#turn-id", id_)
            desk.page.press("#turn-id", "Enter")
        rows = desk.page.locator(".turn-table tbody tr:not(.story-row)")
        expect(rows).to_have_count(1)
        expect(rows).to_contain_text(answer["request_id"])
        steps = desk.page.locator(".step-what")
        expect(steps.nth(0)).to_contain_text("tentativa 1")
        expect(steps.nth(0)).to_contain_text("429")
        expect(steps.nth(1)).to_contain_text("espera para repetir")
        expect(steps.nth(2)).to_contain_text("tentativa 2")
        expect(desk.page.locator('.step[data-kind="tool"]')).to_contain_text("numero_processo")
        assert desk.page.locator(".step-bar .part").count() == desk.page.locator(".step").count()
    assert "Joana" not in desk.page.content()
    desk.page.fill("#turn-id", "nobody-has-this-id")
    desk.page.press("#turn-id", "Enter")
    expect(desk.page.locator("#turns")).to_contain_text("Nenhum turno desta instância com nobody-has-this-id")
    desk.page.get_by_role("button", name="Mostrar todos").click()
    expect(desk.page.locator(".turn-table tbody tr").nth(2)).to_be_visible()


def test_the_console_works_by_keyboard(desk: Desk) -> None:
    """The kill switch by Enter; the dialog has the focus, Escape leaves it and gives the focus back."""
    desk.page.focus("#kill")
    desk.page.keyboard.press("Enter")
    expect(desk.page.locator("#act-reason")).to_be_focused()
    desk.cancel()
    expect(desk.page.locator("#kill")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_barriers(desk: Desk, server: RomServer, scheme: Any) -> None:
    """axe-core finds no violation of WCAG 2.2 AA in any view, nor in a dialog; nothing is wider than a small phone."""
    request_id = server.chat("Bom dia", headers=CHAT).json()["request_id"]
    desk.page.emulate_media(color_scheme=scheme)
    found: list[str] = []
    wide: list[str] = []
    for name in VIEWS:
        desk.view(name)
        expect(desk.page.locator(FULL[name]).first).to_be_visible()
        if name == "turnos":
            # The rows of the last visit stand until the new ones have come.
            desk.page.get_by_role("button", name=f"História de {request_id}").click()
            expect(desk.page.locator(".waterfall").first).to_be_visible()
        found += [f"{name}: {one}" for one in desk.barriers()]
    desk.page.locator("#kill").click()
    desk.refused("")
    found += [f"dialog: {one}" for one in desk.barriers()]
    desk.cancel()
    desk.page.set_viewport_size({"width": 360, "height": 740})
    for name in VIEWS:
        desk.view(name)
        expect(desk.page.locator(FULL[name]).first).to_be_visible()
        wide += desk.page.evaluate(WIDE)
    found += desk.barriers()
    desk.page.set_viewport_size({"width": 1280, "height": 800})
    assert (found, wide) == ([], [])


def poisoned(value: Any) -> Any:
    """The same with the payload in the place of every text, and under every name that is no field of ours."""
    if isinstance(value, dict):
        return {name: poisoned(each) for name, each in value.items()}
    if isinstance(value, list):
        return [poisoned(each) for each in value]
    return value + PAYLOAD if isinstance(value, str) and not re.match(r"^\d{4}-\d\d-\d\dT", value) else value


def test_nothing_that_the_server_says_runs(
    browser: Browser, server: RomServer, bedrock: LocalBedrock, desk: Desk
) -> None:
    """Markup in model names, tool names, reasons, values, ids and states is text, wherever it is shown."""
    bedrock.reset()
    bedrock.script(tool_use("numero_processo", {"numero": "1"}), reply("ok"))
    server.chat("Bom dia", headers=CHAT)
    ask(server, "/admin/canary", action="start", flags={"MAX_TOKENS": 100}, reason="go-live")
    paths = ("/admin/turns", "/admin/flags", "/admin/flags/history", "/admin/canary")
    answers = {path: poisoned(ask(server, path)) for path in paths}
    ask(server, "/admin/canary", action="abort", reason="seen")
    flags = answers["/admin/flags"]["flags"]
    flags[f"X{PAYLOAD}_ENABLED"] = {**flags["RETRY_ENABLED"], "source": "override", "by": PAYLOAD, "why": PAYLOAD}
    answers["/admin/flags"]["pending"] = [
        {"id": "p1", "names": [PAYLOAD], "edits": {PAYLOAD: PAYLOAD}, "by": PAYLOAD, "why": PAYLOAD, "expires_at": ""}
    ]
    figures = poisoned(desk.page.evaluate("import('/assets/console/live.js').then(m => m.live.figures)"))
    figures["health"] |= {"why": [{"reason": PAYLOAD, "state": PAYLOAD, "text": PAYLOAD, "act": True, "page": PAYLOAD}]}
    stream = "".join(f"event: figures\ndata: {json.dumps(figures)}\n\n" for _ in range(2))

    def answer(route: Route) -> None:
        path = route.request.url.removeprefix(server.url).split("?")[0]
        if path == "/admin/events":
            route.fulfill(content_type="text/event-stream", body=stream)
        elif path in answers:
            route.fulfill(content_type="application/json", body=json.dumps(answers[path]))
        else:
            route.continue_()

    victim = Desk(browser, server.url, viewport={"width": 1280, "height": 800})
    victim.page.route("**/admin/**", answer)
    victim.sign_in()
    shown = ""
    for name in VIEWS:
        view = victim.view(name)
        expect(view).to_contain_text("onerror")
        if name == "turnos":
            view.get_by_role("button", name=re.compile("^História de")).first.click()
        shown += view.inner_text()
    expect(victim.page.locator("#reasons")).to_contain_text("onerror")
    victim.view("configuracoes")
    victim.press(f"Mudar X{PAYLOAD}_ENABLED")
    assert PAYLOAD in shown
    assert victim.page.evaluate("window.pwned") is None
    assert victim.page.locator("img").count() == 0
    assert victim.page.locator("body script").count() == 0
    assert victim.violations() == []
    assert [one for one in victim.complaints if "401" not in one] == []
    victim.close()


def test_each_plot_has_its_limits_a_sentence_and_a_table(desk: Desk) -> None:
    """A plot is a picture with a text; the same figures can be read as a table."""
    desk.view("agora")
    plots = desk.page.locator(".plot")
    expect(plots).to_have_count(8)
    expect(plots.locator("canvas")).to_have_count(8)
    for plot in plots.all():
        # At one moment: the figures are live.
        summary, label = plot.evaluate(
            """node => [node.querySelector(".plot-summary").innerText,
              node.querySelector("[role=img]").getAttribute("aria-label")]"""
        )
        assert summary in (label or "")
    latency = desk.page.locator('[data-plot="latency"]')
    expect(latency.locator(".plot-summary")).to_contain_text("abaixo do gate de 30 s")
    latency.locator("summary").click()
    expect(latency.locator("thead th")).to_have_text(["Hora", "p95", "p50"])
    expect(latency.locator("tbody th").first).to_have_text(re.compile(r"\d\d:\d\d–\d\d:\d\d"))
    latency.locator("summary").click()


def test_an_outage_is_seen_and_a_restart_is_survived(browser: Browser, bedrock: LocalBedrock, tmp_path: Any) -> None:
    """Failing turns make it red, with a reason and what to do; a broken stream says for how long, and heals itself."""
    bedrock.reset()
    settings = SETTINGS | {"BEDROCK_ENDPOINT_URL": bedrock.url, "STATE_DIR": tmp_path}
    with serving(**settings) as first:
        port = first.url.rsplit(":", 1)[1]
        desk = Desk(browser, first.url, viewport={"width": 1280, "height": 800})
        page = desk.sign_in()
        for _ in range(6):
            bedrock.script(*[fault(500)] * 8)
            first.chat("Bom dia", headers=CHAT)
        expect(page.locator("#verdict")).to_have_attribute("data-state", "down")
        expect(page.locator("#verdict-state")).to_have_text("Fora do ar")
        expect(page.locator("#reasons")).to_contain_text("docs/operate.md#failed-turns")
        expect(page.locator('[data-tile="errors"]')).to_have_attribute("data-level", "critical")
        expect(page.locator('[data-tile="errors"] .level')).to_contain_text("crítico")
        first.signal()
        first.wait()
        expect(page.locator("#freshness")).to_have_text(re.compile(r"sem dados há \d+ s, reconectando"))
        expect(page.locator("#freshness")).to_have_attribute("data-state", "stale")
    with serving(**settings | {"PORT": port}):
        expect(page.locator("#freshness")).to_have_text("ao vivo")
        expect(page.locator("#verdict-state")).to_have_text("Bem")
        assert [one for one in desk.complaints if "ERR_CONNECTION" not in one and "ERR_INCOMPLETE" not in one] == []
        desk.close()
