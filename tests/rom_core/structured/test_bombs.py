"""Schemas that strangers make to hold a server up: what they cost is counted, before it is spent."""

from __future__ import annotations

from typing import Any

import pytest
from referencing import _core as referencing

from rom_core.errors import InvalidRequest
from rom_core.structured import checking, read_format
from rom_core.structured.checking import CannotCheck, Checker
from rom_core.structured.schema import MAX_ANCHORS, MAX_REFERENCE_CHARS
from rom_core.turn_values import ResponseFormat

FEW_STEPS = 3000
MANY = [0] * 2000
MEMBERS = {str(number): 1 for number in range(900)}


def asked(schema: Any) -> ResponseFormat:
    """The format of an answer by this schema."""
    wanted = read_format({"type": "json_schema", "json_schema": {"name": "a", "schema": schema}})
    assert wanted is not None
    return wanted


def repeated(part: Any, how: str = "allOf", doublings: int = 4) -> dict[str, Any]:
    """A schema that leads to `part` twice as often for each doubling."""
    parts = {"d0": part} | {f"d{n}": {how: [{"$ref": f"#/$defs/d{n - 1}"}] * 2} for n in range(1, doublings + 1)}
    return {"$defs": parts, "$ref": f"#/$defs/d{doublings}"}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        pytest.param(repeated({"const": "x" * 60_000}, "anyOf"), {}, id="quotes the schema"),
        pytest.param(repeated({"type": "integer"}, "anyOf"), "a" * 60_000, id="quotes the value"),
        pytest.param(repeated({"const": MANY}), MANY, id="const"),
        pytest.param(repeated({"enum": [MANY]}), MANY, id="enum"),
        pytest.param(repeated({"uniqueItems": True}), [MANY], id="uniqueItems"),
        pytest.param(repeated({"uniqueItems": True}), ["a" * 60_000], id="uniqueItems of long text"),
        pytest.param(repeated({"items": {}}), MANY, id="items"),
        pytest.param(repeated({"contains": {}, "minContains": 0}), MANY, id="contains"),
        pytest.param(repeated({"propertyNames": {}}), MEMBERS, id="propertyNames"),
        pytest.param(repeated({"additionalProperties": {}}), MEMBERS, id="additionalProperties"),
        pytest.param(repeated({"dependentRequired": {"a": [*MEMBERS]}}), {"a": 1, **MEMBERS}, id="dependentRequired"),
        pytest.param({"pattern": "(a|b|c){899}x"}, "a" * 10_000, id="a pattern that repeats"),
    ],
)
def test_what_a_keyword_looks_at_and_says_costs_steps(
    schema: dict[str, Any], value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A keyword that goes through a long value, or quotes one, costs more than one that does not."""
    wanted = asked(schema)
    monkeypatch.setattr(checking, "MAX_STEPS", FEW_STEPS)
    with pytest.raises(CannotCheck, match="costs too much"):
        wanted.problems(value)


def test_an_error_holds_little() -> None:
    """A whole anyOf keeps all errors in it at once: none keeps a long text, or the errors below it."""
    checker = Checker(repeated({"const": "x" * 60_000}, "anyOf"))
    checking._begin()
    (error,) = checker._validator.iter_errors({})
    assert len(error.message) <= 300
    assert not error.context


def test_looking_a_schema_through_costs_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The schema of schemas too has keywords whose cost grows faster than what they look at."""
    monkeypatch.setattr(checking, "MAX_STEPS", 300)
    with pytest.raises(InvalidRequest, match="too large to be looked through"):
        asked({"$schema": "http://json-schema.org/draft-04/schema#", "enum": ["a", *range(500)]})


def test_an_enumeration_of_mixed_values_is_looked_through_at_once() -> None:
    """jsonschema compares each of them with each other, which took minutes; draft 4 asks for unique ones."""
    schema = {"$schema": "http://json-schema.org/draft-04/schema#", "enum": ["a", *range(10_000)]}
    assert not asked(schema).problems(7)


def test_a_reference_is_looked_up_once_in_a_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the schema leads there: to find an anchor, all of the schema is looked through."""
    wanted = asked(repeated({"$ref": "#a"}, doublings=6) | {"not": {"$anchor": "a", "type": "string"}})
    looked_up: list[str] = []
    lookup = referencing.Resolver.lookup

    def counted(self: Any, ref: str) -> Any:
        looked_up.append(ref)
        return lookup(self, ref)

    monkeypatch.setattr(referencing.Resolver, "lookup", counted)
    assert wanted.problems(1)
    assert sorted(looked_up) == sorted({*looked_up})


def test_references_and_anchors_are_short_and_few() -> None:
    """What the first lookup of each costs is bounded too."""
    name = "n" * MAX_REFERENCE_CHARS
    with pytest.raises(InvalidRequest, match="characters"):
        asked({"$defs": {name: {}}, "$ref": f"#/$defs/{name}"})
    with pytest.raises(InvalidRequest, match="anchors"):
        asked({"anyOf": [{"$anchor": f"a{number}"} for number in range(MAX_ANCHORS + 1)]})
