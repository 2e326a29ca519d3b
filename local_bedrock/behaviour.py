"""What the local Bedrock can be told to do, as values, and the functions with which tests make them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

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


ALWAYS_TOOLS = 1_000_000
"""More tool iterations than any turn has."""


class DirectiveError(ValueError):
    """A directive with a value that means nothing; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong.

    `kind`: "http" (with `status` and, unless a proxy answers, `code`), "exception" or "error" (a frame with `code`), or
    the name of a transport fault as in the list of `directives`. `after`: deltas before it, None = its default.
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
    quote: str | None = None
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
    made = replace(read_fault(str(what)), retry_after=retry_after, after=after)
    if message:
        made = replace(made, message=message)
    return checked(Behaviour(fault=made, times=times, at=at, model=model))


def reply(text: str, *, stop: str | None = None, delay: float = 0.0, latency: float = 0.0) -> Behaviour:
    """An answer with exactly this text; an empty text is an answer without content."""
    return Behaviour(say=text or None, empty=not text, stop=stop, delay=delay, latency=latency)


def tool_use(name: str, arguments: Any = MISSING, *, parallel: int = 1, cut: bool = False) -> Behaviour:
    """A request for a tool, offered or not, whatever the conversation holds; without `arguments` they are made up."""
    return Behaviour(tools=ALWAYS_TOOLS, tool=(name,), input=arguments, parallel=parallel, cut_tool_use=cut)


def checked(behaviour: Behaviour) -> Behaviour:
    """`behaviour`, unless its fault has a modifier that cannot apply to it: DirectiveError."""
    what = behaviour.fault
    if what is None:
        return behaviour
    if what.after is not None and what.kind in ("http", "no_usage"):
        raise DirectiveError(f"after does not apply to this fault ({what.code or what.kind})")
    if what.retry_after is not None and what.kind != "http":
        raise DirectiveError("retry_after applies to HTTP faults only")
    return behaviour


def read_fault(value: str | None) -> Fault:
    """The fault that `[[fault=value]]` names, or DirectiveError."""
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
