"""Draw the pages as people see them: docs/img/<view>-<width>-<scheme>.png, from a server against the local Bedrock.

    python scripts/screenshots.py [view …]

A view is a function that brings a page to what it shows; `VIEWS` names those of the
team's page, `SHOWS` of screenshots_console.py those of the console.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from browser_support import started  # noqa: E402
from console_support import Desk  # noqa: E402
from documents_support import pdf  # noqa: E402
from e2e.serving import KEY, WITH_KEY, serving  # noqa: E402
from page_support import DONE, START, Seat  # noqa: E402
from PIL import Image  # noqa: E402
from screenshots_console import SHOWN_WITH, SHOWS  # noqa: E402

from local_bedrock import LocalBedrock, fault, reply, tool_use  # noqa: E402

IMAGES = ROOT / "docs/img"
SIZES = ((360, 740), (1280, 800))
COLOURS = 128
ANSWER = """O prazo para apelar é de **15 dias úteis** (CPC, art. 1.003, § 5º), contados do primeiro dia útil seguinte à
publicação.

| Marco | Data | Base |
|---|---|---|
| Disponibilização no DJEN | 02/03/2026 | art. 224, § 2º |
| Publicação | 03/03/2026 | art. 224, § 2º |
| Início da contagem | 04/03/2026 | art. 224, § 3º |
| **Último dia** | **24/03/2026** | art. 1.003, § 5º |

### O que conferir

1. Feriados locais e suspensões no tribunal de origem.
2. Prazo em dobro, se a parte for a Fazenda Pública (art. 183).

