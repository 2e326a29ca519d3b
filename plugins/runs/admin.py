"""GET /admin/runs and one of them: all runs of a person, for whoever answers their request under the law."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import falcon
import structlog

from plugins.runs.journal import decoded, unpacked
from plugins.runs.routes import RUN, whole
from plugins.runs.work import Work
from rom_core.errors import InvalidRequest, RunNotFound, StoreUnavailable
from rom_core.http.author import author_of
from rom_core.http.json_answer import answer_json
from rom_core.http.openapi import Operation
from rom_core.http.own_content import answer_content, person_of

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

logger = structlog.get_logger("rom.runs")
_TEXT: Mapping[str, Any] = {"type": "string"}
LISTED: Mapping[str, Any] = {
    "type": "object",
    "required": ["user", "ids"],
    "properties": {"user": _TEXT, "ids": {"type": "array", "items": _TEXT, "description": "oldest first"}},
}
WHOLE: Mapping[str, Any] = {
    **RUN,
    "required": [*RUN["required"], "key_name", "user", "request", "files", "events"],
    "properties": {
        **RUN["properties"],
        "key_name": _TEXT,
        "user": _TEXT,
        "request": {
            "type": ["object", "null"],
            "description": "until the run has ended; null after that",
        },
        "files": {"type": "object", "description": "base64 by digest, of a run that has not ended"},
        "events": {"type": "array", "description": "all that the run has said", "items": {"type": "array"}},
    },
}


class PersonRunsResource:
    """All runs of a person, by the `user` that applications name. POST /admin/conversations erases them."""

    auth = "admin"
    operations: Mapping[str, Operation] = {
        "GET": Operation(
            "The ids of all runs of `user`, or under one API key of them (`key_name`).",
            LISTED,
            errors=(InvalidRequest, StoreUnavailable),
        )
    }

    def __init__(self, work: Work) -> None:
        self._work = work

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Which they are; each is fetched by its id."""
        from plugins.runs import owning

        user, key_name = person_of(req)
        ids = self._work.store.read(lambda connection: owning.owned_by(connection, user, key_name))
        answer_json(resp, {"user": user, "ids": ids})


class WholeRunResource:
    """One run with everything in it."""

    auth = "admin"
    operations: Mapping[str, Operation] = {
        "GET": Operation("A run as it is kept, its events included.", WHOLE, errors=(RunNotFound, StoreUnavailable))
    }

    def __init__(self, work: Work) -> None:
        self._work = work

    def on_get(self, req: falcon.Request, resp: falcon.Response, run_id: str) -> None:
        """Whoever reads it is in the log, under their token's name."""
        from plugins.runs import owning

        author = author_of(req, None)

        def read(connection: Connection) -> tuple[Row[Any], list[bytes], dict[str, bytes]]:
            row = owning.anybodys(connection, run_id)
            return row, owning.all_events(connection, run_id), owning.files(connection, run_id)

        row, batches, files = self._work.store.read(read)
        logger.warning("run.exported", by=author.by, why=author.why, run_id=run_id)
        opened = self._work.sealer.open
        body = whole(self._work, row) | {
            "key_name": row.key_name,
            "user": row.user,
            "request": decoded(opened(row.request))[0] if row.request else None,
            "files": {digest: base64.b64encode(opened(file)).decode("ascii") for digest, file in files.items()},
            "events": [event for batch in batches for event in unpacked(opened(batch))],
        }
        answer_content(resp, body)
