"""Errors on the wire: one body that problem+json readers (RFC 9457) and the official OpenAI and Anthropic clients read.

The `error` member is what those clients look for; `x-should-retry` and `Retry-After` are what they obey.
"""

from __future__ import annotations

import json
import math
from typing import Any

import falcon
import structlog

from rom_core.errors import (
    Forbidden,
    HttpError,
    InternalError,
    InvalidRequest,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    RomError,
    Unauthorized,
    UnsupportedMediaType,
)

CONTENT_TYPE = "application/problem+json"
MAX_RETRY_AFTER = 60
# What a client is told when the error itself does not know: 503 and 429 always say something.
_DEFAULT_RETRY_AFTER = {"bedrock_disabled": 60, "draining": 10, "upstream_throttled": 5}
TYPES = {
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
}
_OF_STATUS: dict[int, type[RomError]] = {
    400: MalformedRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    413: PayloadTooLarge,
    415: UnsupportedMediaType,
    422: InvalidRequest,
}
logger = structlog.get_logger("rom.http")


def problem(error: RomError, trace_id: str, request_id: str) -> dict[str, Any]:
    """The body of an error answer, also of an SSE `error` event; the error's own members come last."""
    return {
        "type": f"urn:rom:error:{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "trace_id": trace_id,
        "request_id": request_id,
        "error": {
            "type": TYPES.get(error.status, "api_error" if error.status >= 500 else "invalid_request_error"),
            "message": error.detail,
            "code": error.code,
            "param": error.param,
        },
        **error.members,
    }


def retry_after(error: RomError) -> int | None:
    """Whole seconds for the Retry-After header, at most 60; None where there is nothing to wait for."""
    seconds = error.retry_after
    if seconds is None:
        if error.status not in (429, 503):
            return None
        seconds = _DEFAULT_RETRY_AFTER.get(error.code, 5)
    return min(MAX_RETRY_AFTER, max(1, math.ceil(seconds)))


def headers_of(error: RomError) -> dict[str, str]:
    """The headers that tell a client what to do about it."""
    headers: dict[str, str] = {}
    if error.should_retry is not None:
        headers["x-should-retry"] = str(error.should_retry).lower()
    seconds = retry_after(error)
    if seconds is not None:
        headers["Retry-After"] = str(seconds)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return headers


def write(req: falcon.Request, resp: falcon.Response, error: RomError) -> None:
    """Make `resp` the answer that `error` stands for, in the place of whatever it was to be."""
    outcome = req.context.outcome
    outcome.error = error
    stream, resp.stream = resp.stream, None
    if stream is not None:
        # The server never gets to see it, so nobody else ends what it holds.
        outcome.finish(error.status)
        getattr(stream, "close", lambda: None)()
    resp.status = error.status
    resp.content_type = CONTENT_TYPE
    resp.data = json.dumps(problem(error, req.context.trace_id, req.context.request_id), ensure_ascii=False).encode()
    resp.set_headers(headers_of(error))


def _of_http_error(error: falcon.HTTPError, seconds: float | None) -> RomError:
    """Ours for one of Falcon's, with the same status; `seconds` is what its Retry-After says."""
    detail = error.description or error.title or ""
    known = _OF_STATUS.get(error.status_code)
    if known is not None:
        return known(detail, retry_after=seconds)
    return HttpError(detail, error.status_code, retry_after=seconds)


def install(app: falcon.App[Any, Any]) -> None:
    """Answer every error that reaches the app in this shape, whatever the Accept header says."""

    def on_rom_error(req: falcon.Request, resp: falcon.Response, error: RomError, _params: Any) -> None:
        write(req, resp, error)

    def on_http_error(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, _params: Any) -> None:
        headers = {name.lower(): value for name, value in dict(error.headers or {}).items()}
        if headers.get("retry-after", "").isdecimal():
            seconds: float | None = float(headers.pop("retry-after"))
        else:
            seconds = None
        write(req, resp, _of_http_error(error, seconds))
        headers.pop("content-type", None)
        resp.set_headers(headers)

    def on_exception(req: falcon.Request, resp: falcon.Response, error: Exception, _params: Any) -> None:
        logger.error("request.failed", exc_info=error, trace_id=req.context.trace_id, path=req.path)
        ours = InternalError("an unforeseen error; the log has it under this trace id")
        write(req, resp, ours)

    app.add_error_handler(Exception, on_exception)
    app.add_error_handler(falcon.HTTPError, on_http_error)
    app.add_error_handler(RomError, on_rom_error)
