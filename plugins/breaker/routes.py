"""POST /admin/breaker, for administrators: holds a model's circuit open or closed, or lets it go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import falcon

from plugins.breaker.circuit import Force
from rom_core.errors import InvalidRequest, StoreUnavailable
from rom_core.flags import Author
from rom_core.http.author import MAX_REASON_CHARS, REASON, author_of
from rom_core.http.body import BodySchema
from rom_core.http.forms import read_fields
from rom_core.http.json_answer import answer_json
from rom_core.http.openapi import Operation
from rom_core.runtime import Runtime

BODY = BodySchema(
    {
        "type": "object",
        "additionalProperties": False,
        "required": ["model", "state"],
        "properties": {
            "model": {"type": "string", "description": "an alias of MODELS"},
            "state": {"enum": ["open", "closed", "auto"], "description": "hold it there, or let it find its own"},
            REASON: {"type": "string", "maxLength": MAX_REASON_CHARS, "description": "or X-Rom-Reason"},
        },
    }
)
ANSWER: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["model", "state", "forced", "recent_failures", "seconds_to_probe"],
    "properties": {
        "model": {"type": "string"},
        "state": {"enum": ["closed", "open", "half_open"]},
        "forced": {"type": "boolean", "description": "held by an administrator: then also by, at, why"},
        "recent_failures": {"type": "integer", "minimum": 0},
        "seconds_to_probe": {"type": ["number", "null"], "description": "0: the next request is one; null: none comes"},
        "by": {"type": "string"},
        "at": {"type": "string"},
        "why": {"type": "string"},
    },
}


class Circuits(Protocol):
    """What the route needs of the plugin."""

    def force(self, model: str, state: Force, author: Author) -> None:
        """Hold a circuit, or let it go."""

    def status_of(self, model: str) -> dict[str, Any]:
        """A model's part of the status."""


class BreakerResource:
    """Answers the model's part of the status, with its alias."""

    auth = "admin"
    operations: Mapping[str, Operation] = {
        "POST": Operation(
            "Holds a model's circuit open or closed, or lets it find its own state; takes a form or JSON.",
            ANSWER,
            body=BODY,
            errors=(StoreUnavailable,),
        )
    }

    def __init__(self, runtime: Runtime, circuits: Circuits) -> None:
        self._runtime = runtime
        self._circuits = circuits

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Force a circuit. Raises InvalidRequest for an unknown alias, state or field, and StoreUnavailable."""
        settings = self._runtime.current.settings
        body = read_fields(req, settings.MAX_BODY_BYTES)
        BODY.validate(body)
        model, author = body["model"], author_of(req, body.get(REASON))
        if model not in settings.models:
            raise InvalidRequest(f"unknown model; known: {', '.join(settings.models)}", param="model")
        self._circuits.force(model, body["state"], author)
        answer_json(resp, {"model": model, **self._circuits.status_of(model)})
