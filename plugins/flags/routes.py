"""The five routes; every one is for administrators."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import falcon

from plugins.flags import shapes
from plugins.flags.versions import required_version, version_number
from rom_core.errors import (
    Forbidden,
    InvalidRequest,
    MalformedRequest,
    NotFound,
    Overloaded,
    RomError,
    StoreUnavailable,
    VersionConflict,
)
from rom_core.flags import Applied, Author, Flags, Preview
from rom_core.http.author import REASON, author_of
from rom_core.http.body import BodySchema
from rom_core.http.forms import read_fields
from rom_core.http.json_answer import answer_json
from rom_core.http.openapi import Operation
from rom_core.runtime import Runtime

_HISTORY = 50
_MAX_HISTORY = 1000
_CHANGE_ERRORS = (NotFound, Forbidden, VersionConflict, StoreUnavailable, Overloaded)


class _Resource:
    auth = "admin"

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    @property
    def _flags(self) -> Flags:
        if self._runtime.flags is None:
            raise NotFound("this runtime was given its settings, not where to read them")
        return self._runtime.flags


class _ChangeResource(_Resource, ABC):
    """A POST that changes the settings, and answers what changed."""

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """All or nothing; the ETag is the new version. Waits up to 5 s until it is in force everywhere.

        With `dry_run=true` in the address nothing is changed, and the answer is what would be.
        """
        try:
            fields = read_fields(req, self._runtime.current.settings.MAX_BODY_BYTES)
        except RomError as error:
            error.explain(f"Nothing was changed: Bedrock is {'on' if self._runtime.bedrock_enabled() else 'off'}.")
            raise
        author = author_of(req, fields.pop(REASON, None))
        if req.get_param_as_bool("dry_run"):
            found = self._preview(req, fields, author)
            _answer(resp, shapes.preview_of(found, self._runtime.current.settings), found.version)
            return
        applied = self._apply(req, fields, author)
        if applied.pending:
            resp.status = falcon.HTTP_202
        reached = self._runtime.fleet.wait_in_force(applied.version, durable=applied.durable)
        body = shapes.applied_of(applied, self._runtime.current.settings, reached)
        _answer(resp, body, applied.version)

    @abstractmethod
    def _apply(self, req: falcon.Request, fields: dict[str, Any], author: Author) -> Applied:
        """`fields` are those of the body, without the reason."""

    @abstractmethod
    def _preview(self, req: falcon.Request, fields: dict[str, Any], author: Author) -> Preview:
        """The same with nothing changed."""


def _change_operations(
    summary: str, body: Mapping[str, Any], statuses: tuple[int, ...] = (200,)
) -> Mapping[str, Operation]:
    tried = "With `?dry_run=true` it answers what that would change, and changes nothing."
    answer = shapes.APPLIED_OR_PREVIEW
    operation = Operation(f"{summary} {tried}", answer, body=BodySchema(body), errors=_CHANGE_ERRORS, statuses=statuses)
    return {"POST": operation}


class FlagsResource(_Resource):
    """GET /admin/flags."""

    operations: Mapping[str, Operation] = {
        "GET": Operation("Every setting: value, type, layer, help.", shapes.FLAGS_ANSWER, errors=(NotFound,))
    }

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Secrets are masked; the ETag is the version."""
        body = shapes.flags_of(self._flags)
        _answer(resp, body, body["version"])


class ReloadResource(_ChangeResource):
    """POST /admin/reload-flags."""

    operations = _change_operations(
        "Reads all layers afresh, with the overrides of the body set first; takes a form, JSON, or nothing.",
        shapes.RELOAD_BODY,
        statuses=(200, 202),
    )

    def _apply(self, req: falcon.Request, fields: dict[str, Any], author: Author) -> Applied:
        return self._flags.change(fields, author, required_version(req))

    def _preview(self, req: falcon.Request, fields: dict[str, Any], author: Author) -> Preview:
        return self._flags.preview(fields, author, required_version(req))


class HistoryResource(_Resource):
    """GET /admin/flags/history."""

    operations: Mapping[str, Operation] = {
        "GET": Operation(
            "Versions, newest first: `limit` of them (50; at most 1000), `before` a version.",
            shapes.HISTORY_ANSWER,
            errors=(NotFound, MalformedRequest, InvalidRequest, StoreUnavailable),
        )
    }

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """A page of the history."""
        limit = req.get_param_as_int("limit", default=_HISTORY, min_value=1, max_value=_MAX_HISTORY)
        before = req.get_param_as_int("before", default=None, min_value=1)
        if before is not None and version_number(before) is None:
            raise InvalidRequest("before: no version has so high a number", param="before")
        versions, settings = self._flags.history(limit, before), self._runtime.current.settings
        _answer(resp, {"versions": [shapes.version_of(v, settings, durable=durable) for v, durable in versions]})


class RollbackResource(_ChangeResource):
    """POST /admin/flags/rollback."""

    operations = _change_operations(
        "Puts the overrides of a version in force again, as a new version; takes a form or JSON.",
        shapes.ROLLBACK_BODY,
    )

    def _apply(self, req: falcon.Request, fields: dict[str, Any], author: Author) -> Applied:
        return self._flags.rollback(_version(fields), author, required_version(req))

    def _preview(self, req: falcon.Request, fields: dict[str, Any], author: Author) -> Preview:
        return self._flags.preview_rollback(_version(fields), author, required_version(req))


class ApproveResource(_ChangeResource):
    """POST /admin/flags/approve."""

    operations = _change_operations(
        "Carries out a change that waits for a second named person; takes a form or JSON.",
        shapes.APPROVE_BODY,
    )

    def _apply(self, req: falcon.Request, fields: dict[str, Any], author: Author) -> Applied:
        return self._flags.approve(_id(fields), author, required_version(req))

    def _preview(self, req: falcon.Request, fields: dict[str, Any], author: Author) -> Preview:
        id_ = _id(fields)
        waits = next((pending for pending in self._flags.pending if pending.id == id_), None)
        if waits is None:
            raise NotFound(f"no change waits under {id_[:40]!r}")
        return self._flags.preview(waits.edits, author, required_version(req))


class StatusResource(_Resource):
    """GET /admin/status."""

    operations: Mapping[str, Operation] = {
        "GET": Operation("Whether all is well; plugins, places, threads, canary, store.", shapes.STATUS_ANSWER)
    }

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """What the process is doing at this moment."""
        _answer(resp, shapes.status_of(self._runtime))


def _version(fields: dict[str, Any]) -> int:
    """The version to go back to. Raises InvalidRequest."""
    version = version_number(fields.pop("version", None))
    if fields:
        raise InvalidRequest(f"unknown field {sorted(fields)[0][:100]!r}; give version and reason")
    if version is None:
        raise InvalidRequest("version: the number of a version of the history is needed", param="version")
    return version


def _id(fields: dict[str, Any]) -> str:
    """The id of a change that waits. Raises InvalidRequest."""
    id_ = fields.pop("id", None)
    if fields:
        raise InvalidRequest(f"unknown field {sorted(fields)[0][:100]!r}; give id and reason")
    if not isinstance(id_, str) or not id_:
        raise InvalidRequest("id: what the proposal was answered with is needed", param="id")
    return id_


def _answer(resp: falcon.Response, body: dict[str, Any], version: int | None = None) -> None:
    if version is not None:
        resp.etag = str(version)
    answer_json(resp, body)