> Prazo fatal: protocole com antecedência.
"""


def sign_in(seat: Seat, _bedrock: LocalBedrock) -> None:
    """The form."""
    seat.open()
    seat.page.fill("#name", "Ana Souza")
    seat.page.focus("#key")


def welcome(seat: Seat, _bedrock: LocalBedrock) -> None:
    """Signed in, nothing asked yet."""
    seat.sign_in(KEY, "Ana Souza")


def answer(seat: Seat, bedrock: LocalBedrock) -> None:
    """An answer with a tool, a table and a list."""
    seat.sign_in(KEY, "Ana Souza")
    use = tool_use("prazo_processual", {"data": "2026-03-02", "evento": "disponibilizacao", "dias": 15})
    bedrock.script(use, reply(ANSWER))
    seat.ask("Sentença disponibilizada no DJEN em 02/03/2026: qual o prazo para apelar?")


def trouble(seat: Seat, bedrock: LocalBedrock) -> None:
    """An answer that was cut by its length, and a refusal."""
    seat.sign_in(KEY, "Ana Souza")
    bedrock.script(reply("O contrato prevê multa de dez por cento sobre o aluguel, devida desde", stop="max_tokens"))
    seat.ask("Resuma as cláusulas penais do contrato.")
    bedrock.script(fault(403))
    seat.ask("E quem responde pela multa?", "failed")


def deadline(seat: Seat, bedrock: LocalBedrock) -> None:
    """The card of a deadline, with its calendar."""
    answer(seat, bedrock)
    seat.page.evaluate("document.querySelector('.cards > *, .card').scrollIntoView({block: 'start'})")


def sources(seat: Seat, _bedrock: LocalBedrock) -> None:
    """Quotations, and where in the text they count."""
    text = "O fiador responde por todas as obrigações, até a entrega das chaves. A multa é de **dez por cento**."
    quoted = ("O fiador responde por todas as obrigações.", "A multa moratória será de dez por cento.")
    ends = (text.index(". A") + 1, len(text))
    cited = [
        {"document": 0, "name": "Contrato de locação.pdf", "page": page, "last_page": page, "quote": quote}
        | {"reply": {"start": 0, "end": end}}
        for page, quote, end in zip((3, 5), quoted, ends, strict=True)
    ]
    seat.sign_in(KEY, "Ana Souza")
    said = [("start", START), ("delta", {"text": text}), *(("citation", one) for one in cited), ("done", DONE)]
    seat.hears(*said)
    seat.ask("Quem responde pelo aluguel, e qual é a multa?")


def conversations(seat: Seat, _bedrock: LocalBedrock) -> None:
    """The side; on a narrow screen it is a drawer, and opened."""
    page = seat.sign_in(KEY, "Ana Souza")
    if page.locator("#toggle-conversations").get_attribute("aria-expanded") == "false":
        page.click("#toggle-conversations")
    page.wait_for_selector("#conversations li")


def attachments(seat: Seat, _bedrock: LocalBedrock) -> None:
    """A file that is ready to go along."""
    page = seat.sign_in(KEY, "Ana Souza")
    page.set_input_files(
        "#composer input[type=file]", {"name": "Petição inicial.pdf", "mimeType": "application/pdf", "buffer": pdf()}
    )
    page.fill("#question", "Resuma os pedidos da petição inicial.")
    page.wait_for_load_state("networkidle")


def runs(seat: Seat, bedrock: LocalBedrock) -> None:
    """What runs while one is elsewhere."""
    page = seat.sign_in(KEY, "Bia Lima")
    if "1" not in (page.locator("#runs").get_attribute("aria-label") or ""):
        bedrock.script(reply(" ".join(["Examino os autos."] * 100), delay=0.5))
        page.click("#long")
        page.fill("#question", "Analise os autos e liste as teses da defesa.")
        page.press("#question", "Enter")
        page.wait_for_selector(".prose")
        page.click("#new-conversation")
    page.click("#runs")
    page.wait_for_selector(".run")


def erasing(seat: Seat, bedrock: LocalBedrock) -> None:
    """The second look before a conversation goes."""
    answer(seat, bedrock)
    if seat.page.locator("#toggle-conversations").get_attribute("aria-expanded") == "false":
        seat.page.click("#toggle-conversations")
    seat.page.locator(".side-more").first.click()
    seat.page.get_by_role("button", name="Apagar").click()


def printed(seat: Seat, bedrock: LocalBedrock) -> None:
    """The sheet of paper."""
    answer(seat, bedrock)
    seat.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    seat.page.emulate_media(media="print")


View = Callable[[Seat, LocalBedrock], None]
VIEWS: dict[str, View] = {
    "sign-in": sign_in,
    "welcome": welcome,
    "answer": answer,
    "trouble": trouble,
    "deadline": deadline,
    "sources": sources,
    "conversations": conversations,
    "attachments": attachments,
    "runs": runs,
    "erasing": erasing,
    "printed": printed,
}


def draw(name: str, view: Callable[[Any, LocalBedrock], None], seat: Seat, bedrock: LocalBedrock) -> None:
    """One view, in each width and scheme; dark is the same page, drawn again."""
    bedrock.reset()
    view(seat, bedrock)
    width = seat.page.viewport_size["width"] if seat.page.viewport_size else 0
    for scheme in ("light", "dark"):
        seat.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        picture = Image.open(io.BytesIO(seat.page.screenshot()))
        small = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        small.save(IMAGES / f"{name}-{width}-{scheme}.png", optimize=True)


def main(names: list[str]) -> int:
    """Draw the views of these names, or all."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    page = WITH_KEY | {"PAGE_ENABLED": True}
    with LocalBedrock() as bedrock, started() as browser:
        for views, settings, kind in ((VIEWS, page, Seat), (SHOWS, SHOWN_WITH, Desk)):
            chosen = [name for name in views if name in names or not names]
            if not chosen:
                continue
            with serving(BEDROCK_ENDPOINT_URL=bedrock.url, **settings) as server:
                for name in chosen:
                    for width, height in SIZES:
                        seat = kind(browser, server.url, viewport={"width": width, "height": height})
                        draw(name, views[name], seat, bedrock)
                        seat.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
