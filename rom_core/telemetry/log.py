"""Logging: structlog events with dotted names, the standard library's loggers routed through the same renderer.

What is said in a conversation never reaches the log by accident: tracebacks come without local variables, and without
the messages of exceptions that may quote a value; libraries that log request bodies stay above DEBUG.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal, TextIO

import structlog

from rom_core.errors import RomError

# Their messages name types, attributes, files and addresses. Those of other exceptions (a KeyError, a ValueError) are
# often the very value that a person or a model sent.
_SHOWN = (RomError, OSError, ImportError, AttributeError, NameError)
_HIDDEN = "(message not logged; LOG_CONTENT shows it)"
# At DEBUG these write request bodies, which are the conversation, and URLs, which may hold a secret.
_QUIETED = ("boto3", "botocore", "urllib3")

_NAMES = {number: name.lower() for name, number in logging.getLevelNamesMapping().items() if name != "WARN"}
_NUMBERS = {name.lower(): number for name, number in logging.getLevelNamesMapping().items()}
_NUMBERS["exception"] = logging.ERROR

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def configure(
    format: Literal["json", "console"],  # noqa: A002 - the setting is LOG_FORMAT
    level: str,
    *,
    content: Callable[[], bool] = lambda: False,
    stream: TextIO | None = None,
) -> None:
    """One line per event on `stream`, by default stdout: JSON, or a readable form for people.

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
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering: list[structlog.typing.Processor] = [structlog.processors.ExceptionRenderer(describe)]
    if format == "json":
        rendering.append(lambda _logger, _method, event: encode(event))
        ours: list[structlog.typing.Processor] = [_filter, _JsonLine(rendering[0], stream)]
    else:
        rendering.append(
            structlog.dev.ConsoleRenderer(
                colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=24
            )
        )
        ours = [_filter, *shared, *rendering]
    structlog.configure(
        processors=ours,
        logger_factory=lambda *names: _Lines(names[0] if names else "rom", stream),
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    logging.getLogger().handlers[:] = [handler]
    logging.getLogger("waitress").addFilter(_told_already)
    set_level(level)


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


def write_json(logger: str, level: int, event: str, fields: str) -> None:
    """One line whose fields are JSON already, without the braces: as structlog would write it.

    The level is not looked at, the names of logger and event are plain, and `fields` name what the line belongs to:
    ids bound to the context are not added. PERF: structlog copies the fields of a line half a dozen times, which costs
    a wide one more than its JSON does. Only where lines are for people, or somebody captures them, does it go that way.
    """
    chain = structlog.get_config()["processors"]
    form = chain[-1] if chain else None
    if isinstance(form, _JsonLine):
        head = f'"timestamp": "{_now()}", "level": "{_NAMES[level]}", "logger": "{logger}", "event": "{event}"'
        _write(form.stream, f"{{{head}, {fields}}}")
    else:
        structlog.get_logger(logger).log(level, event, **json.loads(f"{{{fields}}}"))


def set_level(level: str) -> None:
    """Log what is at least this severe, from now on; a level by its name in the standard library."""
    number = logging.getLevelNamesMapping()[level]
    logging.getLogger().setLevel(number)
    for name in _QUIETED:
        logging.getLogger(name).setLevel(max(number, logging.INFO))


def _told_already(record: logging.LogRecord) -> bool:
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
    message = str(error) if everything or isinstance(error, _SHOWN) else _HIDDEN
    yield f"{type(error).__qualname__}: {message}\n"


class _Lines:
    """Where our own lines go: straight to the stream, one write each.

    PERF: a detour through the records and handlers of the standard library doubles the cost of a line. Its loggers
    still decide, by name, which levels are written.
    """

    def __init__(self, name: str, stream: TextIO) -> None:
        self.name = name
        self._stream = stream
        self.isEnabledFor = logging.getLogger(name).isEnabledFor

    def write(self, line: str) -> None:
        """Write a line."""
        _write(self._stream, line)

    debug = info = warning = error = exception = critical = write


def _write(stream: TextIO, line: str) -> None:
    """Write a line; one that nobody can take is lost, since a full disk must not fail a turn."""
    try:
        stream.write(f"{line}\n")
        stream.flush()
    except UnicodeEncodeError:
        _write(stream, line.encode("ascii", "backslashreplace").decode())
    except (OSError, ValueError):
        return


def _unreadable(value: object) -> str:
    """What stands for an object that JSON cannot hold: its type, never its contents."""
    return f"<{type(value).__qualname__}>"


encode = json.JSONEncoder(ensure_ascii=False, default=_unreadable).encode
"""The JSON of anything, as it stands in a line."""


def _filter(logger: _Lines, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    if logger.isEnabledFor(_NUMBERS[method]):
        return event
    raise structlog.DropEvent


class _JsonLine:
    """A line of ours in one step.

    PERF: the chain of processors that lines of libraries go through does the same in twice the time.
    """

    def __init__(self, exceptions: structlog.typing.Processor, stream: TextIO) -> None:
        self._exceptions = exceptions
        self.stream = stream

    def __call__(self, logger: _Lines, method: str, event: structlog.typing.EventDict) -> str:
        if "exc_info" in event:
            self._exceptions(logger, method, event)
        return encode(
            {
                "timestamp": _now(),
                "level": "error" if method == "exception" else method,
                "logger": logger.name,
                "event": event.pop("event"),
                **structlog.contextvars.get_contextvars(),
                **event,
            }
        )


_second: tuple[int, str] = (-1, "")


def _now() -> str:
    """This moment in UTC, ISO 8601 to the microsecond. PERF: the text of a second is made once."""
    global _second
    seconds, rest = divmod(time.time_ns(), 1_000_000_000)
    known, text = _second
    if known != seconds:
        text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        _second = (seconds, text)
    return f"{text}.{rest // 1000:06d}Z"
