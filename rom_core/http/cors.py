"""Cross-origin requests: which pages in a browser may ask this server, as CORS_ORIGINS names them.

https://fetch.spec.whatwg.org/#http-cors-protocol
A page sends its key itself, in a header. Nothing here ever counts on what a browser adds by itself, so that
Access-Control-Allow-Credentials is never sent, whatever the origins are. Admin routes answer no page of another origin.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import falcon

from rom_core.settings import Settings

ANY = "*"
_ADMIN = "/admin"
_PREFLIGHT_SECONDS = "600"
_HEADER_NAMES = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,2000}")
# What a page may read of an answer besides its body.
_EXPOSED = ", ".join(
    ("X-Request-Id", "X-Trace-Id", "request-id", "Retry-After", "x-should-retry", "X-Rom-Cohort", "X-Rom-Ignored")
)


def allowed_origin(origin: str | None, origins: Sequence[str]) -> str | None:
    """What Access-Control-Allow-Origin says to this Origin; None if it is not let in."""
    if not origin:
        return None
    if origin in origins:
        return origin
    return ANY if ANY in origins else None


class Cors:
    """Falcon middleware: adds the headers to answers, errors and streams, and answers preflights."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        """`settings` gives the newest."""
        self._settings = settings

    def process_response(self, req: falcon.Request, resp: falcon.Response, _resource: Any, _ok: bool) -> None:
        """Whatever came of the request; without CORS_ORIGINS nothing."""
        origins = self._settings().CORS_ORIGINS
        if not origins or req.path == _ADMIN or req.path.startswith(f"{_ADMIN}/"):
            return
        if ANY not in origins:
            resp.append_header("Vary", "Origin")
        origin = allowed_origin(req.get_header("Origin"), origins)
        if origin is None:
            return
        resp.set_header("Access-Control-Allow-Origin", origin)
        resp.set_header("Access-Control-Expose-Headers", _EXPOSED)
        if req.method == "OPTIONS" and req.get_header("Access-Control-Request-Method"):
            self._preflight(req, resp)

    def _preflight(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The methods are those of the route; any header may be sent, since none of them is added by the browser."""
        resp.set_header("Access-Control-Allow-Methods", resp.get_header("Allow") or "")
        wanted = req.get_header("Access-Control-Request-Headers") or ""
        if _HEADER_NAMES.fullmatch(wanted):
            resp.set_header("Access-Control-Allow-Headers", wanted)
        resp.set_header("Access-Control-Max-Age", _PREFLIGHT_SECONDS)
