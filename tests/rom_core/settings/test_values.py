"""Values: what text means for a declared type, and what is refused."""

from __future__ import annotations

import json
import math
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rom_core.settings import InvalidValue, Setting, parse_value, thaw
from rom_core.settings.values import MAX_DEPTH, check_value, freeze


def setting(kind: type[Any], default: Any = None, **more: Any) -> Setting:
    """A setting of that type with a default that fits."""
    fitting = {bool: False, int: 0, float: 0.0, str: "", list: (), dict: {}}
    return Setting("X", kind, fitting[kind] if default is None else default, "Help.", **more)


@pytest.mark.parametrize(
    ("kind", "more", "text", "expected"),
    [
        *((bool, {}, text, True) for text in ("true", "TRUE", "yes", "On", "1", " true\n")),
        *((bool, {}, text, False) for text in ("false", "False", "no", "OFF", "0")),
        (int, {}, "12", 12),
        (int, {}, " -3 ", -3),
        (int, {}, "007", 7),
        (float, {}, "1e3", 1000.0),
        (float, {}, ".5", 0.5),
        (float, {}, "2", 2.0),
        (float, {}, "-2.", -2.0),
        (str, {}, " as it is ", " as it is "),
        (str, {}, "@read_file /etc/hostname", "@read_file /etc/hostname"),
        (list, {"item": str}, "a, b,c", ("a", "b", "c")),
        (list, {"item": str}, '["a,b", "c"]', ("a,b", "c")),
        (list, {"item": str}, "", ()),
        (list, {"item": int}, "1,2", (1, 2)),
        (list, {"item": float}, "[1, 2.5]", (1.0, 2.5)),
        (list, {"item": bool}, "on,off", (True, False)),
        (list, {}, '[1, "a", [null]]', (1, "a", (None,))),
        (dict, {}, '{"a": {"b": [1]}}', {"a": {"b": (1,)}}),
    ],
)
def test_text_is_read_by_the_declared_type(kind: type[Any], more: dict[str, Any], text: str, expected: Any) -> None:
    """The same text is another value for another type, and of exactly that type."""
    value = parse_value(setting(kind, **more), text)
    assert value == expected
    assert type(value) is type(expected) or kind is dict


@pytest.mark.parametrize(
    ("kind", "more", "text"),
    [
        *((bool, {}, text) for text in ("", "2", "t", "enabled", "null", "truee")),
        *((int, {}, text) for text in ("", "1.0", "1e3", "1_000", "0x10", "١", "true", "1 2", "9" * 41)),
        *((float, {}, text) for text in ("", "nan", "inf", "-Infinity", "1e999", "1_0.0", ".", "1,5", "٣.0")),
        *((list, {"item": str}, text) for text in ("a,,b", ",", "[a]", '["a"', "[1]")),
        (list, {"item": int}, "1,x"),
        (list, {"item": int}, "[1.0]"),
        (list, {"item": float}, "[NaN]"),
        (list, {"item": float}, "[1e999]"),
        (list, {"item": dict}, "a,b"),
        (list, {"item": dict}, "[1]"),
        (list, {}, "a,b"),
        (list, {}, "[" * 100_000),
        (list, {}, "[" * 20 + "]" * 20),
        (dict, {}, ""),
        (dict, {}, "[]"),
        (dict, {}, '{"a": Infinity}'),
        (dict, {}, '{"a": 1e999}'),
        (dict, {}, "a=1"),
        (int, {"minimum": 1, "default": 1}, "0"),
        (int, {"maximum": 5}, "6"),
        (float, {"minimum": 0.5, "default": 1.0}, "0.4"),
        (list, {"item": float, "minimum": 0}, "1,-1"),
        (str, {"choices": ("a", "b"), "default": "a"}, "c"),
        (list, {"item": str, "choices": ("a", "b")}, "a,c"),
    ],
)
def test_text_that_does_not_fit_is_refused(kind: type[Any], more: dict[str, Any], text: str) -> None:
    """Nothing is guessed: text that is not clearly a value of the type, in range and of the choices, is refused."""
    with pytest.raises(InvalidValue):
        parse_value(setting(kind, **more), text)


