"""GET /metrics."""

from __future__ import annotations

from collections.abc import Callable

import falcon

from plugins.metrics.exposition import CONTENT_TYPE
from rom_core.runtime import Runtime


class MetricsResource:
    """Open, unless METRICS_TOKEN is set: then it wants it as `Authorization: Bearer`."""

    auth = "token"
    token_setting = "METRICS_TOKEN"  # noqa: S105 - a name

    def __init__(self, runtime: Runtime, render: Callable[[], bytes]) -> None:
        self._runtime = runtime
        self._render = render

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the text of this moment."""
        complete = self._runtime.settled.is_set()
        resp.content_type = CONTENT_TYPE
        resp.data = self._render()
        if complete:
            self._runtime.scraped.set()
