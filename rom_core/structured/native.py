"""A schema as Bedrock's structured outputs take it: a part of JSON Schema, in which every object is closed.

What is left out is stated in the description for the model, and checked afterwards all the same. Source: AWS's and
Anthropic's pages about structured outputs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

_MAX_OPTIONAL: Final = 24
_MAX_UNIONS: Final = 16
_FORMATS: Final = ("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid")
_TYPES: Final = ("object", "array", "string", "integer", "number", "boolean", "null")
_KEPT: Final = ("title", "type", "const")
_PASSED_OVER: Final = (
    "$schema",
    "$id",
    "$comment",
    "$anchor",
    "examples",
    "default",
    "deprecated",
    "readOnly",
    "writeOnly",
)
# Said in words; checked afterwards.
_NOTED: Final = (
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("minLength", "maxLength", "pattern", "format", "contentEncoding", "contentMediaType"),
    *("minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties"),
)
_PLACES: Final = ("$defs", "definitions")
_SCALARS: Final = (str, int, float, bool, type(None))


class _NotNative(Exception):
    """The schema says something that structured outputs cannot."""


def native_schema(schema: Mapping[str, Any]) -> str | None:
    """The schema of an object as JSON text for outputConfig.textFormat; None if it cannot be said there."""
    try:
        return json.dumps(_Conversion(schema).root(), ensure_ascii=False)
    except (_NotNative, RecursionError):
        return None


class _Conversion:
    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._optional = self._unions = 0
        self._definitions: dict[str, Any] = {}
        self._open: list[str] = []

    def root(self) -> dict[str, Any]:
        """The whole schema, with the definitions that it uses."""
        if self._schema.get("type") != "object" or "$ref" in self._schema:
            raise _NotNative
        converted = self.part(self._schema)
        if self._optional > _MAX_OPTIONAL or self._unions > _MAX_UNIONS:
            raise _NotNative
        return converted | ({"$defs": self._definitions} if self._definitions else {})

    def part(self, schema: Any) -> dict[str, Any]:
        """One schema."""
        if not isinstance(schema, Mapping):
            raise _NotNative
        schema = {name: value for name, value in schema.items() if name not in (*_PASSED_OVER, *_PLACES)}
        if len(schema.get("allOf", ())) == 1:
            (only,) = schema.pop("allOf")
            schema = {**(only if isinstance(only, Mapping) else {"allOf": []}), **schema}
        made: dict[str, Any] = {}
        notes: dict[str, Any] = {}
        for name, value in schema.items():
            if (name == "format" and value in _FORMATS) or (name == "minItems" and value in (0, 1)):
                made[name] = value
            elif name in _NOTED:
                notes[name] = value
            elif name != "description":
                made |= self._member(name, value, schema)
        description = [schema["description"]] if isinstance(schema.get("description"), str) else []
        description += [json.dumps(notes, ensure_ascii=False)] if notes else []
        return made | ({"description": " ".join(description)} if description else {})

    def _member(self, name: str, value: Any, schema: Mapping[str, Any]) -> dict[str, Any]:
        if name in _KEPT and (name != "type" or self._is_type(value)):
            if name == "const" and not isinstance(value, _SCALARS):
                raise _NotNative
            return {name: value} | (self._closed(schema) if value == "object" and "properties" not in schema else {})
        if name == "enum" and all(isinstance(one, _SCALARS) for one in value) and value:
            return {name: value}
        if name in ("anyOf", "oneOf") and value:
            return {"anyOf": [self.part(one) for one in value]}
        if name == "$ref":
            return self._reference(value)
        if name == "items":
            return {name: self.part(value)}
        if name == "properties":
            return self._closed(schema)
        if name in ("required", "additionalProperties"):
            return {}
        raise _NotNative

    def _is_type(self, value: Any) -> bool:
        kinds = value if isinstance(value, list) else [value]
        if not kinds or "object" in kinds[1:] or (len(kinds) > 1 and kinds[0] == "object"):
            raise _NotNative
        return all(kind in _TYPES for kind in kinds)

    def _closed(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """An object without other members than those that are named; one that is made to have others is none."""
        properties = schema.get("properties") or {}
        others = schema.get("additionalProperties", True)
        if isinstance(others, Mapping) or (others is True and not properties):
            raise _NotNative
        made = {name: self.part(part) for name, part in properties.items()}
        required = [name for name in schema.get("required") or () if name in made]
        if len(required) < len(schema.get("required") or ()):
            raise _NotNative
        self._optional += len(made) - len(set(required))
        self._unions += sum("anyOf" in part or isinstance(part.get("type"), list) for part in made.values())
        return {"properties": made, "required": required, "additionalProperties": False}

    def _reference(self, reference: str) -> dict[str, Any]:
        place, _, name = reference.removeprefix("#/").partition("/")
        definitions = self._schema.get(place) if place in _PLACES else None
        if not isinstance(definitions, Mapping) or name not in definitions or name in self._open:
            raise _NotNative
        if name not in self._definitions:
            self._open.append(name)
            self._definitions[name] = self.part(definitions[name])
            self._open.pop()
        return {"$ref": f"#/$defs/{name}"}
