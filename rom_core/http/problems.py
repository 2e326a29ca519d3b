"""Errors on the wire: one body that problem+json readers (RFC 9457) and the official OpenAI and Anthropic clients read.

The `error` member is what those clients look for; `x-should-retry` and `Retry-After` are what they obey.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
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
from rom_core.http.canonical_path import not_served
from rom_core.http.error_styles import OVERLOADED, OWN, ErrorStyle, envelope_of, error_type, style_of
from rom_core.settings import Settings

CONTENT_TYPE = "application/problem+json"
MAX_RETRY_AFTER = 60
# Of what the client itself wrote.
_SHOWN_CHARS = 100
# What a client is told when the error itself does not know: 503 and 429 always say something.
_DEFAULT_RETRY_AFTER = {"bedrock_disabled": 60, "draining": 10, "upstream_throttled": 5}
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


def problem(
    error: RomError, trace_id: str, request_id: str, settings: Settings, style: ErrorStyle = OWN
) -> dict[str, Any]:
    """The body of an error answer, also of an SSE `error` event; the error's own members come last.

    `settings` are the newest, for the text that the person reads. `style` is that of the request's path.
    """
    for_person = user_message(error, settings)
    status, detail = style.status(error), style.detail(error)
    return {
        "type": f"urn:rom:error:{error.code}",
        "title": error.title,
        "status": status,
        "detail": detail,
        "user_message": for_person,
        "code": error.code,
        "trace_id": trace_id,
        "request_id": request_id,
        "error": {
            "type": error_type(status),
            "message": detail,
            "code": error.code,
            "param": error.param,
            "user_message": for_person,
            # Official clients show this object only.
            **{name: value for name, value in error.members.items() if name == "errors"},
        },
        **error.members,
    }


def user_message(error: RomError, settings: Settings) -> str:
    """What the person is told: the text of the error's code; of a code without one, that of the kind of error it is."""
    texts = settings.TEXT_ERRORS
    codes = (kind.code for kind in type(error).__mro__ if issubclass(kind, RomError))
    return str(next(texts[code] for code in codes if code in texts))


def retry_after(error: RomError, style: ErrorStyle = OWN) -> int | None:
    """Whole seconds for the Retry-After header, at most 60; None where there is nothing to wait for."""
    seconds = error.retry_after
    if seconds is None:
        if style.status(error) not in (429, 503, OVERLOADED):
            return None
        seconds = _DEFAULT_RETRY_AFTER.get(error.code, 5)
    return min(MAX_RETRY_AFTER, max(1, math.ceil(seconds)))


def headers_of(error: RomError, style: ErrorStyle = OWN) -> dict[str, str]:
    """The headers that tell a client what to do about it."""
    headers: dict[str, str] = {}
    if error.should_retry is not None:
        headers["x-should-retry"] = str(error.should_retry).lower()
    seconds = retry_after(error, style)
    if seconds is not None:
        headers["Retry-After"] = str(seconds)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return headers


def write(req: falcon.Request, resp: falcon.Response, error: RomError, settings: Settings) -> None:
    """Make `resp` the answer that `error` stands for, in the place of whatever it was to be."""
    outcome = req.context.outcome
    outcome.error = error
    stream, resp.stream = resp.stream, None
    if stream is not None:
        # The server never gets to see it, so nobody else ends what it holds.
        outcome.finish(style_of(req.path).status(error))
        getattr(stream, "close", lambda: None)()
    style = style_of(req.path)
    resp.status = style.status(error)
    body = problem(error, req.context.trace_id, req.context.request_id, settings, style)
    resp.content_type, resp.data = encoded(body, style)
    resp.set_headers(headers_of(error, style))


def encoded(body: dict[str, Any], style: ErrorStyle) -> tuple[str, bytes]:
    """The content type and the bytes of a problem as `style` has it."""
    kind = falcon.MEDIA_JSON if style.envelope else CONTENT_TYPE
    shown = envelope_of(body) if style.envelope else body
    return kind, json.dumps(shown, ensure_ascii=False).encode()


def _of_http_error(error: falcon.HTTPError, seconds: float | None, req: falcon.Request) -> RomError:
    """Ours for one of Falcon's, with the same status; `seconds` is what its Retry-After says."""
    detail = error.description or _undescribed(error, req)
    known = _OF_STATUS.get(error.status_code)
    if known is not None:
        return known(detail, retry_after=seconds)
    return HttpError(detail, error.status_code, retry_after=seconds)


def _undescribed(error: falcon.HTTPError, req: falcon.Request) -> str:
    """What Falcon's own errors about the route leave unsaid."""
    if isinstance(error, falcon.HTTPRouteNotFound):
        return not_served(req.path)
    if isinstance(error, falcon.HTTPMethodNotAllowed):
        return f"{req.method[:_SHOWN_CHARS]} is not served here; allowed: {dict(error.headers or {}).get('Allow', '')}"
    return error.title or ""


def install(app: falcon.App[Any, Any], settings: Callable[[], Settings]) -> None:
    """Answer every error that reaches the app in this shape, whatever the Accept header says.

    `settings` gives the newest.
    """

    def on_rom_error(req: falcon.Request, resp: falcon.Response, error: RomError, _params: Any) -> None:
        write(req, resp, error, settings())

    def on_http_error(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, _params: Any) -> None:
        headers = {name.lower(): value for name, value in dict(error.headers or {}).items()}
        if headers.get("retry-after", "").isdecimal():
            seconds: float | None = float(headers.pop("retry-after"))
        else:
            seconds = None
        write(req, resp, _of_http_error(error, seconds, req), settings())
        headers.pop("content-type", None)
        resp.set_headers(headers)

    def on_exception(req: falcon.Request, resp: falcon.Response, error: Exception, _params: Any) -> None:
        logger.error("request.failed", exc_info=error, trace_id=req.context.trace_id, path=req.path)
        ours = InternalError("an unforeseen error; the log has it under this trace id")
        write(req, resp, ours, settings())

    app.add_error_handler(Exception, on_exception)
    app.add_error_handler(falcon.HTTPError, on_http_error)
    app.add_error_handler(RomError, on_rom_error)
