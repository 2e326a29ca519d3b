"""Plugins that filter the text of answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rom_core.markers import hookimpl
from rom_core.turn import Turn

MASK, NAME = "<1>", "Ana"


class Unmask:
    """Puts a name in the place of its mask, wherever the text was cut; what may be part of a mask is held back."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """As TextFilter."""
        text = (self._held + text).replace(MASK, NAME)
        size = next((size for size in (2, 1) if text.endswith(MASK[:size])), 0)
        self._held = text[len(text) - size :]
        return text[: len(text) - size]

    def close(self) -> str:
        """As TextFilter."""
        return self._held


class HoldBack:
    """Holds all back until it has `size` characters, then lets everything pass."""

    def __init__(self, size: float) -> None:
        self._size = size
        self._held = ""

    def feed(self, text: str) -> str:
        """As TextFilter."""
        self._held += text
        if len(self._held) < self._size:
            return ""
        text, self._held, self._size = self._held, "", 0
        return text

    def close(self) -> str:
        """As TextFilter."""
        return self._held


class Each:
    """A filter that does `feed` to each piece, and says `close` at the end."""

    def __init__(self, feed: Callable[[str], Any] = str, close: Callable[[], Any] = str) -> None:
        self.feed = feed
        self.close = close


class Filtering:
    """A plugin that gives the filters that `make` makes, and counts them."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self.made = 0

    @hookimpl
    def rom_text(self, turn: Turn) -> Any:
        """A new one."""
        self.made += 1
        return self._make()
