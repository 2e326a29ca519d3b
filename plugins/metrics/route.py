"""GET /metrics."""

from __future__ import annotations

import falcon
from prometheus_client.exposition import choose_encoder

from rom_core.runtime import Runtime


class MetricsResource:
    """Open, unless METRICS_TOKEN is set: then it wants it as `Authorization: Bearer`."""

    auth = "token"
    token_setting = "METRICS_TOKEN"  # noqa: S105 - a name

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the text of this moment, in the format that `Accept` asks for."""
        try:
            encode, resp.content_type = choose_encoder(req.get_header("Accept") or "")
        except (TypeError, ValueError):
            # A version that is no number: the format that everybody reads.
            encode, resp.content_type = choose_encoder("")
        resp.data = encode(self._runtime.registry)
