"""GET /api/runs, and GET, DELETE, events and cancelling of one, for whoever owns it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import falcon

from plugins.runs.journal import decoded
from plugins.runs.reading import EventStream
from plugins.runs.running import cancelled
from plugins.runs.work import Work
from rom_core.concurrency.clock import iso
from rom_core.concurrency.places import Places
from rom_core.errors import InvalidRequest, Overloaded, RunNotFound, StoreUnavailable
from rom_core.events import RunFinished
from rom_core.http.answer import event_stream
from rom_core.http.openapi import Operation
from rom_core.http.own_content import answer_content, before_of, owner_of
from rom_core.http.routes.chat import CHAT_ANSWER
from rom_core.runtime import Runtime

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

MAX_PAGE = 100
_PAGE = 50
MAX_READERS = 10
"""Who may read events at the same time, each in a place of the core's, and so in a thread."""
_TEXT: Mapping[str, Any] = {"type": "string"}
RUN: Mapping[str, Any] = {
    "type": "object",
    "required": ["id", "state", "conversation_id", "created_at", "iteration", "tools", "seconds", "usage"],
    "properties": {
        "id": _TEXT,
        "state": {"enum": ["queued", "running", "done", "failed", "cancelled", "interrupted"]},
        "conversation_id": _TEXT,
        "created_at": {"type": "string", "format": "date-time"},
        "iteration": {"type": "integer", "minimum": 0},
        "tools": {"type": "array", "items": _TEXT, "description": "names, in the order in which they were asked for"},
        "seconds": {"type": "number", "minimum": 0, "description": "since it first began; 0 while it is queued"},
        "usage": {"type": "object", "description": "tokens so far, as in an answer"},
        "answer": CHAT_ANSWER,
        "error": {"type": "object", "description": "the problem that an answer would have been"},
    },
}
PAGE: Mapping[str, Any] = {
    "type": "object",
    "required": ["runs", "next"],
    "properties": {
        "runs": {"type": "array", "items": RUN, "description": "without `answer` and `error`"},
        "next": {"type": ["string", "null"], "description": "`before` of the page that follows; null at the end"},
    },
}


class RunsResource:
    """The owner's runs."""

    auth = "key"
    operations: Mapping[str, Operation] = {
        "GET": Operation(
            "The runs of this key and `user`, newest first; `limit`, `before`.",
            PAGE,
            errors=(InvalidRequest, StoreUnavailable),
        )
    }

    def __init__(self, runtime: Runtime, work: Work) -> None:
        self._runtime = runtime
        self._work = work

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """One page of them."""
        from plugins.runs import owning

        owner, before = owner_of(req), before_of(req)
        limit = req.get_param_as_int("limit", default=_PAGE, min_value=1, max_value=MAX_PAGE)
        rows = self._work.store.read(lambda connection: owning.page(connection, owner, before, limit + 1))
        now = self._work.now()
        shown = rows[:limit]
        following = f"{shown[-1].created_at!r}~{shown[-1].id}" if len(rows) > limit else None
        answer_content(resp, {"runs": [described(row, now) for row in shown], "next": following})


class RunResource:
    """One run."""

    auth = "key"
    operations: Mapping[str, Operation] = {
        "GET": Operation("How far it has come, and its answer.", RUN, errors=(RunNotFound, StoreUnavailable)),
        "DELETE": Operation(
            "Cancels it, and erases it for good.", statuses=(204,), errors=(RunNotFound, StoreUnavailable)
        ),
    }

    def __init__(self, runtime: Runtime, work: Work) -> None:
        self._runtime = runtime
        self._work = work

    def on_get(self, req: falcon.Request, resp: falcon.Response, run_id: str) -> None:
        """As it is in the store, of which it is never more than a moment ahead."""
        from plugins.runs import owning

        owner = owner_of(req)
        row = self._work.store.read(lambda connection: owning.found(connection, run_id, owner))
        answer_content(resp, whole(self._work, row))

    def on_delete(self, req: falcon.Request, resp: falcon.Response, run_id: str) -> None:
        """Whoever runs it notices that there is nothing to be kept any more."""
        from plugins.runs import owning

        owner = owner_of(req)

        def erase(connection: Connection) -> None:
            owning.locked(connection, run_id, owner)
            owning.remove(connection, [run_id])

        self._work.store.write(erase)
        self._work.cancel(run_id)
        self._work.changes.tell(run_id)
        resp.status = falcon.HTTP_204


