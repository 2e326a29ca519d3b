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
    InternalError,
    InvalidRequest,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    RomError,
    UnsupportedMediaType,
)

CONTENT_TYPE = "application/problem+json"
MAX_RETRY_AFTER = 60
# What a client is told when the error itself does not know: 503 and 429 always say something.
_DEFAULT_RETRY_AFTER = {"bedrock_disabled": 60, "draining": 10, "upstream_throttled": 5}
_TYPES = {
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
            "type": _TYPES.get(error.status, "api_error"),
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


def write(req: falcon.Request, resp: falcon.Response, error: RomError) -> None:
    """Make `resp` the answer that `error` stands for."""
    req.context.outcome.error = error
    resp.status = error.status
    resp.content_type = CONTENT_TYPE
    resp.data = json.dumps(problem(error, req.context.trace_id, req.context.request_id), ensure_ascii=False).encode()
    if error.should_retry is not None:
        resp.set_header("x-should-retry", str(error.should_retry).lower())
    seconds = retry_after(error)
    if seconds is not None:
        resp.set_header("Retry-After", str(seconds))
    if error.status == 401:
        resp.set_header("WWW-Authenticate", "Bearer")


def install(app: falcon.App[Any, Any]) -> None:
    """Answer every error that reaches the app in this shape, whatever the Accept header says."""

    def on_rom_error(req: falcon.Request, resp: falcon.Response, error: RomError, _params: Any) -> None:
        write(req, resp, error)

    def on_http_error(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, _params: Any) -> None:
        known = _OF_STATUS.get(error.status_code)
        if known is None and error.status_code >= 500:
            raise error
        ours = (known or MalformedRequest)(error.description or error.title or "")
        resp.set_headers(error.headers or {})
        write(req, resp, ours)

    def on_exception(req: falcon.Request, resp: falcon.Response, error: Exception, _params: Any) -> None:
        logger.error("request.failed", exc_info=error, trace_id=req.context.trace_id, path=req.path)
        ours = InternalError("an unforeseen error; the log has it under this trace id")
        write(req, resp, ours)

    app.add_error_handler(Exception, on_exception)
    app.add_error_handler(falcon.HTTPError, on_http_error)
    app.add_error_handler(RomError, on_rom_error)
