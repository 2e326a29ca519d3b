"""Who asks for something at an admin route, and why."""

from __future__ import annotations

from typing import Any

import falcon

from rom_core.errors import InvalidRequest
from rom_core.flags import Author

REASON = "reason"
MAX_REASON_CHARS = 500


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
