"""What a client may ask an answer to be: `response_format` as OpenAI's API has it, read and looked through."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from rom_core.errors import InvalidRequest
from rom_core.structured.checking import REFUSED, CannotCheck, Checker, UnusablePattern, compiled, schema_problem
from rom_core.turn_values import ResponseFormat

MAX_SCHEMA_CHARS: Final = 65_536
MAX_SCHEMAS: Final = 1000
"""How many schemas may stand in one another."""
MAX_DEPTH: Final = 25
"""How deep they may do so."""
MAX_REFERENCE_CHARS: Final = 256
MAX_ANCHORS: Final = 100
"""How many names of their own; all of the schema is looked through for each that is used."""
_FIELD: Final = "response_format"
_ONE: Final = ("additionalProperties", "items", "contains", "not", "if", "then", "else", "propertyNames")
_SEVERAL: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_NAMED: Final = ("properties", "$defs", "definitions", "dependentSchemas", "dependencies")

RESPONSE_FORMAT: Mapping[str, Any] = {
    "type": "object",
    "required": ["type"],
    "additionalProperties": False,
    "description": "what the answer is to be: text, any JSON object, or JSON that satisfies a schema",
    "properties": {
        "type": {"enum": ["text", "json_object", "json_schema"]},
        "json_schema": {
            "type": ["object", "null"],
            "required": ["schema"],
            "additionalProperties": False,
            "properties": {
                "name": {"type": "string", "maxLength": 256},
                "description": {"type": ["string", "null"], "maxLength": 4096},
                "schema": {"type": "object", "description": "a JSON Schema; references lead within it"},
                "strict": {"type": ["boolean", "null"], "description": "the answer is checked in any case"},
            },
        },
    },
}
"""The JSON Schema of the field."""


def read_format(given: Mapping[str, Any] | None) -> ResponseFormat | None:
    """What `response_format`, valid by RESPONSE_FORMAT, asks for; None for text.

    Raises InvalidRequest for a schema that cannot be used: too large, not valid, with references that lead out of it or
    nowhere, with a pattern that cannot be matched in bounded time, or with keywords that are not supported.
    """
    if given is None or given["type"] == "text":
        return None
    asked = given.get("json_schema") or {}
    if given["type"] == "json_object":
        return ResponseFormat("json_object", {"type": "object"}, Checker({"type": "object"}).problems)
    if not asked:
        raise InvalidRequest(f"{_FIELD}.json_schema: is required", param=f"{_FIELD}.json_schema")
    schema = asked["schema"]
    text = json.dumps(schema)
    if len(text) > MAX_SCHEMA_CHARS:
        raise _refused(f"has {len(text)} characters; the limit is {MAX_SCHEMA_CHARS}")
    problem, checker = _looked_through(text)
    if checker is None:
        raise _refused(problem)
    description = asked.get("description") or ""
    return ResponseFormat("json_schema", schema, checker.problems, asked.get("name") or "", description)


def subschemas(schema: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], int]]:
    """The schema and all in it, each after the one that it stands in, with its depth; not below MAX_DEPTH."""
    pending: list[tuple[Any, int]] = [(schema, 0)]
    while pending:
        part, depth = pending.pop()
        if not isinstance(part, Mapping):
            continue
        yield part, depth
        if depth > MAX_DEPTH:
            continue
        inner: list[Any] = [part.get(name) for name in _ONE]
        for name in (*_SEVERAL, "items"):
            if isinstance(part.get(name), list):
                inner += part[name]
        for name in _NAMED:
            if isinstance(part.get(name), Mapping):
                inner += part[name].values()
        pending += [(one, depth + 1) for one in reversed(inner)]


@lru_cache(maxsize=64)
def _looked_through(text: str) -> tuple[str, Checker | None]:
    """Why the schema cannot be used, or what checks against it; remembered, since clients send the same ones again."""
    schema = json.loads(text)
    problem = next(_problems(schema), "")
    return problem, None if problem else Checker(schema)


def _problems(schema: dict[str, Any]) -> Iterator[str]:
    parts = list(islice(subschemas(schema), MAX_SCHEMAS + 1))
    if len(parts) > MAX_SCHEMAS:
        yield f"has more than {MAX_SCHEMAS} schemas in it"
    anchors = [part["$anchor"] for part, _ in parts if isinstance(part.get("$anchor"), str)]
    if len(anchors) > MAX_ANCHORS:
        yield f"has more than {MAX_ANCHORS} anchors in it"
    for part, depth in parts:
        if depth > MAX_DEPTH:
            yield f"has schemas more than {MAX_DEPTH} deep in one another"
        if depth and "$id" in part:
            yield "a $id inside the schema is not supported"
        yield from _unusable(part, schema, anchors)
    yield from _invalid(schema)


def _unusable(part: Mapping[str, Any], root: Mapping[str, Any], anchors: Collection[str]) -> Iterator[str]:
    for name in REFUSED:
        if name in part:
            yield f"the keyword {name} is not supported"
    reference = part.get("$ref")
    if isinstance(reference, str) and not reference.startswith("#"):
        yield "a $ref leads out of the schema; only references within it, as #/$defs/name, are followed"
    elif isinstance(reference, str) and len(reference) > MAX_REFERENCE_CHARS:
        yield f"a $ref has more than {MAX_REFERENCE_CHARS} characters"
    elif isinstance(reference, str) and not _leads_somewhere(reference, root, anchors):
        yield "a $ref leads nowhere"
    pattern = part.get("pattern")
    if isinstance(pattern, str):
        try:
            compiled(pattern)
        except UnusablePattern as error:
            yield f"a pattern cannot be used ({error}); look-around and back references are not supported"


def _leads_somewhere(reference: str, root: Any, anchors: Collection[str]) -> bool:
    if reference == "#":
        return True
    if not reference.startswith("#/"):
        return reference[1:] in anchors
    place = root
    for step in reference[2:].split("/"):
        name = step.replace("~1", "/").replace("~0", "~").replace("%25", "%").replace("%24", "$")
        if isinstance(place, list) and name.isdigit() and int(name) < len(place):
            place = place[int(name)]
        elif isinstance(place, Mapping) and name in place:
            place = place[name]
        else:
            return False
    return isinstance(place, Mapping)


def _invalid(schema: dict[str, Any]) -> Iterator[str]:
    from jsonschema import Draft3Validator, Draft202012Validator
    from jsonschema.validators import validator_for

    kind = validator_for(schema, default=Draft202012Validator)
    if kind is Draft3Validator:
        yield "draft 3 of JSON Schema is not supported"
        return
    try:
        problem = schema_problem(schema, kind)
    except CannotCheck:
        yield "is too large to be looked through"
        return
    if problem is not None:
        yield f"is no valid JSON Schema: {problem.where or 'the schema'} breaks {problem.keyword}"


def _refused(reason: str) -> InvalidRequest:
    field = f"{_FIELD}.json_schema.schema"
    return InvalidRequest(f"{field}: {reason}", param=field)
