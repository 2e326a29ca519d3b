"""GET and POST /admin/conversations: everything of a person, for whoever answers their request under the law."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import falcon
import structlog

from plugins.conversations.routes import SUMMARY
from plugins.conversations.turns import Turns
from rom_core.concurrency.clock import iso
from rom_core.errors import InvalidRequest, NotFound, StoreUnavailable
from rom_core.http.author import MAX_REASON_CHARS, author_of
from rom_core.http.body import BodySchema
from rom_core.http.openapi import Operation
from rom_core.http.own_content import answer_content, person_of
from rom_core.runtime import Runtime

if TYPE_CHECKING:
    from sqlalchemy import Connection

logger = structlog.get_logger("rom.conversations")
_TEXT: Mapping[str, Any] = {"type": "string"}
_USER: Mapping[str, Any] = {"type": "string", "minLength": 1, "maxLength": 256}
LISTED: Mapping[str, Any] = {
    "type": "object",
    "required": ["user", "ids"],
    "properties": {"user": _TEXT, "ids": {"type": "array", "items": _TEXT, "description": "oldest first"}},
}
WHOLE: Mapping[str, Any] = {
    "type": "object",
    "required": ["id", "key_name", "user", "title", "created_at", "updated_at", "turns"],
    "properties": {
        **dict.fromkeys(("id", "key_name", "user", "title", "created_at", "updated_at"), _TEXT),
        "summary": SUMMARY,
        "turns": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["number", "at", "state", "messages", "files"],
                "properties": {
                    "messages": {
                        "type": "array",
                        "description": "as Converse has them; a file stands as {$file: digest}",
                    },
                    "files": {"type": "object", "description": "base64 by digest"},
                },
            },
        },
    },
}
ERASE = BodySchema(
    {
        "type": "object",
        "additionalProperties": False,
        "required": ["action", "user"],
        "properties": {
            "action": {"enum": ["erase"]},
            "user": _USER,
            "key_name": {"type": "string", "description": "only those under this API key; all without it"},
            "reason": {"type": "string", "maxLength": MAX_REASON_CHARS, "description": "or X-Rom-Reason"},
        },
    }
)
ERASED: Mapping[str, Any] = {
    "type": "object",
    "required": ["erased", "left"],
    "properties": {
        "erased": {"type": "integer", "minimum": 0},
        "left": {"type": "integer", "minimum": 0, "description": "found, and erased, when looking again afterwards"},
    },
}


class PersonResource:
    """All conversations of a person, by the `user` that applications name."""

    auth = "admin"
    operations: Mapping[str, Operation] = {
        "GET": Operation(
            "The ids of everything of `user`, or under one API key of it (`key_name`).",
            LISTED,
            errors=(InvalidRequest, StoreUnavailable),
        ),
        "POST": Operation(
            "Erases everything of a person for good, and looks again.", ERASED, body=ERASE, errors=(StoreUnavailable,)
        ),
    }

    def __init__(self, runtime: Runtime, turns: Turns) -> None:
        self._runtime = runtime
        self._turns = turns

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Which they are; each is fetched by its id."""
        from plugins.conversations import keeping

        user, key_name = person_of(req)
        ids = self._turns.store.read(lambda connection: keeping.owned_by(connection, user, key_name))
        answer_content(resp, {"user": user, "ids": ids})

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Erase them."""
        from plugins.conversations import keeping

        body = ERASE.read(req, self._runtime.current.settings.MAX_BODY_BYTES)
        author, user, key_name = author_of(req, body.get("reason")), body["user"], body.get("key_name")
        if "\0" in user + (key_name or ""):
            raise InvalidRequest("user: name the person as the application does", param="user")

        def erase(connection: Connection) -> tuple[int, int]:
            ids = keeping.owned_by(connection, user, key_name)
            return len(ids), self._turns.erase(connection, ids, user, key_name)

        erased, _ = self._turns.store.write(erase)
        left = sum(self._turns.store.write(erase))
        logger.warning("conversations.erased", by=author.by, why=author.why, erased=erased, left=left)
        answer_content(resp, {"erased": erased, "left": left})


class WholeResource:
    """One conversation with everything in it."""

    auth = "admin"
    operations: Mapping[str, Operation] = {
        "GET": Operation("A conversation as it is kept, files included.", WHOLE, errors=(NotFound, StoreUnavailable))
    }

    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    def on_get(self, req: falcon.Request, resp: falcon.Response, conversation_id: str) -> None:
        """Whoever reads it is in the log, under their token's name."""
        from plugins.conversations import keeping, summaries

        author = author_of(req, None)
        row, kept, summary = self._turns.store.read(
            lambda connection: (
                keeping.anybodys(connection, conversation_id),
                keeping.turns(connection, conversation_id),
                summaries.summary(connection, conversation_id),
            )
        )
        logger.warning("conversation.exported", by=author.by, why=author.why, conversation_id=conversation_id)
        turns = [
            {"number": each.number, "at": iso(each.at), "state": each.state, **self._turns.history.exported(each)}
            for each in kept
        ]
        shown = self._turns.shown(row) | {"key_name": row.key_name, "user": row.user, "turns": turns}
        if summary is not None:
            shown["summary"] = self._turns.history.shown_summary(summary)
        answer_content(resp, shown)
