"""GET /health (the process lives) and GET /ready (it takes new turns)."""

from __future__ import annotations

import json

import falcon

from rom_core import __version__
from rom_core.runtime import Runtime


class HealthResource:
    """200 as long as the process can answer at all."""

    auth = "open"

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Nothing is looked up: a slow dependency must not get the process killed."""
        resp.content_type = falcon.MEDIA_JSON
        resp.data = json.dumps({"status": "ok", "version": __version__}).encode()


class ReadyResource:
    """200 while new turns are taken, 503 once the server is draining."""

    auth = "open"

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """`status` is "ready" or "draining"."""
        draining = self._runtime.draining.is_set()
        resp.status = 503 if draining else 200
        resp.content_type = falcon.MEDIA_JSON
        resp.data = json.dumps(
            {
                "status": "draining" if draining else "ready",
                "environment": self._runtime.current.settings.environment,
                "bedrock_enabled": self._runtime.bedrock_enabled(),
            }
        ).encode()
