"""An answer that is one JSON object."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import falcon


def answer_json(resp: falcon.Response, body: Mapping[str, Any]) -> None:
    """Answer with `body`, in UTF-8; status and other headers are the caller's."""
    resp.content_type = falcon.MEDIA_JSON
    resp.data = json.dumps(body, ensure_ascii=False).encode()
