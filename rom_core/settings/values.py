"""Values of settings: from text, checked against the declaration, and frozen.

Only the declared type decides how text is read. dynaconf's own reading is not used for text that comes from
outside the settings files: it takes `off` for a true string and lets `@read_file` and `@format` read files
and variables.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sized
from types import MappingProxyType
from typing import Any, NoReturn, Protocol, TypeAlias

from rom_core.settings.keys import NO_PART_OF_IT, wrapping_of

Kind: TypeAlias = type[Any]

BOOLEANS: Mapping[str, bool] = MappingProxyType(
    {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
)
MAX_DEPTH = 8
MAX_ELEMENTS = 1000
"""Of a list or a table: more than anybody configures, and few enough for every change to look at all of them."""
_INTEGER = re.compile(r"[+-]?[0-9]{1,40}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_SHOWN_CHARS = 60
_EXPECTED: Mapping[type[Any], str] = MappingProxyType(
    {
        bool: "true or false",
        int: "a whole number",
        float: "a finite number",
        str: "text",
        list: "a list",
        dict: "a table (in text: a JSON object)",
    }
)


class Typed(Protocol):
    """What of a declaration decides which values it takes; see `Setting`."""

    @property
    def type(self) -> Kind:
        """One of bool, int, float, str, list, dict."""

    @property
    def item(self) -> Kind | None:
        """Of a list: the type of its elements, None for any."""

    @property
    def minimum(self) -> float | None:
        """Of a number, or of each number of a list."""

    @property
    def maximum(self) -> float | None:
        """As the minimum."""

    @property
    def choices(self) -> tuple[Any, ...] | None:
        """The only values allowed, or elements of a list."""

    @property
    def secret(self) -> bool:
        """Whether the value is never shown."""


class InvalidValue(ValueError):
    """The value does not fit the setting; the text says why, without the value if the setting is a secret."""


def parse_value(setting: Typed, text: str) -> Any:
    """The value that `text` stands for, read by the declared type alone, checked and frozen.

    bool: true/false, yes/no, on/off, 1/0 in any case. int, float: decimal digits, finite. str: as it is.
    list: a JSON array, or elements separated by commas. dict: a JSON object. Raises InvalidValue.
    """
    return check_value(setting, _parse(setting, setting.type, text))


def check_value(setting: Typed, value: Any) -> Any:
    """`value`, frozen, if it has the declared type (an int will do for a float), range and choices.

    Raises InvalidValue.
    """
    if setting.type is not list:
        return _check_scalar(setting, setting.type, value)
    if not isinstance(value, list | tuple):
        _refuse(setting, f"must be {_EXPECTED[list]}", value)
    _check_length(value)
    return tuple(
        freeze(element) if setting.item is None else _check_scalar(setting, setting.item, element, f"element {n}: ")
        for n, element in enumerate(value, start=1)
    )


def given_value(setting: Typed, value: Any) -> Any:
    """`value` as JSON or a form carries it, read by the declared type alone, checked and frozen.

    Text is read by `parse_value`, any other JSON value must have the type itself. Raises InvalidValue.
    """
    return parse_value(setting, value) if isinstance(value, str) else check_value(setting, value)


def freeze(value: Any, depth: int = 0) -> Any:
    """`value` with lists as tuples and tables as read-only mappings, all the way down.

    Raises InvalidValue on anything that JSON cannot hold, on more than MAX_DEPTH levels, and on a list or table of more
    than MAX_ELEMENTS.
    """
    if depth > MAX_DEPTH:
        raise InvalidValue(f"is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        _check_length(value)
        if not all(isinstance(key, str) for key in value):
            raise InvalidValue("has a key that is not text")
        return MappingProxyType({key: freeze(inner, depth + 1) for key, inner in value.items()})
    if isinstance(value, list | tuple):
        _check_length(value)
        return tuple(freeze(inner, depth + 1) for inner in value)
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidValue("holds a number that is not finite")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise InvalidValue(f"holds a {type(value).__name__}, which no setting can hold")


def thaw(value: Any) -> Any:
    """The opposite of `freeze`: fresh lists and dicts, ready for JSON."""
    if isinstance(value, Mapping):
        return {key: thaw(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [thaw(inner) for inner in value]
    return value


def shown(value: Any) -> str:
    """`value` for a message, cut to a length that a person reads."""
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python writes
        text = f"a very large {type(value).__name__}"
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…"


def _check_length(value: Sized) -> None:
    if len(value) > MAX_ELEMENTS:
        raise InvalidValue(f"has a list or table of {len(value)} elements; {MAX_ELEMENTS} is the most")


def _check_scalar(setting: Typed, kind: Kind, value: Any, where: str = "") -> Any:
    if kind is float and type(value) is int:
        value = _as_float(setting, value, where)
    fits = isinstance(value, Mapping) if kind is dict else type(value) is kind
    if not fits or (kind is float and not math.isfinite(value)):
        _refuse(setting, f"{where}must be {_EXPECTED[kind]}", value)
    if setting.secret and kind is str and value.strip() and (wrapping := wrapping_of(value)) is not None:
        _refuse(setting, f"{where}has {wrapping}, {NO_PART_OF_IT}", value)
    if setting.minimum is not None and value < setting.minimum:
        _refuse(setting, f"{where}must be at least {setting.minimum:g}", value)
    if setting.maximum is not None and value > setting.maximum:
        _refuse(setting, f"{where}must be at most {setting.maximum:g}", value)
    if setting.choices is not None and value not in setting.choices:
        _refuse(setting, f"{where}must be one of {', '.join(map(str, setting.choices))}", value)
    return freeze(value)


def _as_float(setting: Typed, value: int, where: str = "") -> float:
    try:
        return float(value)
    except OverflowError:
        _refuse(setting, f"{where}must be {_EXPECTED[float]}", value)


def _parse(setting: Typed, kind: Kind, text: str) -> Any:
    stripped = text.strip()
    if kind is str:
        return text
    if kind is bool and stripped.lower() in BOOLEANS:
        return BOOLEANS[stripped.lower()]
    if kind is int and _INTEGER.fullmatch(stripped):
        return int(stripped)
    if kind is float and _NUMBER.fullmatch(stripped):
        return float(stripped)
    if kind is dict:
        return _parse_json(setting, kind, stripped)
    if kind is list:
        return _parse_list(setting, stripped)
    return _refuse(setting, f"must be {_EXPECTED[kind]}", text)


def _parse_list(setting: Typed, text: str) -> list[Any]:
    if not text:
        return []
    if text.startswith("["):
        array: list[Any] = _parse_json(setting, list, text)
        return array
    if setting.item in (dict, None):
        _refuse(setting, "must be a JSON array", text)
    elements = [element.strip() for element in text.split(",")]
    _check_length(elements)
    if not all(elements):
        _refuse(setting, "has an empty element between its commas", text)
    return [_parse(setting, setting.item, element) for element in elements]


def _parse_json(setting: Typed, kind: Kind, text: str) -> Any:
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        _refuse(setting, "must be a JSON object" if kind is dict else "must be a JSON array", text)
    if type(value) is not kind:
        _refuse(setting, f"must be {_EXPECTED[kind]}", text)
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _refuse(setting: Typed, message: str, value: Any) -> NoReturn:
    if setting.secret:
        raise InvalidValue(message) from None
    raise InvalidValue(f"{message}, not {shown(value)}") from None
