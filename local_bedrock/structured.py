"""Answers of a form that was asked for: JSON for a schema, with what the message says where it says it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from local_bedrock.tools import make_value

_IN_WORDS = re.compile(r"<json_schema>\s*(\{.*\})\s*</json_schema>", re.DOTALL)
_MAX_DEPTH = 20


def asked_for(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema that the answer has to satisfy, by outputConfig or by an instruction `<json_schema>…</json_schema>`.

    None where text is asked for.
    """
    config = (body.get("outputConfig") or {}).get("textFormat")
    texts = [config["structure"]["jsonSchema"]["schema"]] if config else []
    texts += [found[1] for block in body.get("system") or () if (found := _IN_WORDS.search(block.get("text") or ""))]
    for text in texts:
        try:
            schema = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(schema, dict):
            return schema
    return None


def made_up(schema: dict[str, Any], text: str) -> str:
    """An answer of that form, as JSON: every required member, made of the message as far as it goes."""
    if schema == {"type": "object"}:
        return json.dumps({"resposta": text}, ensure_ascii=False)
    return json.dumps(make_value(plain(schema, schema), text), ensure_ascii=False)


def plain(schema: Any, root: Mapping[str, Any], depth: int = 0) -> Any:
    """The schema without references and choices: the first of each is taken."""
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return {}
    for name in ("anyOf", "oneOf", "allOf"):
        if isinstance(schema.get(name), list) and schema[name]:
            first = plain(schema[name][0], root, depth + 1)
            return {**first, **{key: value for key, value in schema.items() if key != name}}
    if isinstance(schema.get("$ref"), str):
        place: Any = root
        for step in schema["$ref"].removeprefix("#").strip("/").split("/"):
            place = place.get(step) if isinstance(place, dict) and step else place
        return plain(place, root, depth + 1)
    inner = dict(schema)
    if isinstance(schema.get("properties"), dict):
        inner["properties"] = {name: plain(part, root, depth + 1) for name, part in schema["properties"].items()}
    if isinstance(schema.get("items"), dict):
        inner["items"] = plain(schema["items"], root, depth + 1)
    return inner
