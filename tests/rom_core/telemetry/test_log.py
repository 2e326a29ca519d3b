"""The log's form: one JSON object a line whoever writes it, ids of the turn, and nothing that was said."""

from __future__ import annotations

import io
import json
import logging
import re
import secrets
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import requests
import structlog
from log_support import restored_logging as restored_logging

from rom_core import hookspecs
from rom_core.errors import ModelRefused
from rom_core.plugin.catalogue import Catalogue
from rom_core.settings import load_settings
from rom_core.telemetry import log
from rom_core.unicode import clean

SECRET = "o réu confessou"


@pytest.fixture
def stream(restored_logging: io.StringIO) -> io.StringIO:
    """Where lines go."""
    return restored_logging


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """All lines, parsed."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_our_lines_and_those_of_libraries_are_json_alike(stream: io.StringIO) -> None:
    """Event, level, logger, ISO time in UTC and the bound ids, for structlog and the standard library."""
    log.configure("json", "INFO", stream=stream)
    structlog.contextvars.bind_contextvars(trace_id="t" * 32)
    structlog.get_logger("rom.test").info("thing.happened", count=2, text="linha\nnova é")
    logging.getLogger("waitress.queue").warning("Task queue depth is %d", 3)
    logging.getLogger("botocore.hooks").error("no credentials")
    ours, waitress, botocore = lines(stream)
    assert (ours["event"], ours["level"], ours["count"], ours["text"]) == ("thing.happened", "info", 2, "linha\nnova é")
    assert (waitress["event"], waitress["level"]) == ("Task queue depth is 3", "warning")
    assert [line["logger"] for line in (ours, waitress, botocore)] == ["rom.test", "waitress.queue", "botocore.hooks"]
    assert {line["trace_id"] for line in (ours, waitress, botocore)} == {"t" * 32}
    assert all(line["timestamp"].endswith("Z") for line in (ours, waitress, botocore))


@pytest.mark.parametrize(("level", "kept"), [("INFO", 1), ("DEBUG", 2)])
def test_a_client_that_left_has_one_line_and_not_two(stream: io.StringIO, level: str, kept: int) -> None:
    """waitress tells it too, beside `request.finished`, even if the client has left with the whole answer."""
    log.configure("json", level, stream=stream)
    logger = logging.getLogger("waitress")
    logger.info("Client disconnected while serving /api/chat")
    logger.info("Serving on http://127.0.0.1:1")
    assert [line["event"] for line in lines(stream)][-1].startswith("Serving")
    assert len(lines(stream)) == kept


HOSTILE = {
    "escape": "\x1b[2Jx",
    "eight-bit escape": "\x9b2Jx",
    "line ends": "x\r\n2026-11-28T00:00:00Z [info     ] forged\n00:00:00 [info     ] forged",
    "line ends of Unicode": "x\u2028forged\x85forged",
    "order of letters": "\u202egnp.exe\u2066",
    "delete": "x\x7f\x08",
    "half a character": "x\ud800",
}


class Odd:
    """An object that shows itself as it likes."""

    def __repr__(self) -> str:
        return "".join(HOSTILE.values())


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("form", ["json", "console"])
def test_nothing_in_a_line_is_obeyed(stream: io.StringIO, form: Literal["json", "console"], what: str) -> None:
    """A path, a header, a model's name, an error, a library's line: no control character, no forged line."""
    text = HOSTILE[what]
    stream.isatty = lambda: True  # type: ignore[method-assign]
    log.configure(form, "DEBUG", stream=stream, content=lambda: True)
    logger = structlog.get_logger("rom.test")
    logger.info(
        "request.finished", path=text, inner={"model": [text]}, odd=Odd(), bytes=text.encode("utf-8", "replace")
    )
    logger.info(f"event {text}", **{f"key {text}": 1})
    logging.getLogger("waitress").warning("Exception while serving %s", text)
    logging.getLogger("alembic").info(text)
    try:
        raise ModelRefused(text)
    except ModelRefused:
        logger.exception("turn.failed")
    written = re.sub(r"\x1b\[\d*m", "", stream.getvalue()) if form == "console" else stream.getvalue()
    assert clean(written) == written
    assert all(letter.isprintable() or letter == "\n" for letter in written)
    assert not re.search(r"^(2026-11-28T00:00:00Z|00:00:00) \[info", written, re.MULTILINE)
    if form == "json":
        lines(stream)


def test_what_a_library_fills_in_is_shown_as_left_out(stream: io.StringIO) -> None:
    """Each place by one sign: neither the value nor the marks of a format."""
    log.configure("json", "INFO", stream=stream)
    logging.getLogger("urllib3.connectionpool").warning("Retrying (%r) after %5.1f %%: %(url)s", {"url": SECRET})
    logging.getLogger("urllib3").warning("pool is full: %s, size %-3d of %s", SECRET, 3, SECRET)
    logging.getLogger("sqlalchemy.engine").warning("%s with %r", SECRET, SECRET)
    logging.getLogger("sqlalchemy.engine").info("insert %s", SECRET)
    assert [line["event"] for line in lines(stream)] == [
        "Retrying (…) after … %: …",
        "pool is full: …, size … of …",
        "… with …",
    ]


def test_the_console_form_is_for_people(stream: io.StringIO) -> None:
    """Event and fields on one line, no JSON, no colours where no terminal is."""
    log.configure("console", "INFO", stream=stream)
    structlog.get_logger("rom.test").warning("thing.happened", count=2)
    assert re.fullmatch(r"\d\d:\d\d:\d\d \[warning *\] thing\.happened +\[rom\.test\] count=2\n", stream.getvalue())


STRICT = {"API_KEYS": secrets.token_hex(16), "DATA_RESIDENCY": "any: the partners, standard clauses"}


@pytest.mark.parametrize(
    ("environ", "form"),
    [
        ({"ROM_ENV": "development"}, "console"),
        ({"ROM_ENV": "development", "LOG_FORMAT": "json"}, "json"),
        ({"ROM_ENV": "staging", **STRICT}, "json"),
        ({"ROM_ENV": "production", **STRICT}, "json"),
        ({"ROM_ENV": "production", **STRICT, "LOG_FORMAT": "console"}, "console"),
    ],
)
def test_development_is_read_by_people_and_the_rest_by_machines(environ: dict[str, str], form: str) -> None:
    """What the settings that are shipped say; LOG_FORMAT says otherwise anywhere."""
    catalogue = Catalogue.installed(hookspecs)
    settings = load_settings(catalogue.settings, catalogue.rules, root=Path(__file__).parents[3], environ=environ)
    assert form == settings.LOG_FORMAT


def test_a_line_begins_with_its_own_parts(stream: io.StringIO) -> None:
    """Whoever reads raw lines reads when, how bad, who and what first, of ours and of libraries."""
    log.configure("json", "INFO", stream=stream)
    structlog.get_logger("rom.test").warning("thing.happened", count=2)
    logging.getLogger("library").warning("it happened")
    ours, theirs = lines(stream)
    assert list(ours) == ["timestamp", "level", "logger", "event", "count"]
    assert list(theirs) == ["timestamp", "level", "logger", "event"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", ours["timestamp"])


@pytest.mark.parametrize("name", ["urllib3.connectionpool", "requests.sessions", "botocore.endpoint"])
def test_what_libraries_say_of_a_url_is_left_out(stream: io.StringIO, name: str) -> None:
    """It may hold a secret, as a webhook's does: neither in messages nor in their exceptions, whatever the level."""
    log.configure("json", "DEBUG", stream=stream)
    url = "https://hooks.example/services/geheim"
    try:
        raise requests.ConnectionError(f"Max retries exceeded with url: {url}")
    except requests.ConnectionError:
        logging.getLogger(name).warning("Failed to parse headers (url=%s): %s", url, "bad", exc_info=True)
        structlog.get_logger("rom.test").exception("it.failed")
    theirs, ours = lines(stream)
    assert theirs["event"] == "Failed to parse headers (url=…): …"
    assert "ConnectionError: (message not logged" in ours["exception"]
    assert "geheim" not in stream.getvalue()


