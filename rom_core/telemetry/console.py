"""The log for people (LOG_FORMAT console): short lines, readable values, colours on a terminal.

What goes well in the core at INFO is shown at DEBUG only, but for the server's own lines and those that have a short
form; what plugins log for themselves, warnings and errors are always shown.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple, TextIO

import click
import structlog

from rom_core.unicode import escaped

# What these write at INFO a person wants to know: where the server listens, that it ends, what became of a turn.
_SHOWN = ("rom.server", "rom.events")


class Piece(NamedTuple):
    """One part of a short line, and its colour: a name that `click.style` knows, None for the terminal's own."""

    text: str
    colour: str | None = None


class Short(tuple[Piece, ...]):
    """A line as people read it. As the value of `short` in an event it takes the place of all other fields."""

    __slots__ = ()


def coloured(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether to write colours: on a terminal that has them, unless NO_COLOR is set (https://no-color.org)."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def renderer(*, colours: bool) -> structlog.typing.Processor:
    """From an event, with its `exception` as text, to the text that is written."""
    full = structlog.dev.ConsoleRenderer(
        colors=colours, exception_formatter=structlog.dev.plain_traceback, pad_event_to=24
    )

    def render(logger: Any, method: str, event: structlog.typing.EventDict) -> str:
        short = event.get("short")
        if not isinstance(short, Short):
            return full(logger, method, _readable(event))
        when = click.style(event["timestamp"], dim=True) if colours else event["timestamp"]
        return "  ".join([when, *(_painted(piece, colours) for piece in short)])

    return render


def without_details(logger: Any, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Drop what the core says at INFO of what goes well, unless DEBUG is logged."""
    name: str = logger.name
    quiet = method == "info" and name.startswith("rom.") and name not in _SHOWN
    if quiet and logger.getEffectiveLevel() > logging.DEBUG:
        raise structlog.DropEvent
    return event


class _Written(str):
    """Text that is written as it is, without quotation marks."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _readable(event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A traceback keeps its lines, all else is on one."""
    shown: structlog.typing.EventDict = {}
    for name, value in event.items():
        if name in ("exception", "stack"):
            shown[name] = escaped(str(value))
        elif isinstance(value, (bool, int, float)) or value is None:
            shown[_on_one_line(name)] = value
        elif isinstance(value, str):
            shown[_on_one_line(name)] = _on_one_line(value)
        else:
            shown[_on_one_line(name)] = _Written(_on_one_line(repr(value)))
    return shown


def _painted(piece: Piece, colours: bool) -> str:
    text = _on_one_line(piece.text)
    return click.style(text, fg=piece.colour) if colours and piece.colour else text


def _on_one_line(text: str) -> str:
    return escaped(text).replace("\n", "\\n")
