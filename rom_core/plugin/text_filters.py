"""The filters that plugins give for the text of an answer (`rom_text`), as one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import structlog

from rom_core.answer_text import TextFilter
from rom_core.errors import InternalError, ModelError, RomError
from rom_core.turn import Turn

logger = structlog.get_logger("rom.text")


class TextFilters:
    """New filters of all plugins, in the order of PLUGINS, each fed with what the one before it lets through.

    They are guards: what one raises ends the turn, and nothing more is said in it. A RomError is the answer that it
    stands for; anything else, a ModelError too, and an answer that is no text, is 500 `internal_error`, logged with the
    name of the plugin.
    """

    def __init__(self, turn: Turn, makers: Iterable[tuple[str, Callable[..., Any]]]) -> None:
        """`makers` are the plugins' `rom_text`. Raises as `feed`, and what a filter of this turn raised before."""
        if turn.text_failure is not None:
            raise turn.text_failure
        self._turn = turn
        self._filters: list[tuple[str, TextFilter]] = []
        for plugin, make in makers:
            made = self._guarded(plugin, self._made, make)
            if made is not None:
                self._filters.append((plugin, made))

    def feed(self, text: str) -> str:
        """As TextFilter, for all of them."""
        for plugin, one in self._filters:
            if not text:
                break
            text = self._guarded(plugin, _text_of, "feed", one.feed, text)
        return text

    def close(self) -> str:
        """As TextFilter, for all of them: what one gives at its end still goes through those behind it."""
        rest = ""
        for plugin, one in self._filters:
            fed = self._guarded(plugin, _text_of, "feed", one.feed, rest) if rest else ""
            rest = fed + self._guarded(plugin, _text_of, "close", one.close)
        return rest

    def _made(self, make: Callable[..., Any]) -> Any:
        made = make(self._turn)
        if made is not None and not all(callable(getattr(made, name, None)) for name in ("feed", "close")):
            kind = type(made).__name__
            raise TypeError(f"rom_text gave {kind}; it must return an object with feed and close, or None")
        return made

    def _guarded(self, plugin: str, call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except Exception as error:
            if isinstance(error, RomError) and not isinstance(error, ModelError):
                self._turn.text_failure = error
                raise
            logger.exception("text_filter.failed", plugin=plugin, trace_id=self._turn.trace_id)
            failure = InternalError(f"a text filter of plugin {plugin!r} failed; the log has it under this trace id")
            self._turn.text_failure = failure
            raise failure from error


def _text_of(method: str, call: Callable[..., Any], *arguments: Any) -> str:
    given = call(*arguments)
    if not isinstance(given, str):
        raise TypeError(f"{method} of a text filter gave {type(given).__name__}; it must return text")
    return given
