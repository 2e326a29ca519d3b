"""Which status and body an error has on which routes: our own on /api and /admin, those of the imitated API on /v1.

On /v1 a request that cannot be served is 400, an unknown model 404, throttling 429, and a refusal of Bedrock is told by
its kind; /v1/messages also answers in Anthropic's own envelope, and its refusals for want of room are 529.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rom_core.errors import (
    ModelContextTooLong,
    ModelNotServed,
    ModelRefused,
    ModelThrottled,
    Rejected,
    RomError,
    UnknownModel,
    WireSaturated,
)

OVERLOADED = 529
# Anthropic's names, which OpenAI clients do not look at; a status that is not here is api_error or
# invalid_request_error.
TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    412: "invalid_request_error",
    413: "request_too_large",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    OVERLOADED: "overloaded_error",
}


@dataclass(frozen=True)
class ErrorStyle:
    """How errors are answered under a path.

    statuses: the statuses that an error of a kind may have. status: that of one error. envelope: Anthropic's body in
    the place of the problem.
    """

    statuses: Callable[[type[RomError]], tuple[int, ...]]
    status: Callable[[RomError], int]
    envelope: bool = False

    def detail(self, error: RomError) -> str:
        """What happened, for engineers; on /v1 with Bedrock's reason."""
        reason = getattr(error, "reason", "")
        return f"{error.detail}: {reason}" if reason and self is not OWN else error.detail


def error_type(status: int) -> str:
    """`error.type` of an answer with this status."""
    return TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")


def _v1_statuses(kind: type[RomError]) -> tuple[int, ...]:
    if issubclass(kind, (UnknownModel, ModelNotServed)):
        return (404,)
    if issubclass(kind, ModelContextTooLong):
        return (400,)
    if issubclass(kind, ModelThrottled):
        return (429,)
    if issubclass(kind, ModelRefused):
        return (400, 403, kind.status)
    return (400 if kind.status == 422 else kind.status,)


def _v1_status(error: RomError) -> int:
    if isinstance(error, ModelRefused) and not isinstance(error, (ModelContextTooLong, ModelNotServed)):
        if error.http_status in (401, 403):
            return 403
        return error.status if error.kind in _NOT_OF_BEDROCK else 400
    return error.status if type(error).status != error.status else _v1_statuses(type(error))[0]


# Nothing was refused by Bedrock: it was not even asked.
_NOT_OF_BEDROCK = ("tls", "no_credentials")


def _messages_statuses(kind: type[RomError]) -> tuple[int, ...]:
    return (OVERLOADED,) if issubclass(kind, (Rejected, WireSaturated)) else _v1_statuses(kind)


def _messages_status(error: RomError) -> int:
    return OVERLOADED if isinstance(error, (Rejected, WireSaturated)) else _v1_status(error)


OWN = ErrorStyle(lambda kind: (kind.status,), lambda error: error.status)
V1 = ErrorStyle(_v1_statuses, _v1_status)
MESSAGES = ErrorStyle(_messages_statuses, _messages_status, envelope=True)


def style_of(path: str) -> ErrorStyle:
    """The style of a request path or of a route's template."""
    if path == "/v1/messages" or path.startswith("/v1/messages/"):
        return MESSAGES
    return V1 if path.startswith("/v1/") else OWN


def envelope_of(problem: Mapping[str, Any]) -> dict[str, Any]:
    """Anthropic's error object for one of our problems; what it has no place for is under `rom`."""
    error = problem["error"]
    besides = ("code", "user_message", "trace_id", "errors")
    return {
        "type": "error",
        "error": {"type": error["type"], "message": error["message"]},
        "request_id": problem["request_id"],
        "rom": {"param": error["param"], **{name: problem[name] for name in besides if name in problem}},
    }
