"""An answer on a terminal: Markdown as it comes, below it what happens just now, and what was taken back is gone."""

from __future__ import annotations

import sys
import termios
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.control import Control
from rich.live import Live
from rich.markdown import Markdown
from rich.segment import ControlType, Segment, SegmentLines
from rich.text import Text

from rom_core.cli.chat import words
from rom_core.cli.chat.blocks import block_starts
from rom_core.cli.console import Console, Group, RenderableType
from rom_core.cli.terminal import clean

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_FRAME_SECONDS = 0.1
_BEGINNING_CHARS = 40
_DRAWN_CHARS = 4000
# A block is looked for again once the text has grown by this share of what is not printed yet: else to read a long
# table would take time by the square of its length.
_GROWN = 1 / 16


@dataclass(frozen=True, slots=True)
class _Printed:
    """Rows that stand above the living part: of the answer's characters `start` to `end`, or of a note there."""

    start: int
    end: int
    rows: int


class Screen:
    """The view on a terminal. Blocks that are whole are printed for good; the last one and the activity are redrawn."""

    def __init__(self, console: Console, now: Callable[[], float] = time.monotonic) -> None:
        """`now` is a monotonic clock, in seconds."""
        self._console = console
        self._now = now
        self._live: Live | None = None
        self._text = ""
        self._printed: list[_Printed] = []
        self._settled = self._look_at = 0
        self._activity, self._since = "", 0.0
        self._width = 0

    def begin(self) -> None:
        """An answer is waited for."""
        self._text, self._settled, self._printed, self._look_at = "", 0, [], 0
        self._width = self._console.width
        self.activity(words.WAITING)
        self._start()

    def activity(self, what: str) -> None:
        """What happens now, with the seconds since then."""
        self._activity, self._since = what, self._now()

    def text(self, piece: str) -> None:
        """The answer goes on."""
        self._text += piece
        if "\n" in piece and len(self._text) >= self._look_at:
            rest = self._text[self._settled :]
            # The last one may go on.
            self._print_blocks(block_starts(rest))
            self._look_at = len(self._text) + int((len(self._text) - self._settled) * _GROWN)

    def take_back(self, length: int) -> None:
        """Erase what was not said; where that cannot be, above the screen or after a change of its width, say so."""
        self._look_at = 0
        taken = self._text[length:].strip()
        self._text = self._text[:length]
        gone = 0
        while self._printed and self._printed[-1].end > length:
            last = self._printed.pop()
            gone += last.rows
            self._settled = min(self._settled, last.start)
        if not gone:
            return
        if self._width == self._console.width and gone < self._console.height:
            self._stop()
            up = [(ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2)]
            self._console.control(Control(ControlType.CARRIAGE_RETURN, *(one for _ in range(gone) for one in up)))
            self._start()
        else:
            beginning = " ".join(taken.split())[:_BEGINNING_CHARS]
            self.note(words.TAKEN_BACK.format(beginning=beginning), warning=True)

    def note(self, text: str, *, warning: bool = False) -> None:
        """A line in brackets, after the text so far."""
        self._settle()
        self._print(Text(f"[{clean(text)}]", style="yellow" if warning else "dim"), self._settled, self._settled)

    def sources(self, lines: Iterable[str]) -> None:
        """Under the answer."""
        listed = list(lines)
        if listed:
            self._settle()
            self._print(
                Text("\n".join([words.SOURCES, *map(clean, listed)]), style="cyan"), self._settled, self._settled
            )

    def end(self) -> None:
        """The rest of the text stays; nothing moves any more."""
        if self._live is None:
            return
        self._activity = ""
        self._settle()
        self._stop()

    def _start(self) -> None:
        self._live = Live(
            console=self._console,
            transient=True,
            refresh_per_second=1 / _FRAME_SECONDS,
            redirect_stdout=False,
            redirect_stderr=False,
            get_renderable=self._living,
        )
        self._live.start(refresh=True)

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _settle(self) -> None:
        """Print all text so far for good."""
        rest = self._text[self._settled :]
        self._print_blocks([*block_starts(rest), len(rest)])

    def _print_blocks(self, ends: Iterable[int]) -> None:
        start = self._settled
        for end in ends:
            block, place = self._text[self._settled : start + end], self._settled
            self._settled = start + end
            if block.strip():
                self._print(_markdown(block), place, self._settled)

    def _print(self, what: RenderableType, start: int, end: int) -> None:
        rows = self._console.render_lines(what, pad=False)
        while rows and not "".join(segment.text for segment in rows[0]).strip():
            rows.pop(0)
        while rows and not "".join(segment.text for segment in rows[-1]).strip():
            rows.pop()
        if end > start or not self._printed or self._printed[-1].end > self._printed[-1].start:
            # Between blocks, and between text and notes.
            rows = ([[Segment("")]] if self._printed else []) + rows
        self._printed.append(_Printed(start, end, len(rows)))
        if self._live is not None:
            # What is printed now is no part of what is redrawn below it any more.
            self._live.refresh()
        self._console.print(SegmentLines(rows, new_lines=True), end="")

    def _living(self) -> RenderableType:
        """What is redrawn: as much of the end of the unfinished block as the screen holds, and the activity."""
        parts: list[RenderableType] = []
        rest = self._text[self._settled :]
        if rest.strip():
            # A long code or table would be drawn ten times a second: until it is whole its end stands there as it is.
            drawn = _markdown(rest) if len(rest) <= _DRAWN_CHARS else Text(clean(rest[-_DRAWN_CHARS:]))
            rows = self._console.render_lines(drawn, pad=False)
            parts += [Text("")] if self._printed else []
            parts.append(SegmentLines(rows[-max(1, self._console.height - 4) :], new_lines=True))
        if self._activity:
            took = self._now() - self._since
            frame = _FRAMES[int(took / _FRAME_SECONDS) % len(_FRAMES)]
            parts.append(
                Text(
                    f"{frame} {clean(self._activity)}… {words.seconds(took)}",
                    style="dim",
                    overflow="ellipsis",
                    no_wrap=True,
                )
            )
        return Group(*parts)


def _markdown(text: str) -> Markdown:
    # An address stands in the text: a terminal's link may show one and lead to another.
    return Markdown(clean(text), hyperlinks=False)


@contextmanager
def silent_keys() -> Iterator[None]:
    """While an answer is drawn what is typed does not show; it is read at the next prompt. Ctrl-C works."""
    try:
        number = sys.stdin.fileno()
        before = termios.tcgetattr(number)
    except (OSError, ValueError, termios.error):
        yield
        return
    silent = [*before[:3], before[3] & ~(termios.ECHO | termios.ICANON), *before[4:]]
    termios.tcsetattr(number, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)
