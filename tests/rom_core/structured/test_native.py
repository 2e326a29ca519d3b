"""A schema as structured outputs take it: what can be said there is, and what cannot is asked for in another way."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_bedrock.capabilities import check_schema
from rom_core.structured.native import native_schema

SCALARS = st.sampled_from(
    [
        {"type": "string"},
        {"type": "integer", "minimum": 1},
        {"type": ["string", "null"], "maxLength": 5},
        {"type": "string", "format": "date"},
        {"type": "string", "format": "phone"},
        {"enum": ["a", 1, None]},
        {"const": 1},
        {"$ref": "#/$defs/one"},
        {"$ref": "#/$defs/two", "description": "the second"},
        {"enum": [{}]},
        {},
        True,
    ]
)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Schemas with others in them."""
    members = st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    objects = st.builds(
        lambda properties, required, closed: {
            "type": "object",
            "properties": properties,
            "required": [name for name in required if name in properties],
            **({} if closed is None else {"additionalProperties": closed}),
        },
        members,
        st.sets(st.sampled_from("abc")),
        st.sampled_from([None, False, True, {"type": "string"}]),
    )
    arrays = st.builds(
        lambda items, least: {"type": "array", "items": items, "minItems": least}, inner, st.integers(0, 2)
    )
    choices = st.builds(
        lambda name, ones: {name: ones},
        st.sampled_from(["anyOf", "oneOf", "allOf"]),
        st.lists(inner, min_size=1, max_size=2),
    )
    return objects | arrays | choices


PARTS = st.recursive(SCALARS, containers, max_leaves=12)
SCHEMAS = st.builds(
    lambda properties, one, two, optional: {
        "type": "object",
        "properties": properties,
        "required": [] if optional else list(properties),
        "$defs": {"one": one, "two": two},
    },
    st.dictionaries(st.text("abcdefgh", min_size=1, max_size=2), PARTS, min_size=1, max_size=30),
    PARTS,
    PARTS,
    st.booleans(),
)


@given(schema=SCHEMAS)
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_comes_out_is_taken(schema: dict[str, Any]) -> None:
    """By the rules of structured outputs, and by those of JSON Schema."""
    text = native_schema(schema)
    if text is not None:
        assert list(check_schema(text)) == []
        jsonschema.Draft202012Validator.check_schema(json.loads(text))


def test_objects_are_closed_and_constraints_become_words() -> None:
    """A model sees what it is held to; what satisfies the result satisfies the schema, constraints aside."""
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Prazo",
        "type": "object",
        "properties": {
            "dias": {"type": "integer", "minimum": 1, "description": "dias úteis"},
            "uf": {"type": "string", "pattern": "^[A-Z]{2}$"},
            "partes": {"type": "array", "items": {"allOf": [{"$ref": "#/definitions/parte"}]}, "minItems": 1},
        },
        "required": ["dias"],
        "definitions": {"parte": {"type": "object", "properties": {"nome": {"type": "string"}}, "required": ["nome"]}},
    }
    made = json.loads(native_schema(schema) or "null")
    assert made == {
        "title": "Prazo",
        "type": "object",
        "properties": {
            "dias": {"type": "integer", "description": 'dias úteis {"minimum": 1}'},
            "uf": {"type": "string", "description": '{"pattern": "^[A-Z]{2}$"}'},
            "partes": {"type": "array", "items": {"$ref": "#/$defs/parte"}, "minItems": 1},
        },
        "required": ["dias"],
        "additionalProperties": False,
        "$defs": {
            "parte": {
                "type": "object",
                "properties": {"nome": {"type": "string"}},
                "required": ["nome"],
                "additionalProperties": False,
            }
        },
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array"},
        {"type": "object"},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "object", "properties": {"a": {"type": "object"}}},
        {"type": "object", "properties": {"a": {"$ref": "#"}}},
        {
            "type": "object",
            "properties": {"a": {"$ref": "#/$defs/a"}},
            "$defs": {"a": {"items": {"$ref": "#/$defs/a"}}},
        },
        {"type": "object", "properties": {"a": {"not": {}}}},
        {"type": "object", "properties": {"a": {"enum": [[1]]}}},
        {"type": "object", "properties": {f"a{n}": {"type": "string"} for n in range(25)}},
        {"type": "object", "properties": {}, "required": ["a"], "additionalProperties": False},
    ],
    ids=[
        "no object",
        "any object",
        "a map",
        "an open one",
        "itself",
        "a circle",
        "not",
        "enum",
        "optional",
        "impossible",
    ],
)
def test_what_cannot_be_said_is_asked_for_otherwise(schema: dict[str, Any]) -> None:
    """Closing an object that is made to be open would change what was asked for."""
    assert native_schema(schema) is None
