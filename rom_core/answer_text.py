"""The text of an answer on its way to the person: through the filters of plugins (`rom_text`), in paragraphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class TextFilter(Protocol):
    """What `rom_text` gives: text goes in piece by piece, and comes out changed, at once or later.

    It serves one stretch of text, and is thrown away when the attempt that the text came from failed.
    """

    def feed(self, text: str) -> str:
        """What of it, and of what was held back, goes on to the client now; "" for nothing yet. `text` is not empty."""

    def close(self) -> str:
        """What is still held back; called once, after the last piece of a text that is complete."""


Mark = tuple[int, bool]


class Paragraphs:
    """Text that grows, with a blank line between paragraphs."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._blank_line_due = False

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self._pieces)

    def begin(self) -> None:
        """The next piece begins a paragraph, if there was one before."""
        self._blank_line_due = bool(self._pieces)

    def mark(self) -> Mark:
        """Where it stands, for `back_to`."""
        return len(self._pieces), self._blank_line_due

    def back_to(self, mark: Mark) -> None:
        """Forget what was added since."""
        count, self._blank_line_due = mark
        del self._pieces[count:]

    def add(self, piece: str) -> str:
        """Add a piece that is not empty; what was added, with the blank line before it."""
        if self._blank_line_due:
            self._blank_line_due = False
            piece = "\n\n" + piece
        self._pieces.append(piece)
        return piece


class AnswerText:
    """All that a turn has said: as the person reads it, and before filters, which is None while nothing is filtered.

    `held`: the client knows that it has to wait for text that is there.
    """

    def __init__(self) -> None:
        self.said = Paragraphs()
        self.unfiltered: Paragraphs | None = None
        self.held = False


class Passage:
    """One stretch of text on its way through a filter: what one attempt says, or our own words.

    `text` is all that went in. `hand_on` gets what came out, and what had gone in until then and was not counted yet.
    """

    def __init__(self, text_filter: TextFilter, hand_on: Callable[[str, str], None]) -> None:
        self._filter = text_filter
        self._hand_on = hand_on
        self._given: list[str] = []
        self._counted = 0

    @property
    def text(self) -> str:
        """All that went in."""
        return "".join(self._given)

    def feed(self, text: str) -> bool:
        """Take a piece; whether anything went on. Raises what a filter raises."""
        self._given.append(text)
        return self._pass(self._filter.feed(text))

    def close(self) -> bool:
        """The text is complete: hand on what is held back; whether there was any. Raises what a filter raises."""
        return self._pass(self._filter.close(), last=True)

    def whole(self, text: str, check: Callable[[str], None] | None = None) -> None:
        """Take all of a text at once; `check` may raise an objection to what came out, before it goes on."""
        self._given.append(text)
        passed = self._filter.feed(text) + self._filter.close()
        if check is not None:
            check(passed)
        self._pass(passed, last=True)

    def _pass(self, passed: str, *, last: bool = False) -> bool:
        if passed or last:
            uncounted = "".join(self._given[self._counted :])
            self._counted = len(self._given)
            self._hand_on(passed, uncounted)
        return bool(passed)
