"""The table of models: what an entry must say, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rom_core.settings import CORE_SETTINGS, InvalidSettings, Model, load_settings
from rom_core.settings.models import build_models

ENTRY: dict[str, Any] = {
    "alias": "a",
    "id": "global.a-v1:0",
    "max_tokens": 100,
    "prompt_caching": False,
    "price_input": 3,
    "price_output": 15.0,
}


def test_entry_becomes_a_model() -> None:
    """Prices are floats whatever was written, what is left out has its default."""
    models, problems = build_models([ENTRY, ENTRY | {"alias": "b", "end_of_life": True, "price_cache_read": 1}])
    assert not problems
    assert models["a"] == Model("a", "global.a-v1:0", 100, False, 3.0, 15.0)
    assert type(models["a"].price_input) is float
    assert (models["b"].end_of_life, models["b"].price_cache_read) == (True, 1.0)
    assert (models["a"].sampling, build_models([ENTRY | {"sampling": False}])[0]["a"].sampling) == (True, False)
    assert list(models) == ["a", "b"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alias": " "}, "entry 1 ( ): alias must be non-blank text, not ' '"),
        ({"id": 5}, "entry 1 (a): id must be non-blank text, not 5"),
        ({"max_tokens": 0}, "entry 1 (a): max_tokens must be a whole number of at least 1, not 0"),
        ({"max_tokens": True}, "entry 1 (a): max_tokens must be a whole number of at least 1, not True"),
        ({"prompt_caching": 1}, "entry 1 (a): prompt_caching must be true or false, not 1"),
        ({"price_input": -1}, "entry 1 (a): price_input must be a number from 0 to 1000000, not -1"),
        ({"price_input": "3"}, "entry 1 (a): price_input must be a number from 0 to 1000000, not '3'"),
        ({"price_inputs": 3}, "entry 1 (a): unknown field price_inputs; did you mean price_input?"),
        ({"zzz": 3}, "entry 1 (a): unknown field zzz"),
        ({"thinking": "deep"}, "entry 1 (a): thinking must be one of none, budget, adaptive, always, not 'deep'"),
        ({"context_tokens": 0}, "entry 1 (a): context_tokens must be a whole number of at least 1, not 0"),
    ],
)
def test_wrong_field_is_named(changes: dict[str, Any], message: str) -> None:
    """A field that is wrong or unknown is named with its entry."""
    models, problems = build_models([ENTRY | changes])
    assert [problem.message for problem in problems] == [message]
    assert not models


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 16**5000], ids=["nan", "inf", "huge"])
def test_price_is_a_sane_number(value: float) -> None:
    """No number without an end, and none too long to be written, is a price."""
    assert len(build_models([ENTRY | {"price_output": value}])[1]) == 1


@pytest.mark.parametrize("field", list(ENTRY))
def test_required_field_must_be_there(field: str) -> None:
    """Alias, id, limits, capabilities and the two prices have no default."""
    entry = {key: value for key, value in ENTRY.items() if key != field}
    assert [problem.message.split(": ")[1] for problem in build_models([entry])[1]] == [f"{field} is missing"]


@pytest.mark.parametrize("alias", [".", "..", "../x", "acme/./claude"])
def test_an_alias_can_stand_in_a_path(alias: str) -> None:
    """Every model that is listed is found under its id, also by clients that tidy their paths."""
    models, problems = build_models([ENTRY | {"alias": alias}])
    assert not models
    assert [problem.message.partition(": ")[2] for problem in problems] == [
        "the alias has a part that no path can have: `.` or `..`"
    ]


def test_alias_is_unique() -> None:
    """A second entry under the same alias is a problem, not a replacement."""
    models, problems = build_models([ENTRY, ENTRY | {"id": "other"}])
    assert models["a"].id == "global.a-v1:0"
    assert [problem.message for problem in problems] == ["entry 2 (a): the alias is taken by an earlier entry"]


def test_problems_of_the_table_are_settings_problems(tmp_path: Path) -> None:
    """A wrong table stops the load with every wrong entry."""
    table = json.dumps([ENTRY | {"id": ""}, ENTRY | {"max_tokens": "many"}])
    with pytest.raises(InvalidSettings) as caught:
        load_settings(CORE_SETTINGS, root=tmp_path, environ={"MODELS": table})
    assert [(problem.name, problem.message[:9]) for problem in caught.value.problems] == [
        ("MODELS", "entry 1 ("),
        ("MODELS", "entry 2 ("),
    ]


BAND: dict[str, Any] = {"above_input_tokens": 1000, "price_input": 6, "price_output": 30}


def test_a_long_prompt_has_its_bands_price() -> None:
    """From one token more than the band's edge on; of several bands the longest that applies."""
    bands = [BAND, BAND | {"above_input_tokens": 2000, "price_input": 9}]
    models, problems = build_models([ENTRY | {"price_bands": bands}])
    assert not problems
    assert [models["a"].prices(tokens).price_input for tokens in (0, 1000, 1001, 2000, 2001)] == [3, 3, 6, 6, 9]
    assert models["a"].prices(5).price_output == 15.0


@pytest.mark.parametrize(
    ("bands", "message"),
    [
        ("x", "price_bands must be a list of tables, not 'x'"),
        ([5], "price_bands must be a list of tables, not [5]"),
        ([{"price_input": 1, "price_output": 1}], "price_bands 1: above_input_tokens is missing"),
        ([BAND | {"price_output": -1}], "price_bands 1: price_output must be a number from 0 to 1000000, not -1"),
        ([BAND | {"above": 1}], "price_bands 1: unknown field above"),
        ([BAND, BAND], "price_bands 2: above_input_tokens must be more than 1000, that of the band before it"),
    ],
)
def test_a_wrong_band_is_named(bands: Any, message: str) -> None:
    """With its number."""
    models, problems = build_models([ENTRY | {"price_bands": bands}])
    assert [problem.message for problem in problems] == [f"entry 1 (a): {message}"]
    assert not models


def test_a_band_gives_each_price_that_its_row_gives() -> None:
    """A price of caching that was forgotten would be free."""
    problems = build_models([ENTRY | {"price_cache_read": 0.3, "price_bands": [BAND]}])[1]
    assert [problem.message for problem in problems] == ["entry 1 (a): price_bands 1: price_cache_read is missing"]
