"""The team's page for everybody: axe-core finds nothing, light and dark, narrow and wide; keyboard, sizes, settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import pytest
from e2e.serving import KEY, WITH_KEY, RomServer
from page_support import Seat
from playwright.sync_api import Browser, Page, expect

from local_bedrock import LocalBedrock, fault, reply, tool_use

SERVER_SETTINGS = WITH_KEY | {"PAGE_ENABLED": True}
RICH = """# Título

Texto com **ênfase**, `código`, [ligação](https://www.planalto.gov.br/) e lista:

- um
- dois

| Ato | Prazo | Base | Observação |
|---|---:|---|---|
| Apelação | 15 dias úteis | art. 1.003, § 5º, do Código de Processo Civil | em dobro para a Fazenda Pública |

### Terceiro nível

> citação

```
uma linha de código que é muito, muito mais larga do que a tela estreita de um telefone
```
"""
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest.fixture
def seat(browser: Browser, server: RomServer, bedrock: LocalBedrock) -> Iterator[Seat]:
    """Somebody at the page, who has not signed in."""
    bedrock.reset()
    taken = Seat(browser, server.url)
    yield taken
    taken.close()


def looked_at(seat: Seat) -> list[str]:
    """What is in the way of anybody, in each scheme and width; nothing is wider than the window."""
    found: list[str] = []
    for width, height in ((360, 740), (1280, 800)):
        seat.page.set_viewport_size({"width": width, "height": height})
        wide = seat.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{wide} of {width} pixels"
        for scheme in SCHEMES:
            seat.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            found += [f"{width} {scheme} {one}" for one in seat.barriers()]
    return found


def small_targets(page: Page) -> list[Any]:
    """Controls of less than 24 by 24 pixels (WCAG 2.2, 2.5.8), links in a text excepted."""
    found: list[Any] = page.evaluate(
        """[...document.querySelectorAll("button, input, textarea, summary, select")].filter(n => n.offsetParent)
          .map(n => [n.id || n.textContent.trim(), n.getBoundingClientRect().width, n.getBoundingClientRect().height])
          .filter(([, width, height]) => width < 24 || height < 24)"""
    )
    return found


def test_signing_in_has_no_barriers(seat: Seat) -> None:
    """Also with an error beside the field."""
    page = seat.open()
    assert looked_at(seat) == []
    page.press("#key", "Enter")
    assert seat.barriers() == []
    assert small_targets(page) == []


def test_asking_and_reading_has_no_barriers(seat: Seat, bedrock: LocalBedrock) -> None:
    """The beginning, then everything that an answer may have: tools, tables, code, notes, an error, the stand-in."""
    page = seat.sign_in(KEY, "Ana")
    assert looked_at(seat) == []
    bedrock.script(tool_use("numero_processo", {"numero": "x"}), reply(RICH, stop="max_tokens"))
    seat.ask("Qual o prazo?")
    bedrock.script(fault(403))
    seat.ask("E agora?", "failed")
    assert page.locator(".step[data-state=error], .step[data-state=success]").count() == 1
    assert page.locator(".note").count() == 2
    assert looked_at(seat) == []
    assert small_targets(page) == []


def test_everything_can_be_reached_and_used_by_keyboard(seat: Seat) -> None:
    """In the order of the page, each with a ring that is seen; Enter on a button does what a click does."""
    page = seat.sign_in(KEY)
    page.wait_for_selector(".example")
    page.evaluate("document.activeElement.blur()")
    reached = []
    for _ in range(24):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                """() => { const n = document.activeElement, row = n.closest(".composer-row"), s = getComputedStyle(n);
                  const ring = row && n.id === "question" ? getComputedStyle(row) : s;
                  const seen = ring.outlineStyle !== "none" && ring.outlineWidth !== "0px";
                  return [n.id || n.className || n.tagName, seen]; }"""
            )
        )
    names = [name for name, _ in reached]
    for name in ("skip", "new-conversation", "theme", "sign-out", "log", "example", "question", "send"):
        assert name in names, names
    assert [name for name, ring in reached if not ring and name != "BODY"] == []
    page.focus("#theme")
    page.keyboard.press("Enter")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"


def test_the_switch_overrules_the_system_and_is_remembered(seat: Seat) -> None:
    """Automatic, light, dark, and back; a reload shows it from the first paint on."""
    seat.page.emulate_media(color_scheme="dark")
    page = seat.sign_in(KEY)

    def paper() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    dark = paper()
    page.click("#theme")
    expect(page.locator("#theme")).to_have_attribute("aria-label", "Tema: claro")
    light = paper()
    assert light != dark
    page.reload(wait_until="commit")
    page.wait_for_selector("#question", state="attached")
    assert paper() == light
    expect(page.locator("#question")).to_be_focused()
    page.click("#theme")
    page.click("#theme")
    expect(page.locator("#theme")).to_have_attribute("aria-label", "Tema: automático")
    assert paper() == dark


def test_who_wants_no_motion_gets_none(seat: Seat, bedrock: LocalBedrock) -> None:
    """prefers-reduced-motion: nothing turns, nothing fades."""
    seat.page.emulate_media(reduced_motion="reduce")
    page = seat.sign_in(KEY)
    bedrock.script(tool_use("numero_processo", {"numero": "x"}), reply("Pronto."))
    seat.ask("Qual o prazo?")
    moving = page.evaluate(
        """[...document.querySelectorAll("*")].filter(n => { const s = getComputedStyle(n);
          return s.animationName !== "none" || s.transitionDuration !== "0s"; }).map(n => n.className)"""
    )
    assert moving == []
    assert page.evaluate("document.getAnimations().length") == 0


def test_a_zoom_of_four_hundred_percent_needs_no_sideways_scrolling(seat: Seat, bedrock: LocalBedrock) -> None:
    """WCAG 1.4.10: 320 pixels; what is wide scrolls within itself."""
    page = seat.sign_in(KEY)
    bedrock.script(reply(RICH))
    seat.ask("Qual o prazo?")
    page.set_viewport_size({"width": 320, "height": 600})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert page.evaluate("document.querySelector('#log').scrollWidth <= document.querySelector('#log').clientWidth")
    expect(page.locator("#send")).to_be_in_viewport()
