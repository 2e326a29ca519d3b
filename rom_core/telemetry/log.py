"""Logging: structlog events with dotted names, the standard library's loggers routed through the same renderer.

What is said in a conversation never reaches the log by accident: tracebacks come without local variables, and without
the messages of exceptions that may quote a value; libraries that log request bodies stay above DEBUG, and the values in
their messages (URLs above all, of which one may be a secret) are left out.

Whoever a text is from, what a terminal or a reader of lines obeys stands in a line as an escape, in both formats.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Literal, TextIO

import structlog

from rom_core.errors import RomError
from rom_core.telemetry import console, output
from rom_core.unicode import escaped

# Their messages name types, attributes, files and addresses. Those of other exceptions (a KeyError, a ValueError) are
# often the very value that a person or a model sent.
_SHOWN = (RomError, OSError, ImportError, AttributeError, NameError)
_HIDDEN = "(message not logged; LOG_CONTENT shows it)"
# At DEBUG these write request bodies, which are the conversation. At any level they write URLs, into messages and
# exceptions, and a URL may hold a secret: a webhook's is one.
_QUIETED = ("boto3", "botocore", "urllib3", "requests", "s3transfer")
# What these write are statements with their values, and the addresses of databases.
_OF_DATABASES = ("sqlalchemy", "psycopg")
# A conversion of %-formatting, https://docs.python.org/3/library/stdtypes.html#printf-style-string-formatting.
_PLACEHOLDER = re.compile(r"%(?:\([^)]*\))?[-#0 +]*(?:\d+|\*)?(?:\.(?:\d+|\*))?[hlL]?[diouxXeEfFgGcrsa]")
# The names of a line's own parts come first: whoever reads raw lines reads these.
_FIRST = ("timestamp", "level", "logger", "event")

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def configure(
    format: Literal["json", "console"],  # noqa: A002 - the setting is LOG_FORMAT
    level: str,
    *,
    content: Callable[[], bool] = lambda: False,
    stream: TextIO | None = None,
) -> None:
    """One line per event on `stream`, by default stdout: JSON, or a readable form for people (see `console`).

    `level` as in the standard library. `content` tells, each time, whether exceptions may be logged with messages that
    can quote a conversation (LOG_CONTENT).
    """
    stream = stream or sys.stdout

    def describe(exc_info: ExcInfo) -> str:
        return "".join(_traceback(exc_info[1], everything=content()))

    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
    ]
    filtering: list[structlog.typing.Processor] = [structlog.stdlib.filter_by_level]
    rendering: list[structlog.typing.Processor] = [structlog.processors.ExceptionRenderer(describe)]
    if format == "json":
        shared.append(structlog.processors.TimeStamper(fmt="iso", utc=True))
        rendering += [_in_order, structlog.processors.JSONRenderer(_json)]
    else:
        shared.append(structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False))
        filtering.append(console.without_details)
        rendering.append(console.renderer(colours=console.coloured(stream, os.environ)))
    structlog.configure(
        processors=[*filtering, *shared, *rendering],
        logger_factory=lambda *names: _Lines(names[0] if names else "rom", stream),
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.addFilter(_without_values)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    logging.getLogger().handlers[:] = [handler]
    logging.getLogger("waitress").addFilter(_not_in_our_log)
    set_level(level)
    output.when_resumed(_lines_dropped)


def capture_faults(content: Callable[[], bool] = lambda: False) -> None:
    """Log what Python itself would print to stderr: warnings, and exceptions that nobody caught, in any thread.

    `content` as in `configure`: a warning's text may quote a value just as an exception's may.
    """
    logger = structlog.get_logger("rom.process")
    show_elsewhere = warnings.showwarning

    def show_warning(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if file is not None:
            show_elsewhere(message, category, filename, lineno, file, line)
            return
        text = str(message) if content() else _HIDDEN
        logger.warning("python.warned", category=category.__name__, file=filename, line=lineno, message=text)

    def process_failed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        else:
            logger.error("process.failed", exc_info=(kind, error, trace))

    def thread_failed(args: threading.ExceptHookArgs) -> None:
        if args.exc_type is SystemExit:
            return
        error = args.exc_value or args.exc_type()
        name = args.thread.name if args.thread is not None else None
        logger.error("thread.failed", thread=name, exc_info=(args.exc_type, error, args.exc_traceback))

    warnings.showwarning = show_warning
    sys.excepthook = process_failed
    threading.excepthook = thread_failed


def set_level(level: str) -> None:
    """Log what is at least this severe, from now on; a level by its name in the standard library."""
    number = logging.getLevelNamesMapping()[level]
    logging.getLogger().setLevel(number)
    for name in _QUIETED:
        logging.getLogger(name).setLevel(max(number, logging.INFO))
    for name in _OF_DATABASES:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))


def _lines_dropped(count: int) -> None:
    structlog.get_logger("rom.log").error("log.lines_dropped", count=count)


def _without_values(record: logging.LogRecord) -> bool:
    """What these libraries fill into their messages is left out: each place in the message shows "…" instead."""
    if record.name.partition(".")[0] in (*_QUIETED, *_OF_DATABASES) and record.args:
        record.msg = _PLACEHOLDER.sub("…", str(record.msg)).replace("%%", "%")
        record.args = None
    return True


def _not_in_our_log(record: logging.LogRecord) -> bool:
    """A client that left while it was answered has its line in ours, with what became of the answer."""
    departed = str(record.msg).startswith("Client disconnected while serving")
    return not departed or logging.getLogger(record.name).isEnabledFor(logging.DEBUG)


def _traceback(error: BaseException, *, everything: bool) -> Iterator[str]:
    """As the interpreter prints it, oldest cause first."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from _traceback(cause, everything=everything)
        yield "\nwhich led to:\n\n"
    yield "Traceback (most recent call last):\n"
    yield from traceback.format_tb(error.__traceback__)
    foreign = type(error).__module__.partition(".")[0] in _QUIETED
    message = str(error) if everything or (isinstance(error, _SHOWN) and not foreign) else _HIDDEN
    # What an exception says begins no line of its own: it could pass for one of the log's.
    indented = "\n    ".join(message.splitlines())
    yield f"{type(error).__qualname__}: {indented}\n"


class _Lines:
    """Where our own lines go: straight to the stream, one write each.

    A detour through the records and handlers of the standard library doubles the cost of a line. Its loggers still
    decide, by name, which levels are written.
    """

    def __init__(self, name: str, stream: TextIO) -> None:
        self.name = name
        self.disabled = False
        self.getEffectiveLevel = logging.getLogger(name).getEffectiveLevel
        self._stream = stream

    def write(self, line: str) -> None:
        """Write a line; one that nobody can take is lost, since a full disk must not fail a turn."""
        try:
            self._stream.write(f"{line}\n")
            self._stream.flush()
        except UnicodeEncodeError:
            self.write(line.encode("ascii", "backslashreplace").decode())
        except (OSError, ValueError):
            return

    debug = info = warning = error = exception = critical = write


def _unreadable(value: object) -> str:
    """What stands for an object that JSON cannot hold: its type, never its contents."""
    return f"<{type(value).__qualname__}>"


_encode = json.JSONEncoder(ensure_ascii=False, default=_unreadable).encode


def _json(event: structlog.typing.EventDict, **_: Any) -> str:
    return escaped(_encode(event))


def _in_order(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {name: event.pop(name) for name in _FIRST} | dict(event)
