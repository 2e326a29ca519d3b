"""Behaviour on demand: what a user message, or a test, may order the local Bedrock to do.

A directive stands anywhere in the last plain-text user message of the conversation, so it holds through a whole tool
loop: `[[name]]` or `[[name=value]]`. Text in double brackets whose name is not in this list is ordinary text.

The answer
    [[tools=3]]          ask for tools in three iterations, then answer (0: answer at once)
    [[parallel=4]]       four tool uses in each of those iterations
    [[tool=name]]        this tool, offered or not; `a,b,c` takes turns
    [[input={"x": 1}]]   this input; `$n` in its strings becomes the running number of the tool use
    [[say=text]]         exactly this answer
    [[length=500]]       an answer of so many words
    [[empty]]            an answer without content
    [[reasoning]]        a reasoning block first
    [[stop=max_tokens]]  this stop reason for the answer, known or not
    [[cut_tool_use]]     tool input ends in the middle, with stop reason max_tokens unless [[stop]] says otherwise
    tool, parallel and input imply tools=1; say, length and empty imply tools=0.

Time, in seconds
    [[delay=0.05]]       before each piece of the answer
    [[latency=0.2]]      before the headers of the response

Faults
    [[fault=429]]        an HTTP status with Bedrock's usual error for it; 502 is a proxy's HTML, 504 an empty answer
    [[fault=NAME]]       an error by its AWS name, such as ThrottlingException or ModelTimeoutException
    [[fault=reset]]      RST, [[fault=close]] FIN, [[fault=hang]] silence, all before the headers (with `after`: in the stream)
    [[fault=hang_stream]] some deltas, then silence
    [[fault=cut]]        connection closed in the middle of a frame
    [[fault=cut_chunked]] the same frame cut, but a correct end of the HTTP body
    [[fault=crc]]        a frame with a wrong checksum
    [[fault=bad_json]]   an event whose payload is not JSON
    [[fault=exception:throttlingException]]  an exception frame, [[fault=error:Code]] an error frame
    [[fault=no_stop]]    a clean end without messageStop, [[fault=no_usage]] an end without metadata

Modifiers of a fault
    [[retry_after=7]]    the Retry-After header of an HTTP fault
    [[after=3]]          a fault of the stream comes after so many deltas, 0 = before the first
    [[times=2]]          only the first two requests that carry this same message, then all is well
    [[at=2]]             only the second model request of the turn
    [[model=haiku]]      only for model ids that contain this text
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

ERRORS: dict[str, tuple[int, str]] = {
    "ValidationException": (400, "The request is not valid."),
    "ServiceQuotaExceededException": (400, "The request exceeds the service quota of your account."),
    "AccessDeniedException": (403, "You don't have access to the model with the specified model ID."),
    "ExpiredTokenException": (403, "The security token included in the request is expired"),
    "UnrecognizedClientException": (403, "The security token included in the request is invalid."),
    "ResourceNotFoundException": (404, "The specified resource was not found."),
    "ModelTimeoutException": (408, "The request took too long to process."),
    "ConflictException": (409, "The request conflicts with another one."),
    "ModelErrorException": (424, "The request failed due to an error while processing the model."),
    "ModelStreamErrorException": (424, "An error occurred while streaming the response."),
    "ThrottlingException": (429, "Too many requests, please wait before trying again."),
    "ModelNotReadyException": (429, "The model is not ready for inference. Wait and try again."),
    "InternalServerException": (500, "The system encountered an unexpected error during processing. Try again."),
    "ServiceUnavailableException": (503, "Bedrock is unable to process your request."),
}

_BY_STATUS = {
    400: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    409: "ConflictException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}
_BEFORE_HEADERS = ("reset", "close", "hang")
_IN_STREAM = ("hang_stream", "cut", "cut_chunked", "crc", "bad_json", "no_stop", "no_usage")


class DirectiveError(ValueError):
    """A directive with a value that means nothing; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong. `kind`: "http" (with `status` and, unless a proxy answers, `code`), "exception" or "error" (a frame
    with `code`), or the name of a transport fault as in the list above. `after`: deltas before it, None = its default.
    """

    kind: str
    status: int = 0
    code: str = ""
    message: str = ""
    retry_after: float | None = None
    after: int | None = None

    @property
    def before_headers(self) -> bool:
        """Whether nothing of an answer is sent."""
        return self.kind == "http" or (self.kind in _BEFORE_HEADERS and self.after is None)


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Any = _Missing()


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Everything that directives can say, parsed; the default is ordinary service."""

    tools: int | None = None
    parallel: int | None = None
    tool: tuple[str, ...] = ()
    input: Any = MISSING
    say: str | None = None
    length: int | None = None
    empty: bool = False
    reasoning: bool = False
    stop: str | None = None
    cut_tool_use: bool = False
    delay: float = 0.0
    latency: float = 0.0
    fault: Fault | None = None
    times: int | None = None
    at: int | None = None
    model: str | None = None

    def concerns(self, model_id: str, request: int) -> bool:
        """Whether the fault (or scripted behaviour) is meant for this model and this request of the turn (from 1)."""
        return (self.model is None or self.model in model_id) and (self.at is None or self.at == request)

    def without_fault(self) -> Behaviour:
        """The same, but nothing goes wrong."""
        return replace(self, fault=None)


class Directed(NamedTuple):
    """A message taken apart: what it orders, and the text without the orders."""

    behaviour: Behaviour
    text: str


