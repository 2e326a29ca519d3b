"""Texts, names and JSON documents made safe for the wire.

botocore lets lone surrogates and NaN through (the latter as invalid JSON) and refuses Decimal and tuple, so every
value goes through here. A value that is already safe comes back as the same object.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping
from datetime import date, time
from decimal import Decimal
from enum import Enum
from math import isfinite
from typing import Any, Final

from rom_core.conversation.model import TOO_DEEP
from rom_core.unicode import encodable, is_encodable

MAX_DEPTH: Final = 64
"""How many containers of a document may be nested; what is deeper becomes text."""
_MAX_INTEGER_BITS: Final = 1024  # Python itself refuses to print much larger ones
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NOT_NAME: Final = re.compile(r"[^a-zA-Z0-9_-]")


def is_text(value: Any) -> bool:
    """Whether `value` is a str that can be sent as it is: not blank, no surrogates."""
    return type(value) is str and value != "" and not value.isspace() and (value.isascii() or is_encodable(value))


def clean_text(value: Any) -> str:
    """`value` as text; surrogate pairs become the character they stand for, lone ones U+FFFD. May be blank."""
    text = value if isinstance(value, str) else "" if value is None else _as_str(value)
    text = encodable(text)
    return text if type(text) is str else str.__str__(text)


def is_name(value: Any) -> bool:
    """Whether `value` is usable as a tool name and as a toolUseId: [a-zA-Z0-9_-]{1,64}."""
    return type(value) is str and _NAME.fullmatch(value) is not None


def clean_name(value: Any, default: str) -> str:
    """`value` with the characters that a name may not have replaced, cut to 64; `default` if nothing is left."""
    if is_name(value):
        return str(value)
    return _NOT_NAME.sub("_", clean_text(value))[:64] or default


def document(value: Any) -> Any:
    """`value` as JSON can carry it; the same object if it already is.

    NaN and infinities become None, Decimal a number, tuples and sets lists, dataclasses objects, dates ISO 8601, other
    objects their text, keys strings; deeper than MAX_DEPTH or circular, text.
    """
    return value if _is_document(value) else _document(value, MAX_DEPTH, set())


def json_object(value: Any) -> dict[str, Any]:
    """`value` as a JSON object: what is none is wrapped as `{"value": ...}`."""
    cleaned: dict[str, Any] = document(value if isinstance(value, Mapping) else {"value": value})
    return cleaned


def render(value: Any) -> str:
    """A document as JSON text."""
    return json.dumps(document(value), ensure_ascii=False)


def sequence(value: Any) -> Iterable[Any]:
    """`value` if it is a list or tuple, nothing for None, else `value` as the only member."""
    if isinstance(value, (list, tuple)):
        return value
    return () if value is None else (value,)


def _is_document(value: Any) -> bool:
    kind = type(value)
    return _is_safe(value, MAX_DEPTH - 1) if kind is dict or kind is list else _is_safe([value], 0)


def _is_safe(container: dict[Any, Any] | list[Any], depth: int) -> bool:
    """Whether the container can be sent as it is, with at most `depth` levels of containers in it."""
    # PERF: one call for each container and none for each scalar; this walks every document before every request.
    items: Iterable[Any] = container
    if type(container) is dict:
        for key in container:
            if type(key) is not str or not (key.isascii() or is_encodable(key)):
                return False
        items = container.values()
    for item in items:
        kind = type(item)
        if kind is str:
            if not (item.isascii() or is_encodable(item)):
                return False
        elif kind is dict or kind is list:
            if not depth or not _is_safe(item, depth - 1):
                return False
        elif kind is int:
            if item.bit_length() > _MAX_INTEGER_BITS:
                return False
        elif kind is float:
            if not isfinite(item):
                return False
        elif item is not None and kind is not bool:
            return False
    return True


def _document(value: Any, depth: int, path: set[int]) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    if not isinstance(value, (Mapping, list, tuple, set, frozenset)):
        return _scalar(value)
    if not depth or id(value) in path:
        return _as_json_text(value)
    path.add(id(value))
    try:
        if isinstance(value, Mapping):
            return {_key(key): _document(item, depth - 1, path) for key, item in value.items()}
        items = [_document(item, depth - 1, path) for item in value]
        # A set has no order of its own, and one that changes from process to process defeats prompt caching.
        return sorted(items, key=render) if isinstance(value, (set, frozenset)) else items
    finally:
        path.discard(id(value))


def _scalar(value: Any) -> Any:
    if isinstance(value, Enum):
        return document(value.value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if value.bit_length() <= _MAX_INTEGER_BITS else hex(value)
    if isinstance(value, float):
        return float(value) if isfinite(value) else None
    if isinstance(value, Decimal):
        if not value.is_finite():
            return None
        number = float(value)
        return str(value) if not isfinite(number) else int(value) if number == value == int(number) else number
    if isinstance(value, (bytes, bytearray)):
        return value.decode("utf-8", "replace")
    if isinstance(value, (date, time)):
        return value.isoformat()
    return clean_text(value)


def _key(key: Any) -> str:
    return clean_text(json.dumps(key) if key is None or isinstance(key, bool) else key)


def _as_json_text(value: Any) -> str:
    try:
        return clean_text(json.dumps(value, ensure_ascii=False, skipkeys=True, default=_as_str))
    except (ValueError, RecursionError):
        return TOO_DEEP


def _as_str(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - the object is a tool's or a plugin's, and so is its __str__
        return f"<{type(value).__name__}>"
