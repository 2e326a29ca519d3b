"""The files of a request, on their way into its turn: the same for every dialect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import falcon
import structlog

from rom_core.documents.attachment import Attachment, decoded
from rom_core.documents.prepare import attachments_of, placeholder, prepare
from rom_core.errors import PayloadTooLarge
from rom_core.runtime import Runtime
from rom_core.turn import Turn

logger = structlog.get_logger("rom.http")

ATTACHMENT: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "data"],
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "media_type": {"type": "string", "description": "as application/pdf; without it the name counts"},
        "data": {"type": "string", "description": "the file as base64, or as a data URI"},
    },
}
"""An entry of `attachments` on /api/chat."""


def attached(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Blocks that stand for the files in the body of /api/chat. Raises AttachmentNotBase64."""
    for index, file in enumerate(body.get("attachments", ())):
        yield placeholder(_attachment(file, f"attachments.{index}"))


def _attachment(file: Mapping[str, Any], path: str) -> Attachment:
    data, name, media_type = file["data"], file["name"], file.get("media_type", "")
    if isinstance(data, bytes):
        # Of a form, as it came.
        return Attachment(name, media_type, data, path, sent_bytes=len(data))
    return decoded(data, path, name=name, media_type=media_type)


def take_attachments(runtime: Runtime, turn: Turn, req: falcon.Request) -> None:
    """Make Converse's blocks of the files in the turn's request, which has not begun; nothing has been sent yet.

    Raises an AttachmentRefused for the first file that is wrong, PayloadTooLarge if the body without its files has more
    than MAX_BODY_BYTES, and Overloaded.
    """
    attachments = attachments_of(turn.request)
    _check_rest(attachments, req.context.body_bytes, runtime.current.settings.MAX_BODY_BYTES)
    if not attachments:
        return
    turn.request = prepare(turn.request, runtime.examiner, turn.settings.models[turn.model])
    logger.info(
        "attachments.read",
        trace_id=turn.trace_id,
        kinds=dict(Counter(kind for kind in _kinds(turn))),
        bytes=[len(one.data) for one in attachments],
        warnings=len(turn.request.warnings),
    )


def _check_rest(attachments: list[Attachment], body_bytes: int, limit: int) -> None:
    rest = body_bytes - sum(one.sent_bytes for one in attachments)
    if rest > limit:
        raise PayloadTooLarge(f"without attachments the body has {rest} bytes; the limit is {limit}")


def _kinds(turn: Turn) -> list[str]:
    blocks = [block for message in turn.request.messages for block in message["content"]]
    blocks += [inner for block in blocks if "toolResult" in block for inner in block["toolResult"]["content"]]
    return [block[kind]["format"] for block in blocks for kind in ("document", "image") if kind in block]
