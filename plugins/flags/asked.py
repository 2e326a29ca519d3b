"""What a request to the admin routes says of itself: who asks, why, and on top of which version."""

from __future__ import annotations

import re
from typing import Any

import falcon

from rom_core.errors import InvalidRequest, MalformedRequest
from rom_core.flags import Author

REASON = "reason"
MAX_REASON_CHARS = 500
_ETAG = re.compile(r'(?:W/)?"?([0-9]{1,15})"?')


def author_of(req: falcon.Request, given: Any) -> Author:
    """Who, why (the field `reason`, else the header X-Rom-Reason), and under which trace id."""
    if given is not None and not isinstance(given, str):
        raise InvalidRequest("reason: must be text", param=REASON)
    why = given or _utf8(req.get_header("X-Rom-Reason") or "")
    why = "".join(character if character.isprintable() else " " for character in why).strip()
    if len(why) > MAX_REASON_CHARS:
        raise InvalidRequest(f"reason: at most {MAX_REASON_CHARS} characters", param=REASON)
    return Author(req.context.admin_name, why, req.context.trace_id)


def _utf8(header: str) -> str:
    """WSGI hands headers over as Latin-1; who writes Portuguese into one sends UTF-8."""
    try:
        return header.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return header


def required_version(req: falcon.Request) -> int | None:
    """The version of If-Match, None where any will do."""
    given = (req.get_header("If-Match") or "*").strip()
    if given == "*":
        return None
    match = _ETAG.fullmatch(given)
    if match is None:
        raise MalformedRequest('If-Match must be a version, as in `If-Match: "7"`')
    return int(match.group(1))


def version_number(given: Any) -> int | None:
    """The number of a version, as JSON or in text; None if it is not one."""
    if isinstance(given, str) and (match := _ETAG.fullmatch(given)):
        given = int(match.group(1))
    return given if type(given) is int and 0 < given < 1 << 53 else None
