"""Validation against a schema that a stranger wrote, at a cost that is bounded whatever the schema and the value are.

jsonschema does the work. What a stranger could make dear is taken from it: patterns are RE2's, whose time grows with
the text alone; nothing is fetched; every keyword costs a step, and a check that has used up its steps is given up.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, Final

MAX_STEPS: Final = 300_000
"""Keywords that one check may look at, the long ones counted by their members; about two seconds at the worst."""
MAX_PATTERN_CHARS: Final = 1000
_PATTERN_MEMORY: Final = 1 << 20
_MAX_PROBLEMS: Final = 5
_SHOWN_CHARS: Final = 300
# jsonschema looks for these with Python's own expressions, or walks through the schema uncounted.
REFUSED: Final = (
    *("patternProperties", "unevaluatedProperties", "unevaluatedItems"),
    *("$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor"),
)
_steps = threading.local()


class CannotCheck(Exception):
    """The check was given up: it costs too much, or the schema does not make sense where the value led it."""


class UnusablePattern(ValueError):
    """A `pattern` that RE2 does not take: look-around, back references, or too long."""


class Problem:
    """One place where a value breaks its schema.

    `rule` is the path of the rule in the schema, which holds nothing of the value; `text` says what is wrong, for the
    model, in at most 300 characters.
    """

    def __init__(self, error: Any) -> None:
        self.rule = "/".join(str(part) for part in error.absolute_schema_path)[:_SHOWN_CHARS]
        where = "/".join(str(part) for part in error.absolute_path)
        self.text = f"{where}: {error.message}"[:_SHOWN_CHARS]


class Checker:
    """A schema, ready to be checked against; thread-safe."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """`schema` has been looked through by `schema.read_format`."""
        from jsonschema.validators import validator_for
        from referencing import Registry

        kind = _bounded(validator_for(schema, default=_newest()))
        self._validator = kind(schema, registry=Registry())

    def problems(self, value: Any) -> list[Problem]:
        """Where the value breaks the schema, at most five places. Raises CannotCheck."""
        _steps.left = MAX_STEPS
        try:
            return [Problem(error) for error in islice(self._validator.iter_errors(value), _MAX_PROBLEMS)]
        except CannotCheck:
            raise
        except Exception as error:
            # A reference may lead to a place that is no schema; what jsonschema then raises is of any kind.
            raise CannotCheck(f"the schema cannot be followed: {type(error).__name__}") from error


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> Any:
    """The pattern, which means what it means in ECMA 262. Raises UnusablePattern."""
    import re2  # type: ignore[import-untyped]

    if len(pattern) > MAX_PATTERN_CHARS:
        raise UnusablePattern(f"longer than {MAX_PATTERN_CHARS} characters")
    options = re2.Options()
    options.max_mem = _PATTERN_MEMORY
    options.never_capture = True
    options.log_errors = False
    try:
        return re2.compile(_as_re2(pattern), options)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        raise UnusablePattern(reason.decode() if isinstance(reason, bytes) else str(reason)) from None


def _as_re2(pattern: str) -> str:
    """ECMA's escapes of four digits as RE2 writes them."""
    pieces, rest = [], pattern
    while "\\" in rest:
        before, _, rest = rest.partition("\\")
        if rest[:1] == "u" and len(rest) > 4 and all(digit in _HEX for digit in rest[1:5]):
            pieces += [before, f"\\x{{{rest[1:5]}}}"]
            rest = rest[5:]
        else:
            pieces += [before, "\\", rest[:1]]
            rest = rest[1:]
    return "".join([*pieces, rest])


_HEX: Final = frozenset("0123456789abcdefABCDEF")


def _newest() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator


@lru_cache
def _bounded(base: Any) -> Any:
    """The validator class with counted keywords, and with ours for those that are dear."""
    from jsonschema.validators import extend

    rules = {name: _counted(rule) for name, rule in base.VALIDATORS.items()}
    rules |= {"pattern": _pattern, "uniqueItems": _unique, **dict.fromkeys(REFUSED, _refuse)}
    rules["additionalProperties"] = _closed(rules["additionalProperties"])
    return extend(base, rules)  # type: ignore[no-untyped-call]


def _spend(steps: int) -> None:
    _steps.left -= steps
    if _steps.left < 0:
        raise CannotCheck("checking the answer against this schema costs too much")


def _counted(rule: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
    def check(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
        _spend(1 + len(value) if isinstance(value, (list, dict)) else 1)
        yield from rule(validator, value, instance, schema) or ()

    return check


def _closed(rule: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """additionalProperties, which looks for patternProperties by Python's own expressions."""

    def check(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
        if "patternProperties" in schema:
            raise CannotCheck("patternProperties is not supported")
        yield from rule(validator, value, instance, schema)

    return check


def _refuse(_validator: Any, _value: Any, _instance: Any, _schema: Any) -> Iterator[Any]:
    raise CannotCheck("the schema uses a keyword that is not supported")


def _pattern(_validator: Any, pattern: Any, instance: Any, _schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if not isinstance(instance, str):
        return
    _spend(1 + len(instance) * len(pattern) // 1000)
    if not compiled(pattern).search(instance):
        yield ValidationError(f"does not match {pattern}")


def _unique(_validator: Any, wanted: Any, instance: Any, _schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if not wanted or not isinstance(instance, list):
        return
    _spend(1 + len(instance))
    if len({_canonical(item) for item in instance}) < len(instance):
        yield ValidationError("has items that are equal")


def _canonical(value: Any) -> str:
    """The same text for equal values of JSON: 1 and 1.0 are, 1 and true are not."""
    return json.dumps(_numbers(value), sort_keys=True)


def _numbers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    return value
