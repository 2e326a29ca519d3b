"""What stands on a terminal while an answer comes, and after some of it was taken back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import pytest
from chat_support import Shown
from hypothesis import given, settings
from hypothesis import strategies as st
from waiting import until

from rom_core.cli.chat.blocks import block_starts
from rom_core.cli.chat.screen import Screen

ANSWER = """# Prazo

São **15 dias úteis**, art. 1.003:

1. apelação
2. embargos, em

   5 dias

| recurso | dias |
|---|---|
| apelação | 15 |

```
x = 1

y = 2
```

Fim."""
WARNING = "[aviso]"


def shown(pieces: Sequence[str | int], columns: int = 60, rows: int = 40) -> Shown:
    """An answer of these pieces; a number takes back all but so many characters."""
    terminal = Shown(columns, rows)
    screen = Screen(terminal.console, lambda: 0.0)
    screen.begin()
    for piece in pieces:
        if isinstance(piece, int):
            screen.take_back(piece)
        else:
            screen.text(piece)
    screen.end()
    return terminal


@cache
def by_characters() -> str:
    """The answer as a model that sends each character by itself leaves it."""
    return shown(list(ANSWER)).text


def test_markdown_is_drawn() -> None:
    """Headings, lists and tables without their marks, code as it is, in the order in which they came."""
    text = shown([ANSWER]).text
    assert not [mark for mark in ("**", "# ", "|--", "```") if mark in text], text
    places = [text.index(part) for part in ("Prazo", "dias úteis", "embargos", "   5 dias", "x = 1", "y = 2", "Fim.")]
    assert places == sorted(places)


@settings(deadline=None, max_examples=12)
@given(st.lists(st.integers(1, len(ANSWER) - 1), max_size=12))
def test_the_screen_does_not_depend_on_the_pieces(cuts: list[int]) -> None:
    """However the text was cut on its way, the same stands there at the end."""
    places = [0, *sorted(set(cuts)), len(ANSWER)]
    pieces = [ANSWER[a:b] for a, b in pairwise(places)]
    assert shown(pieces).text == by_characters()


@settings(deadline=None, max_examples=12)
@given(st.integers(0, len(ANSWER)), st.integers(0, len(ANSWER)))
def test_what_was_taken_back_leaves_no_trace(said: int, stays: int) -> None:
    """The screen is as if the model had never begun: nothing doubled, nothing left over."""
    stays = min(said, stays)
    assert shown([ANSWER[:said], stays, ANSWER[stays:]]).text == by_characters()


def test_what_has_left_the_screen_is_disowned() -> None:
    """A terminal cannot erase what has scrolled away: a line says from which words on it does not count."""
    long = "\n\n".join(f"parágrafo {number}" for number in range(40))
    text = shown([long, 0, "Resposta."], rows=12).text
    assert "desconsidere o texto acima a partir de\n“parágrafo 0 parágrafo 1" in text
    assert text.endswith("Resposta.")


def test_after_a_change_of_the_width_nothing_is_erased() -> None:
    """The terminal has broken the lines anew: nobody knows how many rows they are."""
    terminal = Shown(60, 30)
    screen = Screen(terminal.console, lambda: 0.0)
    screen.begin()
    screen.text("um\n\ndois\n\ntrês")
    terminal.console.size = (40, 30)
    screen.take_back(0)
    screen.end()
    assert "um" in terminal.text
    assert "desconsidere" in terminal.text


def test_what_happens_stands_below_with_its_seconds() -> None:
    """Counted from when it began; at the end it is gone."""
    now = [100.0]
    terminal = Shown()
    screen = Screen(terminal.console, lambda: now[0])
    screen.begin()
    assert until(lambda: "aguardando o modelo… 0 s" in terminal.text)
    screen.activity("consultando DataJud")
    now[0] = 103.5
    assert until(lambda: "consultando DataJud… 3 s" in terminal.text)
    now[0] = 225.0
    assert until(lambda: "consultando DataJud… 2 min 5 s" in terminal.text)
    screen.text("Sim.")
    screen.end()
    assert terminal.text == "Sim."


def test_an_answer_longer_than_the_screen_shows_its_end() -> None:
    """Of a list that is not over what came last is seen, and the line that moves below it."""
    terminal = Shown(60, 12)
    screen = Screen(terminal.console, lambda: 0.0)
    screen.begin()
    screen.activity("escrevendo")
    screen.text("".join(f"- ponto {number}\n" for number in range(100)))
    assert until(lambda: "ponto 99" in terminal.text and terminal.text.endswith("escrevendo… 0 s")), terminal.text
    screen.end()


def test_a_long_block_is_not_read_again_at_every_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work grows with the length of the text, not with its square."""
    read: list[int] = []

    def counting(text: str) -> list[int]:
        read.append(len(text))
        return block_starts(text)

    monkeypatch.setattr("rom_core.cli.chat.screen.block_starts", counting)
    lines = ["```\n", *(f"linha de código {number}\n" for number in range(300)), "```\n", "\nFim."]
    text = shown(lines).text
    assert text.endswith("Fim.")
    assert sum(read) < 40 * sum(map(len, lines))


def test_a_note_stands_between_the_texts() -> None:
    """After what was said before it; sources below the answer."""
    terminal = Shown()
    screen = Screen(terminal.console, lambda: 0.0)
    screen.begin()
    screen.text("Vou ver.")
    screen.note("consultando DataJud: 0,3 s")
    screen.text("Segue em curso.")
    screen.sources(["[1] a.pdf, p. 2: “sim”"])
    screen.end()
    assert [line for line in terminal.text.splitlines() if line] == [
        "Vou ver.",
        "[consultando DataJud: 0,3 s]",
        "Segue em curso.",
        "Fontes:",
        "[1] a.pdf, p. 2: “sim”",
    ]


@pytest.mark.parametrize(
    "hostile", ["\x1b]0;t\x07", "\x1b[2J", "&#27;[2J", "[a](http://x\x1b\\y)", "`\x9b31m`", "\u202e"]
)
def test_what_a_terminal_obeys_is_not_passed_on(hostile: str) -> None:
    """Not in text, not as an entity of Markdown, not in a link; of links of the terminal's own none is made."""
    terminal = shown([f"antes {hostile} depois\n\nfim"])
    plain = shown(["antes  depois\n\nfim"])
    for sign in ("\x1b]", "\x1b[2J", "\x9b", "\u202e", "\x07"):
        assert sign not in terminal.raw
    assert terminal.raw.count("\x1b\\") == plain.raw.count("\x1b\\") == 0


@settings(deadline=None)
@given(st.text("ab#*-`|> \n\r1.", max_size=80))
def test_a_block_begins_with_its_line(text: str) -> None:
    """Blocks are cut where a line ends, in order, and what follows the last beginning does not move those before it."""
    starts = block_starts(text)
    assert starts == sorted(set(starts))
    assert all(text.replace("\r", " ")[start - 1] == "\n" for start in starts)
    assert block_starts(text + "b")[: len(starts) - 1] == starts[:-1]
