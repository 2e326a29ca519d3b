"""GET /health (the process lives) and GET /ready (it takes new turns)."""

from __future__ import annotations

from collections.abc import Mapping

import falcon

from rom_core import __version__
from rom_core.http.json_answer import answer_json
from rom_core.http.openapi import Operation
from rom_core.runtime import Runtime

_HEALTH = {
    "type": "object",
    "required": ["status", "version"],
    "properties": {"status": {"enum": ["ok"]}, "version": {"type": "string"}},
}
_READY = {
    "type": "object",
    "required": ["status", "environment", "bedrock_enabled", "flags_store"],
    "properties": {
        "status": {"enum": ["ready", "draining"]},
        "environment": {"type": "string"},
        "bedrock_enabled": {"type": "boolean"},
        "flags_store": {"enum": ["ok", "restored", "lost", "unwritable"]},
    },
}


class HealthResource:
    """200 as long as the process can answer at all."""

    auth = "open"
    operations: Mapping[str, Operation] = {"GET": Operation("The process lives.", _HEALTH)}

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Nothing is looked up: a slow dependency must not get the process killed."""
        answer_json(resp, {"status": "ok", "version": __version__})


class ReadyResource:
    """200 while new turns are taken, 503 while the server drains, to shut down or because an administrator said so."""

    auth = "open"
    operations: Mapping[str, Operation] = {
        "GET": Operation("Whether new turns are taken.", _READY, statuses=(200, 503)),
    }

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """`status` is "ready" or "draining"; `flags_store` is "ok" or what is wrong with the overrides.

        A damaged store does not make the service unready: it answers, on settings that an administrator must look at.
        """
        draining = not self._runtime.intake.open
        trouble = self._runtime.flags.trouble if self._runtime.flags is not None else None
        resp.status = 503 if draining else 200
        answer_json(
            resp,
            {
                "status": "draining" if draining else "ready",
                "environment": self._runtime.current.settings.environment,
                "bedrock_enabled": self._runtime.bedrock_enabled(),
                "flags_store": trouble.state if trouble is not None else "ok",
            },
        )
