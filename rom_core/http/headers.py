"""What every answer carries: nobody guesses at its type, frames or keeps it, and over https nobody leaves https."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import falcon

COMMON: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_HTTPS: Mapping[str, str] = {"Strict-Transport-Security": "max-age=31536000"}


def common_headers(scheme: str = "http") -> dict[str, str]:
    """The headers of an answer that has none of its own under these names; `scheme` is how the client came here."""
    return {**COMMON, **(_HTTPS if scheme == "https" else {})}


class CommonHeaders:
    """Falcon middleware: adds them to answers, errors and streams. An asset says for itself how long it may be kept."""

    def process_response(self, req: falcon.Request, resp: falcon.Response, _resource: Any, _ok: bool) -> None:
        """Whatever came of the request."""
        for name, value in common_headers(req.scheme).items():
            if resp.get_header(name) is None:
                resp.set_header(name, value)
