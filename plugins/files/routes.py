"""POST /api/files, GET and DELETE /api/files/{file_id}."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

import falcon
import structlog

from plugins.files.keeping import Description, Keeper
from rom_core.concurrency.clock import iso
from rom_core.concurrency.places import Places
from rom_core.documents.attachment import Attachment
from rom_core.documents.prepare import look_at
from rom_core.documents.texts import warnings_of
from rom_core.errors import (
    FileNotFound,
    FilesFull,
    InvalidRequest,
    Overloaded,
    StoreUnavailable,
    UnsupportedMediaType,
)
from rom_core.events import RequestRejected
from rom_core.http.json_answer import answer_json
from rom_core.http.multipart import FORM, FormFile, is_form, read_form
from rom_core.http.openapi import Operation
from rom_core.runtime import Runtime

# Each holds a thread and a file in memory; a browser sends six at a time.
MAX_UPLOADS: Final = 8
FIELD: Final = "file"
_TEXT: Mapping[str, Any] = {"type": "string"}
ANSWER: Mapping[str, Any] = {
    "type": "object",
    "required": ["id", "name", "media_type", "bytes", "warnings", "expires_at"],
    "properties": {
        "id": {"type": "string", "description": "for `file_id` of an entry of `attachments`"},
        "name": _TEXT,
        "media_type": {"type": "string", "description": "by its content"},
        "bytes": {"type": "integer"},
        "pages": {"type": "integer", "description": "of a PDF"},
        "warnings": {"type": "array", "items": {"type": "object"}, "description": "as in an answer of /api/chat"},
        "expires_at": {"type": "string", "format": "date-time"},
    },
}
FORM_BODY: Mapping[str, Any] = {
    "type": "object",
    "required": [FIELD],
    "properties": {FIELD: {"type": "string", "contentMediaType": "application/octet-stream"}},
}
logger = structlog.get_logger("rom.files")


class FilesResource:
    """Uploads."""

    auth = "key"
    route = "/api/files"
    takes_files = True
    operations: Mapping[str, Operation] = {
        "POST": Operation(
            "Keep a file for later messages.",
            ANSWER,
            form=FORM_BODY,
            errors=(FilesFull, Overloaded, StoreUnavailable),
            statuses=(201,),
        )
    }

    def __init__(self, runtime: Runtime, keeper: Callable[[], Keeper]) -> None:
        self._runtime = runtime
        self._keeper = keeper
        self._places = Places(MAX_UPLOADS)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Look at it as at an attachment, and keep it. Raises an AttachmentRefused, FilesFull, Overloaded."""
        give_back = self._places.take()
        if give_back is None:
            self._runtime.emit(RequestRejected(self.route, Overloaded.code))
            raise Overloaded("too many files are being uploaded", retry_after=2)
        try:
            kept = self._keep(self._read(req), req.context.key_name)
        finally:
            give_back()
        resp.status = falcon.HTTP_201
        resp.set_header("Location", f"{self.route}/{kept.id}")
        _write(resp, kept)

    def _read(self, req: falcon.Request) -> FormFile:
        """The one file of the form."""
        if not is_form(req):
            raise UnsupportedMediaType(f"send {FORM}, with the file in the field {FIELD}")
        settings = self._runtime.current.settings
        form = read_form(req, settings.MAX_BODY_BYTES, settings.MAX_ATTACHMENT_BYTES)
        for field in (*form.fields, *(file.field for file in form.files)):
            if field != FIELD:
                raise InvalidRequest(f"{field[:100]}: unknown field; known: {FIELD}", param=field[:100])
        if len(form.files) != 1:
            raise InvalidRequest(f"{FIELD}: exactly one file is needed, there are {len(form.files)}", param=FIELD)
        return form.files[0]

    def _keep(self, file: FormFile, owner: str) -> Description:
        attachment = Attachment(file.name, file.media_type, file.data, FIELD)
        ((kind, verdict),) = look_at([attachment], self._runtime.examiner)
        facts: dict[str, Any] = {"pages": verdict.pages} if verdict.pages else {}
        facts["warnings"] = warnings_of(file.name, verdict)
        settings, now = self._runtime.current.settings, self._runtime.clock.time()
        description = Description(
            # Who knows the id still needs the key; without keys it is all that protects the file.
            id=f"file-{secrets.token_hex(16)}",
            owner=owner,
            name=file.name,
            media_type=kind.media_types[0],
            bytes=len(file.data),
            facts=facts,
            expires=now + float(settings.FILE_TTL_SECONDS),
        )
        self._keeper().keep(description, file.data, now, int(settings.FILES_MAX_BYTES))
        logger.info("files.kept", kind=kind.format, bytes=len(file.data), warnings=len(facts["warnings"]))
        return description


class FileResource:
    """One file."""

    auth = "key"
    route = "/api/files/{file_id}"
    operations: Mapping[str, Operation] = {
        "GET": Operation("What is known of a file that is kept.", ANSWER, errors=(FileNotFound, StoreUnavailable)),
        "DELETE": Operation("Erase a file that is kept.", errors=(FileNotFound, StoreUnavailable), statuses=(204,)),
    }

    def __init__(self, runtime: Runtime, keeper: Callable[[], Keeper]) -> None:
        self._runtime = runtime
        self._keeper = keeper

    def on_get(self, req: falcon.Request, resp: falcon.Response, file_id: str) -> None:
        """Without its content. Raises FileNotFound."""
        found = self._keeper().find(file_id, req.context.key_name, self._runtime.clock.time())
        if found is None:
            raise _unknown()
        _write(resp, found)

    def on_delete(self, req: falcon.Request, resp: falcon.Response, file_id: str) -> None:
        """204. Raises FileNotFound."""
        if not self._keeper().remove(file_id, req.context.key_name, self._runtime.clock.time()):
            raise _unknown()
        resp.status = falcon.HTTP_204


def _unknown() -> FileNotFound:
    return FileNotFound("no file of that id is kept for this key")


def _write(resp: falcon.Response, file: Description) -> None:
    body = {"id": file.id, "name": file.name, "media_type": file.media_type, "bytes": file.bytes}
    answer_json(resp, {**body, **file.facts, "expires_at": iso(file.expires)})
