"""An answer where no terminal is: the text on standard output, everything else on standard error."""

from __future__ import annotations

from collections.abc import Iterable

from rom_core.cli.chat import words
from rom_core.cli.console import Console
from rom_core.cli.terminal import say


class Plain:
    """Text is written once it cannot be taken back any more, so that a script never reads it twice."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._text = ""

    def begin(self) -> None:
        """An answer is waited for."""
        self._text = ""

    def activity(self, what: str) -> None:
        """Nobody watches."""

    def text(self, piece: str) -> None:
        """Kept until the end."""
        self._text += piece

    def take_back(self, length: int) -> None:
        """It was not written yet."""
        self._text = self._text[:length]

    def note(self, text: str, *, warning: bool = False) -> None:
        """A line in brackets."""
        say(f"[{'aviso: ' if warning else ''}{text}]", err=True)

    def sources(self, lines: Iterable[str]) -> None:
        """They are part of the answer."""
        listed = list(lines)
        if listed:
            self._console.out("\n".join(["", words.SOURCES, *listed]))

    def end(self) -> None:
        """Write what there is."""
        if self._text:
            self._console.out(self._text)
        self._text = ""