def test_levels_can_change_while_the_process_runs(stream: io.StringIO) -> None:
    """`set_level` holds for loggers that are in use; libraries that log bodies stay above DEBUG."""
    log.configure("json", "WARNING", stream=stream)
    logger = structlog.get_logger("rom.test")
    logger.info("not.shown")
    log.set_level("DEBUG")
    logger.debug("shown")
    logging.getLogger("botocore.endpoint").debug("request body")
    logging.getLogger("urllib3.connectionpool").debug("POST /secret")
    assert [line["event"] for line in lines(stream)] == ["shown"]


def _raise_with_locals() -> None:
    spoken = SECRET
    try:
        raise ValueError(spoken)
    except ValueError as error:
        raise KeyError(f"{spoken}!") from error


@pytest.mark.parametrize("form", ["json", "console"])
def test_tracebacks_show_where_and_what_but_nothing_that_was_said(stream: io.StringIO, form: Any) -> None:
    """Neither messages that may quote a value nor local variables; types, files and lines, causes included."""
    log.configure(form, "INFO", stream=stream)
    try:
        _raise_with_locals()
    except KeyError:
        structlog.get_logger("rom.test").exception("it.failed")
        logging.getLogger("library").exception("it failed")
    text = stream.getvalue()
    assert SECRET not in text
    assert text.count("_raise_with_locals") >= 4
    assert "ValueError: (message not logged" in text
    assert "KeyError: (message not logged" in text


