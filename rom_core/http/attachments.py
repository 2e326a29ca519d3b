"""The files of a request, on their way into its turn: the same for every dialect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import falcon
import structlog

from rom_core.concurrency.body_room import Share
from rom_core.documents.attachment import Attachment, decoded
from rom_core.documents.prepare import attachments_of, placeholder, prepare
from rom_core.errors import FileNotFound, Overloaded, PayloadTooLarge
from rom_core.files import KeptFile
from rom_core.plugin.answers import opinion_of
from rom_core.runtime import Runtime
from rom_core.turn import Turn

logger = structlog.get_logger("rom.http")

ATTACHMENT: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "minLength": 1, "description": "needed with `data`"},
        "media_type": {"type": "string", "description": "as application/pdf; without it the name counts"},
        "data": {"type": "string", "description": "the file as base64, or as a data URI"},
        "file_id": {
            "type": "string",
            "minLength": 1,
            "maxLength": 100,
            "description": "in the place of `data`: the id that POST /api/files gave",
        },
    },
}
"""An entry of `attachments` on /api/chat."""


def attachment_problems(attachments: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """What ATTACHMENT does not say, as pairs of field and reason."""
    for index, file in enumerate(attachments):
        if ("data" in file) == ("file_id" in file):
            yield f"attachments.{index}", "needs either data or a file_id"
        elif "data" in file and "name" not in file:
            yield f"attachments.{index}.name", "is required"


def attached(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Blocks that stand for the files in the body of /api/chat. Raises AttachmentNotBase64."""
    for index, file in enumerate(body.get("attachments", ())):
        yield placeholder(_attachment(file, f"attachments.{index}"))


def _attachment(file: Mapping[str, Any], path: str) -> Attachment:
    name, media_type = file.get("name", ""), file.get("media_type", "")
    if "file_id" in file:
        return Attachment(name, media_type, b"", path, file_id=file["file_id"])
    data = file["data"]
    if isinstance(data, bytes):
        # Of a form, as it came.
        return Attachment(name, media_type, data, path, sent_bytes=len(data))
    return decoded(data, path, name=name, media_type=media_type)


def take_attachments(runtime: Runtime, turn: Turn, req: falcon.Request, room: Share) -> None:
    """Make Converse's blocks of the files in the turn's request, which has not begun; nothing has been sent yet.

    What is read from elsewhere than the body is held in `room`, for the caller to give back.

    Raises an AttachmentRefused for the first file that is wrong, PayloadTooLarge if the body without its files has more
    than MAX_BODY_BYTES or all files together have more than MAX_ATTACHMENT_BYTES, FileNotFound, and Overloaded.
    """
    attachments = attachments_of(turn.request)
    citations = turn.request.citations
    _check_rest(attachments, req.context.body_bytes, runtime.current.settings.MAX_BODY_BYTES)
    kept = _Kept(turn, runtime.current.settings.MAX_ATTACHMENT_BYTES, room)
    turn.request = prepare(turn.request, runtime.examiner, turn.settings.models[turn.model], kept.fetched)
    if citations and not turn.request.citations:
        turn.ignore(["citations"])
    if not attachments:
        return
    logger.info(
        "attachments.read",
        trace_id=turn.trace_id,
        kinds=dict(Counter(kind for kind in _kinds(turn))),
        bytes=[len(one.data) for one in attachments],
        warnings=len(turn.request.warnings),
    )


class _Kept:
    """Hands out files that are kept here, each read once, as long as all together do not have more than `max_bytes`."""

    def __init__(self, turn: Turn, max_bytes: int, room: Share) -> None:
        self._turn = turn
        self._room = room
        self._read_bytes = 0
        self._max_bytes = max_bytes
        self._bytes = 0
        self._known: dict[str, KeptFile] = {}

    def fetched(self, attachment: Attachment) -> Attachment:
        """The same with its content. Raises FileNotFound and PayloadTooLarge."""
        if not attachment.file_id:
            self._count(attachment.data)
            return attachment
        file = self._known.get(attachment.file_id) or self._fetch(attachment)
        media_type = attachment.media_type or file.media_type
        return replace(attachment, name=attachment.name or file.name, media_type=media_type, data=file.data)

    def _fetch(self, attachment: Attachment) -> KeptFile:
        hook = self._turn.snapshot.pipeline.hook
        answer = hook.rom_file(file_id=attachment.file_id, key_name=self._turn.request.key_name)
        file = opinion_of("rom_file", answer, KeptFile)
        if file is None:
            text = f"{attachment.path}: no file of that id is kept for this key; it may have expired: send it again"
            raise FileNotFound(text, param=attachment.path)
        self._count(file.data)
        self._read_bytes += len(file.data)
        if not self._room.grow_to(self._read_bytes):
            raise Overloaded("too many bytes of requests are here already", retry_after=10)
        self._known[attachment.file_id] = file
        return file

    def _count(self, data: bytes) -> None:
        self._bytes += len(data)
        if self._bytes > self._max_bytes:
            raise PayloadTooLarge(f"all attachments together have more than {self._max_bytes} bytes")


def _check_rest(attachments: list[Attachment], body_bytes: int, limit: int) -> None:
    rest = body_bytes - sum(one.sent_bytes for one in attachments)
    if rest > limit:
        raise PayloadTooLarge(f"without attachments the body has {rest} bytes; the limit is {limit}")


def _kinds(turn: Turn) -> list[str]:
    blocks = [block for message in turn.request.messages for block in message["content"]]
    blocks += [inner for block in blocks if "toolResult" in block for inner in block["toolResult"]["content"]]
    return [block[kind]["format"] for block in blocks for kind in ("document", "image") if kind in block]
