"""Reading a body of named values: JSON, a form as `curl -d NAME=value` sends it, or nothing at all."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import falcon

from rom_core.errors import MalformedRequest, UnsupportedMediaType
from rom_core.http.body import parse_json, read_raw

FORM, JSON = "application/x-www-form-urlencoded", "application/json"
MAX_FIELDS = 1000
_JSON_BEGINS = (b"{", b"[")


def read_fields(req: falcon.Request, max_bytes: int) -> dict[str, Any]:
    """The values by name, {} without a body. Those of a form are text.

    Raises UnsupportedMediaType (for a body without Content-Type too), PayloadTooLarge, or MalformedRequest: neither, a
    name twice, JSON sent as a form (what `curl -d '{…}'` does), or JSON that is not an object.
    """
    kind = (req.content_type or "").partition(";")[0].strip().lower()
    raw = read_raw(req, max_bytes)
    if not raw.strip():
        return {}
    if not kind:
        raise UnsupportedMediaType(f"the body has no Content-Type; send {JSON} or {FORM}")
    if kind == FORM:
        return _form(raw)
    if kind != JSON:
        raise UnsupportedMediaType(f"send {JSON} or {FORM}, not {kind}")
    fields = parse_json(raw)
    if not isinstance(fields, dict):
        raise MalformedRequest("the JSON must be an object of names and values")
    return fields


def _form(raw: bytes) -> dict[str, Any]:
    if raw.lstrip()[:1] in _JSON_BEGINS:
        raise MalformedRequest("this is JSON sent as a form: add the header `Content-Type: application/json`")
    try:
        pairs = parse_qsl(
            raw.decode(), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MAX_FIELDS
        )
    except ValueError as error:
        raise MalformedRequest(f"the form is not NAME=value&…: {error}") from None
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name.strip() in fields:
            raise MalformedRequest(f"{name.strip()[:100]!r} is given twice")
        fields[name.strip()] = value
    return fields
