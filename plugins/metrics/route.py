"""GET /metrics."""

from __future__ import annotations

import hashlib
import hmac

import falcon
from prometheus_client.exposition import choose_encoder

from rom_core.errors import Unauthorized
from rom_core.runtime import Runtime


class MetricsResource:
    """Open, unless METRICS_TOKEN is set: then it wants it as `Authorization: Bearer`."""

    auth = "open"

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the text of this moment, in the format that `Accept` asks for. Raises Unauthorized."""
        token: str = self._runtime.current.settings.METRICS_TOKEN
        if token and not _same(req.get_header("Authorization") or "", f"Bearer {token}"):
            raise Unauthorized("a valid metrics token is needed, as `Authorization: Bearer <token>`")
        try:
            encode, resp.content_type = choose_encoder(req.get_header("Accept") or "")
        except (TypeError, ValueError):
            # A version that is no number: the format that everybody reads.
            encode, resp.content_type = choose_encoder("")
        resp.data = encode(self._runtime.registry)


def _same(given: str, wanted: str) -> bool:
    """Compare in constant time; hashing first hides the length too."""
    digests = (hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in (given, wanted))
    return hmac.compare_digest(*digests)
