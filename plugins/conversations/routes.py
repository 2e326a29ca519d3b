"""GET /api/conversations, and GET, PATCH and DELETE of one, for whoever owns it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import falcon

from plugins.conversations.readable import MESSAGE, readable
from plugins.conversations.turns import TITLE_CHARS, Turns
from rom_core.errors import InvalidRequest, NotFound, StoreUnavailable
from rom_core.http.body import BodySchema
from rom_core.http.openapi import Operation
from rom_core.http.own_content import answer_content, before_of, owner_of
from rom_core.runtime import Runtime

if TYPE_CHECKING:
    from sqlalchemy import Connection

MAX_PAGE = 100
_PAGE = 50
# As many titles are opened for a search, the newest.
MAX_SEARCHED = 1000
_MAX_USER_CHARS = 256
_TEXT: Mapping[str, Any] = {"type": "string"}
_CONVERSATION: Mapping[str, Any] = {
    "type": "object",
    "required": ["id", "title", "created_at", "updated_at", "turns"],
    "properties": {
        "id": _TEXT,
        "title": _TEXT,
        "created_at": {"type": "string", "format": "date-time"},
        "updated_at": {"type": "string", "format": "date-time"},
        "turns": {"type": "integer", "minimum": 0},
    },
}
SUMMARY: Mapping[str, Any] = {
    "type": "object",
    "description": "what the model gets in the place of the turns up to this number; absent while it gets all",
    "required": ["up_to", "at", "text", "files"],
    "properties": {
        "up_to": {"type": "integer", "minimum": 1},
        "at": {"type": "string", "format": "date-time"},
        "text": _TEXT,
        "files": {"type": "array", "items": _TEXT, "description": "that were in those turns, by name and format"},
    },
}
PAGE: Mapping[str, Any] = {
    "type": "object",
    "required": ["conversations", "next"],
    "properties": {
        "conversations": {"type": "array", "items": _CONVERSATION},
        "next": {"type": ["string", "null"], "description": "`before` of the page that follows; null at the end"},
    },
}
READABLE: Mapping[str, Any] = {
    **_CONVERSATION,
    "required": [*_CONVERSATION["required"], "messages"],
    "properties": {
        **_CONVERSATION["properties"],
        "messages": {"type": "array", "items": MESSAGE},
        "summary": SUMMARY,
    },
}
RENAME = BodySchema(
    {
        "type": "object",
        "additionalProperties": False,
        "required": ["title"],
        "properties": {
            "title": {"type": "string", "minLength": 1, "maxLength": TITLE_CHARS, "pattern": r"\S"},
            "user": {"type": "string", "minLength": 1, "maxLength": _MAX_USER_CHARS},
        },
    }
)


class ConversationsResource:
    """The owner's conversations."""

    auth = "key"
    operations: Mapping[str, Operation] = {
        "GET": Operation(
            "The conversations of this key and `user`, those that changed last first; `limit`, `before`, and `q` for "
            "words of the title.",
            PAGE,
            errors=(InvalidRequest, StoreUnavailable),
        )
    }

    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """One page of them; a search looks at the newest MAX_SEARCHED."""
        from plugins.conversations import keeping

        owner, before = owner_of(req), before_of(req)
        limit = req.get_param_as_int("limit", default=_PAGE, min_value=1, max_value=MAX_PAGE)
        words = (req.get_param("q") or "").casefold().split()
        most = MAX_SEARCHED if words else limit + 1
        rows = self._turns.store.read(lambda connection: keeping.page(connection, owner, before, most))
        shown = [(row, self._turns.shown(row)) for row in rows]
        if words:
            shown = [each for each in shown if all(word in each[1]["title"].casefold() for word in words)]
        more = len(shown) > limit
        shown = shown[:limit]
        last = shown[-1][0] if more else None
        answer_content(
            resp,
            {
                "conversations": [each for _, each in shown],
                "next": f"{last.updated_at!r}~{last.id}" if last is not None else None,
            },
        )


class ConversationResource:
    """One conversation."""

    auth = "key"
    operations: Mapping[str, Operation] = {
        "GET": Operation("What was said, in readable form.", READABLE, errors=(NotFound, StoreUnavailable)),
        "PATCH": Operation("Another title.", _CONVERSATION, body=RENAME, errors=(NotFound, StoreUnavailable)),
        "DELETE": Operation("Erases it for good.", statuses=(204,), errors=(NotFound, StoreUnavailable)),
    }

    def __init__(self, runtime: Runtime, turns: Turns) -> None:
        self._runtime = runtime
        self._turns = turns

    def on_get(self, req: falcon.Request, resp: falcon.Response, conversation_id: str) -> None:
        """All messages, oldest first."""
        from plugins.conversations import keeping, summaries

        owner = owner_of(req)
        row, kept, summary = self._turns.store.read(
            lambda connection: (
                keeping.found(connection, conversation_id, owner),
                keeping.turns(connection, conversation_id),
                summaries.summary(connection, conversation_id),
            )
        )
        tools = self._runtime.current.tools
        said = ((each, self._turns.history.messages_of(each)) for each in kept)
        messages = [message for each, them in said for message in readable(each, them, tools)]
        shown = {**self._turns.shown(row), "messages": messages}
        if summary is not None:
            shown["summary"] = self._turns.history.shown_summary(summary)
        answer_content(resp, shown)

    def on_patch(self, req: falcon.Request, resp: falcon.Response, conversation_id: str) -> None:
        """Give it another title."""
        from plugins.conversations import keeping

        body = RENAME.read(req, self._runtime.current.settings.MAX_BODY_BYTES)
        owner = owner_of(req, body.get("user"))
        title = self._turns.sealed_title(body["title"])
        self._turns.store.write(lambda connection: keeping.rename(connection, conversation_id, owner, title))
        row = self._turns.store.read(lambda connection: keeping.found(connection, conversation_id, owner))
        answer_content(resp, self._turns.shown(row))

    def on_delete(self, req: falcon.Request, resp: falcon.Response, conversation_id: str) -> None:
        """Erase it."""
        from plugins.conversations import keeping

        owner = owner_of(req)

        def erase(connection: Connection) -> None:
            keeping.found(connection, conversation_id, owner)
            self._turns.erase(connection, [conversation_id])

        self._turns.store.write(erase)
        resp.status = falcon.HTTP_204
