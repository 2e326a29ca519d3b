"""GET /api/capabilities: what a client may ask of this server, so that it asks for nothing that is not there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import falcon

from rom_core import __version__
from rom_core.documents.attachment import MAX_DOCUMENT_BYTES, MAX_IMAGE_BYTES
from rom_core.documents.kinds import KINDS
from rom_core.documents.prepare import MAX_DOCUMENTS, MAX_IMAGES
from rom_core.http.json_answer import answer_json
from rom_core.http.openapi import Operation
from rom_core.runtime import Runtime
from rom_core.settings.models import Model

# BEDROCK_ENDPOINT_URL of the stand-in that is bundled.
_STAND_IN: Final = "local"
_TEXT: Final = {"type": "string"}
_TEXTS: Final = {"type": "array", "items": _TEXT}
_COUNT: Final = {"type": "integer", "minimum": 0}
_SWITCH: Final = {"type": "boolean"}


def _object(**properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


_ANSWER: Final = _object(
    version=_TEXT,
    plugins={**_TEXTS, "description": "the names of those that are on, sorted"},
    models={
        "type": "array",
        "items": _object(
            alias=_TEXT,
            documents={**_SWITCH, "description": "it reads them"},
            images={**_SWITCH, "description": "it reads them"},
            citations={**_SWITCH, "description": "it cites documents"},
            thinking={"enum": ["none", "budget", "adaptive", "always"]},
        ),
    },
    default_model={**_TEXT, "description": "the alias that answers where a request names none"},
    attachments=_object(
        body_bytes={**_COUNT, "description": "of a request with attachments, as it is sent"},
        document_bytes=_COUNT,
        image_bytes=_COUNT,
        documents={**_COUNT, "description": "in one request, earlier messages included"},
        images={**_COUNT, "description": "images and documents in one request"},
        kinds={"type": "array", "items": _object(extensions=_TEXTS, media_type=_TEXT, image=_SWITCH)},
    ),
    bedrock_enabled={**_SWITCH, "description": "false while the kill switch is off"},
    stand_in={**_SWITCH, "description": "the bundled stand-in for a model answers"},
)


class CapabilitiesResource:
    """The route."""

    auth = "key"
    route = "/api/capabilities"
    operations: Mapping[str, Operation] = {"GET": Operation("What may be asked of this server.", _ANSWER)}

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """As it is at this moment; models past their end of life are left out."""
        current = self._runtime.current
        settings = current.settings
        answer_json(
            resp,
            {
                "version": __version__,
                "plugins": sorted(current.pipeline.plugins),
                "models": [_model(model) for model in settings.models.values() if not model.end_of_life],
                "default_model": settings.MODEL_PRIMARY,
                "attachments": {
                    "body_bytes": settings.MAX_ATTACHMENT_BYTES,
                    "document_bytes": MAX_DOCUMENT_BYTES,
                    "image_bytes": MAX_IMAGE_BYTES,
                    "documents": MAX_DOCUMENTS,
                    "images": MAX_IMAGES,
                    "kinds": [
                        {
                            "extensions": list(kind.extensions),
                            "media_type": kind.media_types[0],
                            "image": kind.block == "image",
                        }
                        for kind in KINDS.values()
                    ],
                },
                "bedrock_enabled": self._runtime.bedrock_enabled(),
                "stand_in": settings.BEDROCK_ENDPOINT_URL == _STAND_IN,
            },
        )


def _model(model: Model) -> dict[str, Any]:
    names = ("alias", "documents", "images", "citations", "thinking")
    return {name: getattr(model, name) for name in names}