def fault(
    what: int | str,
    *,
    message: str = "",
    retry_after: float | None = None,
    after: int | None = None,
    times: int | None = None,
    at: int | None = None,
    model: str | None = None,
) -> Behaviour:
    """A fault for `LocalBedrock.script` or `set_always`; `what` as in `[[fault=what]]`. Raises DirectiveError."""
    made = replace(_parse_fault(str(what)), retry_after=retry_after, after=after)
    if message:
        made = replace(made, message=message)
    return _checked(Behaviour(fault=made, times=times, at=at, model=model))


def reply(text: str, *, stop: str | None = None, delay: float = 0.0, latency: float = 0.0) -> Behaviour:
    """An answer with exactly this text; an empty text is an answer without content."""
    return Behaviour(say=text or None, empty=not text, stop=stop, delay=delay, latency=latency)


def tool_use(name: str, arguments: Any = MISSING, *, parallel: int = 1, cut: bool = False) -> Behaviour:
    """A request for a tool, offered or not, whatever the conversation holds; without `arguments` they are made up."""
    return Behaviour(tools=ALWAYS_TOOLS, tool=(name,), input=arguments, parallel=parallel, cut_tool_use=cut)


ALWAYS_TOOLS = 1_000_000
"""More tool iterations than any turn has."""


def parse(text: str, *, strict: bool = False) -> Directed:
    """The directives in `text`, and the text without them.

    Raises DirectiveError for a value that does not fit its directive; `strict` also for an unknown name.
    """
    if "[[" not in text:
        return Directed(Behaviour(), text)
    values: dict[str, Any] = {}
    rest, position = [], 0
    for name, value, start, end in _scan(text):
        if name not in _READERS:
            if strict:
                raise DirectiveError(f"unknown directive {name!r}; known: {', '.join(_READERS)}")
            continue
        try:
            values[name] = _READERS[name](value)
        except DirectiveError:
            raise
        except (TypeError, ValueError) as error:
            raise DirectiveError(f"directive {name!r} cannot have the value {value!r}") from error
        rest.append(text[position:start])
        position = end
    after, retry_after = values.pop("after", None), values.pop("retry_after", None)
    if "fault" in values:
        values["fault"] = replace(values["fault"], after=after, retry_after=retry_after)
    elif after is not None or retry_after is not None:
        raise DirectiveError("after and retry_after need a fault")
    rest.append(text[position:])
    return Directed(_checked(Behaviour(**values)), " ".join("".join(rest).split(" ")).strip())


_OPENING = re.compile(r"\[\[([a-z_]+)(=|\]\])")


def _scan(text: str) -> Iterator[tuple[str, str | None, int, int]]:
    """Name, value (None without one), start and end of every directive; a JSON value may itself hold `]]`."""
    position = 0
    while opening := _OPENING.search(text, position):
        position = opening.end()
        if opening[2] != "=":
            yield opening[1], None, opening.start(), position
            continue
        close = text.find("]]", position)
        if opening[1] == "input":
            try:
                _, end = json.JSONDecoder().raw_decode(text, position)
                close = end if text.startswith("]]", end) else close
            except (ValueError, RecursionError):
                pass
        if close < 0:
            return
        yield opening[1], text[position:close], opening.start(), close + 2
        position = close + 2


def _checked(behaviour: Behaviour) -> Behaviour:
    what = behaviour.fault
    if what is None:
        return behaviour
    if what.after is not None and what.kind in ("http", "no_usage"):
        raise DirectiveError(f"after does not apply to this fault ({what.code or what.kind})")
    if what.retry_after is not None and what.kind != "http":
        raise DirectiveError("retry_after applies to HTTP faults only")
    return behaviour


def _parse_fault(value: str | None) -> Fault:
    kind, _, code = (value or "").partition(":")
    if kind in ("exception", "error") and code:
        name = code[:1].upper() + code[1:]
        return Fault(kind, code=code, message=ERRORS.get(name, (0, "An error occurred."))[1])
    if value in ERRORS:
        status, message = ERRORS[value]
        return Fault("http", status, value, message)
    if value in _BEFORE_HEADERS or value in _IN_STREAM:
        return Fault(value)
    if value and value.isdigit() and 400 <= int(value) <= 599:
        status = int(value)
        code = _BY_STATUS.get(status, "")
        return Fault("http", status, code, ERRORS[code][1] if code else "")
    raise DirectiveError(f"unknown fault {value!r}")


def _count(value: str | None) -> int:
    number = int(value or "")
    if number < 0:
        raise ValueError("negative")
    return number


def _positive(value: str | None) -> int:
    if (number := _count(value)) == 0:
        raise ValueError("zero")
    return number


def _seconds(value: str | None) -> float:
    number = float(value or "")
    if not 0 <= number <= 600:
        raise ValueError("out of range")
    return number


def _text(value: str | None) -> str:
    if not value:
        raise ValueError("missing")
    return value


def _flag(value: str | None) -> bool:
    if value is not None:
        raise ValueError("takes no value")
    return True


def _names(value: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in _text(value).split(","))


def _json(value: str | None) -> Any:
    return json.loads(value or "")


_READERS: dict[str, Callable[[str | None], Any]] = {
    "tools": _count,
    "parallel": _positive,
    "tool": _names,
    "input": _json,
    "say": _text,
    "length": _count,
    "empty": _flag,
    "reasoning": _flag,
    "stop": _text,
    "cut_tool_use": _flag,
    "delay": _seconds,
    "latency": _seconds,
    "fault": _parse_fault,
    "retry_after": _seconds,
    "after": _count,
    "times": _positive,
    "at": _positive,
    "model": _text,
}
