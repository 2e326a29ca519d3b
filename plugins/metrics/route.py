"""GET /metrics."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

import falcon

from plugins.metrics.exposition import CONTENT_TYPE
from rom_core.errors import Unauthorized
from rom_core.runtime import Runtime


class MetricsResource:
    """Open, unless METRICS_TOKEN is set: then it wants it as `Authorization: Bearer`."""

    auth = "open"

    def __init__(self, runtime: Runtime, render: Callable[[], bytes]) -> None:
        self._runtime = runtime
        self._render = render

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the text of this moment. Raises Unauthorized."""
        token: str = self._runtime.current.settings.METRICS_TOKEN
        if token and not _same(req.get_header("Authorization") or "", f"Bearer {token}"):
            raise Unauthorized("a valid metrics token is needed, as `Authorization: Bearer <token>`")
        complete = self._runtime.settled.is_set()
        resp.content_type = CONTENT_TYPE
        resp.data = self._render()
        if complete:
            self._runtime.scraped.set()


def _same(given: str, wanted: str) -> bool:
    """Compare in constant time; hashing first hides the length too."""
    digests = (hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in (given, wanted))
    return hmac.compare_digest(*digests)