@pytest.mark.parametrize(
    ("error", "content", "shown"),
    [
        (lambda: ModelRefused("the model service refused it"), False, True),
        (lambda: FileNotFoundError(2, "No such file", "settings.toml"), False, True),
        (lambda: ValueError(SECRET), False, False),
        (lambda: ValueError(SECRET), True, True),
    ],
)
def test_messages_that_cannot_quote_anybody_are_kept(
    stream: io.StringIO, error: Callable[[], Exception], content: bool, shown: bool
) -> None:
    """Our own errors and the system's keep their message; with LOG_CONTENT all do."""
    log.configure("json", "INFO", stream=stream, content=lambda: content)
    try:
        raise error()
    except Exception:  # noqa: BLE001 - it is what is tested
        structlog.get_logger("rom.test").exception("it.failed")
    assert (str(error()) in lines(stream)[0]["exception"]) is shown


def test_an_object_is_logged_as_its_type(stream: io.StringIO) -> None:
    """What JSON cannot hold is never written out: its repr may hold anything."""
    log.configure("json", "INFO", stream=stream)
    structlog.get_logger("rom.test").info("thing", value={SECRET})
    assert lines(stream)[0]["value"] == "<set>"


@pytest.fixture
def captured(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> io.StringIO:
    """Where lines go, those of Python itself too, with or without what was said; its hooks are put back afterwards."""
    content = bool(getattr(request, "param", False))
    log.configure("json", "INFO", stream=stream, content=lambda: content)
    for module, name in ((warnings, "showwarning"), (sys, "excepthook"), (threading, "excepthook")):
        monkeypatch.setattr(module, name, getattr(module, name))
    log.capture_faults(lambda: content)
    return stream


with_and_without_content = pytest.mark.parametrize("captured", [False, True], indirect=True)


@with_and_without_content
def test_a_warning_of_python_is_a_line(captured: io.StringIO, request: pytest.FixtureRequest) -> None:
    """Its category and place; its text, which may quote a value, with LOG_CONTENT only."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(SECRET, ResourceWarning, stacklevel=1)
    [line] = lines(captured)
    assert (line["event"], line["level"], line["category"]) == ("python.warned", "warning", "ResourceWarning")
    assert (line["file"], type(line["line"])) == (__file__, int)
    assert (line["message"] == SECRET) is request.node.callspec.params["captured"]
    assert (SECRET in captured.getvalue()) is request.node.callspec.params["captured"]


@with_and_without_content
def test_an_exception_that_nobody_caught_is_a_line(captured: io.StringIO, request: pytest.FixtureRequest) -> None:
    """In a thread, by its name, and in the main one; with a traceback that hides what was said, as any other."""
    thread = threading.Thread(target=_raise_with_locals, name="worker-7")
    thread.start()
    thread.join(60)
    try:
        _raise_with_locals()
    except KeyError as error:
        sys.excepthook(KeyError, error, error.__traceback__)
    in_thread, in_main = lines(captured)
    assert (in_thread["event"], in_thread["level"], in_thread["thread"]) == ("thread.failed", "error", "worker-7")
    assert (in_main["event"], in_main["level"]) == ("process.failed", "error")
    assert all("_raise_with_locals" in line["exception"] for line in (in_thread, in_main))
    assert (SECRET in captured.getvalue()) is request.node.callspec.params["captured"]


def test_a_thread_that_ends_itself_and_a_person_who_interrupts_are_no_faults(
    captured: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    """SystemExit in a thread is silent, Ctrl-C is told as Python tells it: neither is an error in the log."""
    thread = threading.Thread(target=sys.exit)
    thread.start()
    thread.join(60)
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert captured.getvalue() == ""
    assert "KeyboardInterrupt" in capsys.readouterr().err


class _Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_line_that_nobody_can_take_is_lost_and_no_more(stream: io.StringIO) -> None:
    """A closed pipe or a full disk does not reach whoever logs; text that UTF-8 cannot hold is escaped."""
    log.configure("json", "INFO", stream=_Broken())
    structlog.get_logger("rom.test").info("lost")
    bytes_out = io.BytesIO()
    log.configure("json", "INFO", stream=io.TextIOWrapper(bytes_out, "utf-8"))
    structlog.get_logger("rom.test").info("kept", value="\ud800")
    assert json.loads(bytes_out.getvalue())["value"] == "\ud800"
