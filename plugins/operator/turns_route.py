"""GET /admin/turns, for administrators: turns now and lately, each with its story, without any content."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import falcon

from plugins.operator.stories import Stories
from rom_core.errors import InvalidRequest
from rom_core.http.json_answer import answer_json
from rom_core.http.openapi import Operation
from rom_core.http.process_shapes import list_of, object_of

LIMIT, MAX_LIMIT = 50, 200
_ID = re.compile(r"[A-Za-z0-9._-]{8,128}")
_TEXT, _BOOL = {"type": "string"}, {"type": "boolean"}
_COUNT = {"type": "integer", "minimum": 0}
_SECONDS = {"type": "number", "minimum": 0}
_MAYBE_SECONDS = {"type": ["number", "null"]}
_STEP: Mapping[str, Any] = {
    "type": "object",
    "required": ["kind", "start", "duration"],
    "properties": {
        "kind": {"enum": ["queue", "attempt", "retry", "fallback", "tool", "stop"]},
        "start": {"type": "number", "description": "seconds from the acceptance of the request"},
        "duration": {**_MAYBE_SECONDS, "description": "null while it goes on, and of what takes no time"},
        "outcome": {"type": "string", "description": "of queue, attempt, tool; running or waiting while it goes on"},
        "iteration": _COUNT,
        "number": {**_COUNT, "description": "of an attempt within its model call, from 1"},
        "model": {"type": "string", "description": "an alias; of a fallback the one that failed"},
        "to_model": _TEXT,
        "probe": _BOOL,
        "code": _TEXT,
        "first_delta": _MAYBE_SECONDS,
        "tokens": {"type": ["object", "null"]},
        "name": {"type": "string", "description": "of a tool; unknown for one that does not exist"},
        "reason": _TEXT,
    },
}
TURN: Mapping[str, Any] = object_of(
    {
        "number": {**_COUNT, "description": "for `before`; 0 while it runs"},
        "id": _TEXT,
        "request_id": _TEXT,
        "trace_id": _TEXT,
        "conversation_id": _TEXT,
        "route": _TEXT,
        "api_key": {"type": "string", "description": "the name of the key"},
        "mode": _TEXT,
        "stream": _BOOL,
        "cohort": _TEXT,
        "flags_version": _COUNT,
        "started": _TEXT,
        "status": {"enum": ["running", "ok", "error", "rejected", "client_error", "cancelled"]},
        "code": _TEXT,
        "kind": {"type": "string", "description": "of a failure of the model"},
        "stop_reason": {"type": ["string", "null"]},
        "duration": _SECONDS,
        "model": _TEXT,
        "degraded": _BOOL,
        "iterations": _COUNT,
        "queue_wait": _SECONDS,
        "tokens": {"type": "object"},
        "cost_usd": {"type": "number", "minimum": 0},
        "steps": {**list_of(_STEP), "description": "in the order in which they began"},
        "steps_left_out": {**_COUNT, "description": "beyond 200"},
    }
)
ANSWER: Mapping[str, Any] = object_of(
    {
        "running": {**list_of(TURN), "description": "oldest first; empty with `before`"},
        "turns": {**list_of(TURN), "description": "those that have ended, newest first"},
        "next": {"type": ["integer", "null"], "description": "for `before`: null if there are no more"},
        "forgotten": {**_COUNT, "description": "older ones that are no longer in memory"},
    }
)


class TurnsResource:
    """The latest turns of this instance; older ones are in the log."""

    auth = "admin"
    operations: Mapping[str, Operation] = {
        "GET": Operation(
            "Turns of this instance, now and lately: `limit` of them (50; at most 200), `before` a number; `id` begins "
            "like the request id, trace id or id of a turn, 8 characters at least.",
            ANSWER,
            errors=(InvalidRequest,),
        )
    }

    def __init__(self, stories: Stories) -> None:
        self._stories = stories

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """A page of them. Raises InvalidRequest for an `id` that is none."""
        limit = req.get_param_as_int("limit", default=LIMIT, min_value=1, max_value=MAX_LIMIT)
        before = req.get_param_as_int("before", default=None, min_value=1)
        id_ = req.get_param("id") or ""
        if id_ and _ID.fullmatch(id_) is None:
            raise InvalidRequest("id: 8 to 128 characters of A-Za-z0-9._- are needed", param="id")
        turns = self._stories.lately(limit + 1, before, id_)
        answer_json(
            resp,
            {
                "running": [] if before is not None else self._stories.running(id_),
                "turns": turns[:limit],
                "next": turns[limit - 1]["number"] if len(turns) > limit else None,
                "forgotten": self._stories.forgotten,
            },
        )