@pytest.mark.parametrize(
    ("kind", "more", "value"),
    [
        (int, {}, True),
        (int, {}, 1.0),
        (float, {}, True),
        (float, {}, "1"),
        (float, {}, 10**400),
        (bool, {}, 1),
        (str, {}, None),
        (list, {}, "a"),
        (list, {}, {"a"}),
        (list, {"item": int}, [True]),
        (dict, {}, {1: "a"}),
        (dict, {}, {"a": object()}),
        (dict, {}, [("a", 1)]),
    ],
)
def test_value_of_another_type_is_refused(kind: type[Any], more: dict[str, Any], value: Any) -> None:
    """A bool is no number, a whole float is no int, and nothing that JSON cannot hold is a value."""
    with pytest.raises(InvalidValue):
        check_value(setting(kind, **more), value)


def test_an_int_will_do_for_a_float() -> None:
    """120 in a file is 120.0 where seconds are a float."""
    assert type(check_value(setting(float), 120)) is float


def test_message_is_short_and_says_what_fits() -> None:
    """A long value is cut; the limits and choices are told."""
    with pytest.raises(InvalidValue) as caught:
        parse_value(setting(int), "x" * 1000)
    assert len(str(caught.value)) < 120
    with pytest.raises(InvalidValue, match="must be one of a, b, not"):
        parse_value(setting(str, "a", choices=("a", "b")), "c")
    with pytest.raises(InvalidValue, match=r"at least 0\.5, not 0\.1"):
        parse_value(setting(float, 1.0, minimum=0.5), "0.1")


@given(st.sampled_from([int, float, bool, list, dict]), st.text(min_size=1))
def test_message_about_a_secret_never_holds_it(kind: type[Any], text: str) -> None:
    """Whatever the secret's type, what was written for it stays out of the refusal."""
    marked = f"hush{text}"
    with pytest.raises(InvalidValue) as caught:
        parse_value(setting(kind, secret=True), marked)
    assert "hush" not in str(caught.value)
    assert caught.value.__suppress_context__


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), _JSON, max_size=3).filter(lambda value: _depth(value) < MAX_DEPTH))
def test_table_written_as_json_comes_back(value: dict[str, Any]) -> None:
    """For every JSON object: text to frozen value to plain value is the identity."""
    assert thaw(parse_value(setting(dict), json.dumps(value))) == value


@given(st.integers(-(10**39), 10**39), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.text())
def test_scalar_written_as_text_comes_back(whole: int, real: float, flag: bool, text: str) -> None:
    """For every number, flag and text: writing and parsing is the identity."""
    assert parse_value(setting(int), str(whole)) == whole
    assert parse_value(setting(float), repr(real)) == real
    assert parse_value(setting(bool), str(flag)) is flag
    assert parse_value(setting(str), text) == text


@given(
    st.sampled_from([bool, int, float, str, list, dict]),
    st.sampled_from([None, str, int, float, bool, dict]),
    st.text(),
)
def test_any_text_is_a_value_of_the_type_or_refused(kind: type[Any], item: type[Any] | None, text: str) -> None:
    """parse_value ends in a frozen value of the declared type or in InvalidValue, never in another error."""
    declared = setting(kind, item=item if kind is list else None)
    try:
        value = parse_value(declared, text)
    except InvalidValue:
        return
    frozen: dict[type[Any], type[Any]] = {list: tuple, dict: MappingProxyType}
    assert type(value) is frozen.get(kind, kind)
    assert check_value(declared, value) == value
    assert not isinstance(value, float) or math.isfinite(value)


def test_freeze_bounds_the_depth() -> None:
    """MAX_DEPTH levels are frozen, one more is refused."""
    value: Any = 1
    for _ in range(MAX_DEPTH):
        value = [value]
    assert freeze(value)
    with pytest.raises(InvalidValue, match="nested deeper"):
        freeze([value])


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)
