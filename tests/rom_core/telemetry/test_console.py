"""The log for people: what is shown at which level, how values are written, and where colours are."""

from __future__ import annotations

import io
import logging
import re

import pytest
import structlog
from log_support import restored_logging as restored_logging

from rom_core.telemetry import log
from rom_core.telemetry.console import Piece, Short, coloured

pytestmark = pytest.mark.usefixtures("restored_logging")
SHORT = Short([Piece("turn", "green"), Piece("ana\x1b[2J\n", "cyan"), Piece("0.02 s")])


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """It does."""
        return True


def test_a_list_is_written_as_a_list() -> None:
    """No quotation marks around it; text that needs them has its own."""
    stream = io.StringIO()
    log.configure("console", "INFO", stream=stream)
    structlog.get_logger("mine").info("thing.read", files=["a.toml", "b.toml"], inner={"n": [1]}, text="two words", x=1)
    assert stream.getvalue().rstrip().endswith("files=['a.toml', 'b.toml'] inner={'n': [1]} text='two words' x=1")


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_what_goes_well_in_the_core_is_shown_at_debug(level: str) -> None:
    """Warnings, errors, the server's own lines and those of plugins and libraries are shown always."""
    stream = io.StringIO()
    log.configure("console", level, stream=stream)
    structlog.get_logger("rom.settings").info("settings.loaded")
    structlog.get_logger("rom.settings").debug("detail")
    shown = ["server.started", "mine.done", "library", "it.warned", "it.failed"]
    structlog.get_logger("rom.server").info(shown[0])
    structlog.get_logger("invoices").info(shown[1])
    logging.getLogger("library").info(shown[2])
    structlog.get_logger("rom.settings").warning(shown[3])
    structlog.get_logger("rom.settings").error(shown[4])
    names = re.findall(r"\] (\S+)", stream.getvalue())
    assert names == (shown if level == "INFO" else ["settings.loaded", "detail", *shown])


def test_json_has_every_line() -> None:
    """Machines read what people need not."""
    stream = io.StringIO()
    log.configure("json", "INFO", stream=stream)
    structlog.get_logger("rom.settings").info("settings.loaded")
    assert '"event": "settings.loaded"' in stream.getvalue()


@pytest.mark.parametrize("level", ["info", "warning", "error"])
def test_a_short_line_is_the_time_and_its_pieces(level: str) -> None:
    """At every level, ids of the request that are bound left out, and nothing in it is obeyed."""
    stream = io.StringIO()
    log.configure("console", "INFO", stream=stream)
    with structlog.contextvars.bound_contextvars(trace_id="t" * 32):
        getattr(structlog.get_logger("rom.events"), level)("turn.finished", short=SHORT)
    assert re.fullmatch(r"\d\d:\d\d:\d\d  turn  ana\\u001b\[2J\\n  0\.02 s\n", stream.getvalue())


def test_colours_are_on_a_terminal() -> None:
    """Each piece in its own; whatever else is written too."""
    stream = Terminal()
    log.configure("console", "INFO", stream=stream)
    structlog.get_logger("rom.events").info("turn.finished", short=SHORT)
    structlog.get_logger("rom.events").warning("thing.happened")
    short, full = stream.getvalue().splitlines()
    assert "\x1b[32mturn\x1b[0m" in short
    assert "\x1b[36mana" in short
    assert short.endswith("  0.02 s")
    assert "\x1b[" in full


@pytest.mark.parametrize(
    ("stream", "environ", "expected"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": ""}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"NO_COLOR": "0"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {"TERM": "xterm"}, False),
    ],
)
def test_colours_are_nowhere_else(stream: io.StringIO, environ: dict[str, str], expected: bool) -> None:
    """NO_COLOR counts when it is present and not empty, https://no-color.org."""
    assert coloured(stream, environ) is expected


def test_no_color_is_read_where_the_log_is_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the environment of the process."""
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    log.configure("console", "INFO", stream=stream)
    structlog.get_logger("rom.events").warning("turn.finished", short=SHORT)
    structlog.get_logger("rom.events").warning("thing.happened")
    assert "\x1b" not in stream.getvalue()