class CancelResource:
    """The end of a run, as its owner wishes."""

    auth = "key"
    operations: Mapping[str, Operation] = {
        "POST": Operation(
            "Cancels it: at once if it is queued, else within seconds. One that has ended stays as it is.",
            RUN,
            errors=(RunNotFound, StoreUnavailable),
        )
    }

    def __init__(self, runtime: Runtime, work: Work) -> None:
        self._runtime = runtime
        self._work = work

    def on_post(self, req: falcon.Request, resp: falcon.Response, run_id: str) -> None:
        """Cancel it here, or have the instance that runs it do so."""
        from plugins.runs import keeping, owning

        owner, now = owner_of(req), self._runtime.clock.time()

        def cancel(connection: Connection) -> RunFinished | None:
            row = owning.locked(connection, run_id, owner)
            if row.state == "queued":
                keeping.end(connection, row, self._work.ending_of(row, "cancelled", cancelled()), now)
                return self._work.finished(row, "cancelled", cancelled())
            if row.state == "running":
                keeping.ask_to_cancel(connection, run_id)
            return None

        if (event := self._work.store.write(cancel)) is not None:
            self._runtime.emit(event)
        self._work.cancel(run_id)
        self._work.changes.tell(run_id)
        row = self._work.store.read(lambda connection: owning.found(connection, run_id, owner))
        answer_content(resp, whole(self._work, row))


class EventsResource:
    """What a run says, as a stream."""

    auth = "key"
    operations: Mapping[str, Operation] = {
        "GET": Operation(
            "The events of the run from the beginning, or after the one that `Last-Event-ID` or `after` names; each "
            "has an id. 204: there are no more.",
            statuses=(204,),
            errors=(RunNotFound, InvalidRequest, Overloaded, StoreUnavailable),
            stream="start, warning, thinking, delta, citation, restart, tool_call, tool_result; done or error",
        )
    }

    def __init__(self, runtime: Runtime, work: Work) -> None:
        self._runtime = runtime
        self._work = work
        self._readers = Places(MAX_READERS)

    def on_get(self, req: falcon.Request, resp: falcon.Response, run_id: str) -> None:
        """Stream them."""
        from plugins.runs import keeping, owning

        owner, after = owner_of(req), _after(req, run_id)
        row = self._work.store.read(lambda connection: owning.found(connection, run_id, owner))
        if row.state not in keeping.UNFINISHED and after >= row.last_event:
            # A browser's EventSource would come again and again.
            resp.status = falcon.HTTP_204
            return
        event_stream(resp)
        if req.method == "HEAD":
            return
        reader, place = self._readers.take(), self._runtime.places.take()
        if reader is None or place is None:
            for taken in (reader, place):
                if taken is not None:
                    taken()
            raise Overloaded("too many read events already", retry_after=5)

        def release() -> None:
            reader()
            place()

        resp.stream = EventStream(self._runtime, self._work, run_id, after, req, release)


def described(row: Row[Any], now: float) -> dict[str, Any]:
    """A run in a list; `now` is by the store's clock."""
    seconds = (row.ended_at or now) - row.started_at if row.started_at else 0.0
    return {
        "id": row.id,
        "state": row.state,
        "conversation_id": row.conversation_id,
        "created_at": iso(row.created_at),
        "iteration": row.iteration,
        "tools": json.loads(row.tools),
        "seconds": round(max(0.0, seconds), 3),
        "usage": json.loads(row.usage),
    }


def whole(work: Work, row: Row[Any]) -> dict[str, Any]:
    """A run with its answer or its error, if it has ended. Raises KeyMissing."""
    shown = described(row, work.now())
    if row.ending:
        shown["answer" if row.state == "done" else "error"] = decoded(work.sealer.open(row.ending))
    return shown


def _after(req: falcon.Request, run_id: str) -> int:
    """The number of the last event that the reader has."""
    given = req.get_header("Last-Event-ID") or req.get_param("after") or ""
    if not given:
        return 0
    named, _, number = given.rpartition(":")
    if named not in ("", run_id) or not (number.isascii() and number.isdigit() and len(number) < 10):
        raise InvalidRequest("after: send the id of the last event of this run that you have", param="after")
    return int(number)
