"""What a client may ask an answer to be, and that no schema costs more to check than is bounded."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rom_core.errors import InvalidRequest
from rom_core.structured import read_format
from rom_core.structured.checking import CannotCheck, compiled
from rom_core.turn_values import ResponseFormat

ANYTHING_ELSE: list[Any] = [[], "a", None, 1]
DOUBLING = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)} | {"d40": {}}


def asked(schema: Any, **more: Any) -> ResponseFormat:
    """The format of an answer by this schema."""
    wanted = read_format({"type": "json_schema", "json_schema": {"name": "a", "schema": schema, **more}})
    assert wanted is not None
    return wanted


def broken(schema: Any, value: Any) -> list[str]:
    """The rules that the value breaks."""
    return [problem.rule for problem in asked(schema).problems(value)]


def test_text_is_no_form() -> None:
    """Neither nothing nor `text` asks for one."""
    assert read_format(None) is None
    assert read_format({"type": "text"}) is None


def test_any_object_is_one() -> None:
    """json_object: an object, and nothing else that is JSON."""
    wanted = read_format({"type": "json_object"})
    assert wanted is not None
    assert not wanted.problems({"a": [1]})
    assert [wanted.problems(value) != [] for value in ANYTHING_ELSE] == [True] * 4


def test_a_schema_is_needed() -> None:
    """For json_schema."""
    with pytest.raises(InvalidRequest, match="json_schema"):
        read_format({"type": "json_schema"})


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "objekt"}, "no valid JSON Schema"),
        ({"properties": {"a": {"minimum": "1"}}}, "no valid JSON Schema: properties/a/minimum"),
        ({"$ref": "https://example.org/schema"}, "leads out of the schema"),
        ({"items": {"$ref": "other.json#/a"}}, "leads out of the schema"),
        ({"$ref": "#/$defs/missing"}, "leads nowhere"),
        ({"properties": {"a": {"$id": "b"}}}, "$id"),
        ({"pattern": "(?=a)b"}, "a pattern cannot be used"),
        ({"pattern": "(a)\\1"}, "a pattern cannot be used"),
        ({"pattern": "(x{0,1000}){0,1000}"}, "a pattern cannot be used"),
        ({"pattern": "a" * 1001}, "longer than 1000"),
        ({"patternProperties": {"(a+)+$": {}}}, "patternProperties is not supported"),
        ({"$dynamicRef": "#a"}, "$dynamicRef is not supported"),
        ({"$schema": "http://json-schema.org/draft-03/schema#"}, "draft 3"),
        ({"properties": {f"a{n}": {} for n in range(1001)}}, "more than 1000 schemas"),
        (json.loads('{"items":' * 30 + "{}" + "}" * 30), "deep in one another"),
        ({"description": "a" * 70_000}, "the limit is 65536"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused(schema: Any, words: str) -> None:
    """With the reason, and the field in `param`, before any model is asked."""
    with pytest.raises(InvalidRequest) as caught:
        asked(schema)
    assert words in caught.value.detail
    assert caught.value.param == "response_format.json_schema.schema"


def test_words_of_a_schema_are_no_keywords_where_they_are_names() -> None:
    """A property may be called `$ref` or `pattern`, and an example may hold anything."""
    assert asked({"properties": {"$ref": {}, "pattern": {}}, "examples": [{"$ref": "http://a"}], "const": {"$id": "a"}})


@pytest.mark.parametrize(
    ("schema", "value", "rules"),
    [
        ({"pattern": "^[A-Z]{2}$"}, "SP\n", ["pattern"]),
        ({"pattern": "^[\\u00e1]\\/$"}, "á/", []),
        ({"uniqueItems": True}, [1, 1.0], ["uniqueItems"]),
        ({"uniqueItems": True}, [{"a": 1, "b": 2}, {"b": 2, "a": 1.0}], ["uniqueItems"]),
        ({"uniqueItems": True}, [1, True, "1", None, 0, False], []),
        ({"additionalProperties": False, "properties": {"a": {}}}, {"b": 1}, ["additionalProperties"]),
        ({"$defs": {"a": {"type": "string"}}, "items": {"$ref": "#/$defs/a"}}, ["a", 1], ["items/type"]),
        (
            {"type": "object", "properties": {"a": {"$ref": "#"}}},
            {"a": {"a": 1}},
            ["properties/a/properties/a/type"],
        ),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]}, [1], ["items/0/type"]),
        ({"type": "integer"}, 1.0, []),
    ],
)
def test_values_are_checked_as_the_standard_says(schema: Any, value: Any, rules: list[str]) -> None:
    """With our own pattern and uniqueItems too; `$` is the end of the text, and escapes are ECMA's."""
    assert broken(schema, value) == rules


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"$ref": "#"}, 1),
        ({"allOf": [{"$ref": "#"}, {"$ref": "#"}]}, 1),
        ({"$ref": "#/$defs/d0", "$defs": DOUBLING}, "a"),
        ({"$ref": "#/x-a", "x-a": {"$ref": "http://127.0.0.1:9/a"}}, 1),
        ({"$ref": "#/x-a", "x-a": {"additionalProperties": False, "patternProperties": {"(a+)+$": {}}}}, {"a": 1}),
        ({"allOf": [{"pattern": "^(a|b|c)+$"}] * 900}, "a" * 100_000),
        ({"items": {"enum": [f"v{n}" for n in range(5000)]}}, ["v4999"] * 100),
    ],
    ids=["itself", "twice itself", "doubling", "hidden remote", "hidden pattern", "many patterns", "long enum"],
)
def test_a_check_that_costs_too_much_is_given_up(schema: Any, value: Any) -> None:
    """However it is made dear: nothing is fetched, and no check runs on and on."""
    with pytest.raises(CannotCheck):
        asked(schema).problems(value)


def test_a_catastrophic_pattern_is_cheap() -> None:
    """RE2's time grows with the text alone: what takes other machines years is done at once."""
    assert broken({"pattern": "(a+)+$"}, "a" * 200_000 + "b") == ["pattern"]


def test_no_more_problems_are_told_than_help() -> None:
    """Five, each of at most 300 characters, however many places are wrong."""
    problems = asked({"items": {"type": "string"}}).problems([{"a": "x" * 1000}] * 100)
    assert len(problems) == 5
    assert all(len(problem.text) <= 300 for problem in problems)


@given(pattern=st.text(st.sampled_from("a1\\u0041/(){}[]+*?^$|x"), max_size=12))
@settings(max_examples=300, deadline=None)
def test_any_pattern_is_compiled_or_refused(pattern: str) -> None:
    """And nothing else happens."""
    try:
        compiled(pattern).search("a1/")
    except ValueError:
        return
