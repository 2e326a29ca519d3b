"""POST /admin/drain, for administrators: an instance takes no new turns, or takes them again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import falcon

from plugins.operator.drains import Drains
from rom_core.errors import InvalidRequest, NotFound, StoreUnavailable
from rom_core.http.author import MAX_REASON_CHARS, REASON, author_of
from rom_core.http.body import BodySchema
from rom_core.http.forms import read_fields
from rom_core.http.json_answer import answer_json
from rom_core.http.openapi import Operation
from rom_core.http.process_shapes import object_of
from rom_core.runtime import Runtime

_WORDS = {"true": True, "false": False}
BODY = BodySchema(
    {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "instance": {"type": "string", "description": "its id; may be left out if there is only one"},
            "draining": {"type": "boolean", "description": "true if left out; false: it takes turns again"},
            REASON: {"type": "string", "maxLength": MAX_REASON_CHARS, "description": "or X-Rom-Reason"},
        },
    }
)
ANSWER = object_of(
    {
        "instance": {"type": "string"},
        "draining": {"type": "boolean"},
        "self": {"type": "boolean", "description": "the one that answers; another one does it within some seconds"},
        "shared": {"type": "boolean", "description": "false: the store is away, so only the one that answers knows"},
        "active_turns": {"type": ["integer", "null"], "description": "that still run there; null of another one"},
        "by": {"type": "string"},
        "why": {"type": "string"},
    }
)


class DrainResource:
    """Turns that have begun, or wait for a slot, go on to their end."""

    auth = "admin"
    operations: Mapping[str, Operation] = {
        "POST": Operation(
            "Drains an instance: /ready answers 503, new turns are refused; takes a form, JSON, or nothing.",
            ANSWER,
            body=BODY,
            errors=(NotFound, StoreUnavailable),
        )
    }

    def __init__(self, runtime: Runtime, drains: Drains) -> None:
        self._runtime = runtime
        self._drains = drains

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Decide. Raises InvalidRequest, NotFound for an unknown instance, StoreUnavailable."""
        runtime = self._runtime
        body = read_fields(req, runtime.current.settings.MAX_BODY_BYTES)
        if isinstance(body.get("draining"), str):
            body["draining"] = _WORDS.get(body["draining"].lower(), body["draining"])
        BODY.validate(body)
        author, draining = author_of(req, body.get(REASON)), body.get("draining", True)
        instance = self._instance(body.get("instance", ""))
        shared = self._drains.decide(instance, author, draining=draining)
        mine = instance == runtime.fleet.id
        shown: dict[str, Any] = {"instance": instance, "draining": draining, "self": mine, "shared": shared}
        shown["active_turns"] = runtime.active_turns if mine else None
        answer_json(resp, {**shown, "by": author.by, "why": author.why})

    def _instance(self, given: str) -> str:
        known = [each.id for each in self._runtime.fleet.instances]
        if given and given not in known:
            raise NotFound(f"there is no such instance; there are: {', '.join(known)}")
        if not given and len(known) > 1:
            raise InvalidRequest(f"instance: one of {', '.join(known)} is needed", param="instance")
        return given or known[0]
