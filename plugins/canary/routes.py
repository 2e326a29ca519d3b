"""GET and POST /admin/canary, for administrators; deciding takes a token with a person's name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import falcon

from plugins.canary.keeper import Keeper
from rom_core.errors import (
    CanaryConflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    Overloaded,
    StoreUnavailable,
    VersionConflict,
)
from rom_core.flags import Author
from rom_core.flags.approval import NEEDS_NAME
from rom_core.http.author import MAX_REASON_CHARS, author_of
from rom_core.http.body import BodySchema
from rom_core.http.json_answer import answer_json
from rom_core.http.openapi import Operation
from rom_core.runtime import Runtime

_TRAIL = 50
BODY = BodySchema(
    {
        "type": "object",
        "additionalProperties": False,
        "required": ["action"],
        "properties": {
            "action": {"enum": ["start", "approve", "hold", "release", "abort"]},
            "reason": {"type": "string", "maxLength": MAX_REASON_CHARS, "description": "or X-Rom-Reason"},
            "flags": {"type": "object", "description": "to start: the settings that the canary changes"},
            "include": {"type": "array", "items": {"type": "string"}, "description": "API keys that are always in"},
            "salt": {"type": "string", "description": "another one draws another sample"},
        },
    }
)
ANSWER: Mapping[str, Any] = {
    "type": "object",
    "required": ["rollout", "durable"],
    "properties": {
        "rollout": {"type": ["object", "null"], "description": "where it stands, figures of both cohorts side by side"},
        "durable": {"type": "boolean", "description": "whether it survives a restart"},
        "pending": {
            "type": "string",
            "description": "nothing is started: the id under which a second named person approves the flags first",
        },
        "trail": {
            "type": ["array", "null"],
            "items": {"type": "object"},
            "description": "who, when, what, why; newest first; null if it cannot be read",
        },
        "trail_problem": {"type": "string", "description": "why the trail cannot be read"},
    },
}


class CanaryResource:
    """Where the rollout stands, and what people decide about it."""

    auth = "admin"
    operations: Mapping[str, Operation] = {
        "GET": Operation("The rollout, and its audit trail (`limit` entries, 50).", ANSWER, errors=(NotFound,)),
        "POST": Operation(
            "Starts a rollout, or approves, holds, releases or aborts it.",
            ANSWER,
            body=BODY,
            statuses=(200, 202),
            errors=(NotFound, CanaryConflict, VersionConflict, Forbidden, InvalidRequest, StoreUnavailable, Overloaded),
        ),
    }

    def __init__(self, runtime: Runtime, keeper: Keeper) -> None:
        self._runtime = runtime
        self._keeper = keeper

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Status and trail; where the rollout stands is known, and told, without the disk."""
        limit = req.get_param_as_int("limit", default=_TRAIL, min_value=1, max_value=1000)
        trail: dict[str, Any]
        try:
            self._keeper.refresh()
            trail = {"trail": self._keeper.trail(limit)}
        except StoreUnavailable as error:
            trail = {"trail": None, "trail_problem": error.detail}
        answer_json(resp, {**self._keeper.view, **trail})

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """One decision."""
        body = BODY.read(req, self._runtime.current.settings.MAX_BODY_BYTES)
        author, action = author_of(req, body.get("reason")), body["action"]
        block: dict[str, Any] = {name: body[name] for name in ("flags", "include", "salt") if name in body}
        if block and action != "start":
            raise InvalidRequest("flags, include and salt are for starting", param=next(iter(block)))
        pending = ""
        match action:
            case "start":
                pending = self._keeper.begin(block, _named(author))
            case "approve":
                self._keeper.approve(_named(author))
            case "abort":
                # Whoever can, may: nobody has to look for a name while something burns.
                self._keeper.abort(author)
            case _:
                self._keeper.hold(author, held=action == "hold")
        if pending:
            resp.status = falcon.HTTP_202
        answer_json(resp, {**self._keeper.view, **({"pending": pending} if pending else {})})


def _named(author: Author) -> Author:
    """Raises Forbidden if the token has no name of its own."""
    if not author.named:
        raise Forbidden(NEEDS_NAME)
    return author
