"""Validation against a schema that a stranger wrote, at a cost that is bounded whatever the schema and the value are.

jsonschema does the work. What a stranger could make dear is taken from it: patterns are RE2's; nothing is fetched;
every keyword costs steps by what it looks at and by what it says, and a check that has used up its steps is given up.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, Final

MAX_STEPS: Final = 300_000
"""What one check may look at: a keyword, a member of it or of the value, 100 characters; some seconds at the worst."""
MAX_PATTERN_CHARS: Final = 1000
_PATTERN_MEMORY: Final = 1 << 20
# jsonschema makes an error of about 2 KB, and holds those of a whole anyOf at once.
_ERROR_STEPS: Final = 10
_CHARS_A_STEP: Final = 100
# What RE2 does in the time of a step, at the worst: characters, times instructions of the pattern.
_MATCHING_A_STEP: Final = 600
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

    `rule` is the path of the rule in the schema, which holds nothing of the value, and `keyword` its keyword; `where`
    is the path in the value; `text` says what is wrong, for the model, in at most 300 characters.
    """

    def __init__(self, error: Any) -> None:
        self.rule = "/".join(str(part) for part in error.absolute_schema_path)[:_SHOWN_CHARS]
        self.keyword: str = error.validator
        self.where = "/".join(str(part) for part in error.absolute_path)
        self.text = f"{self.where}: {error.message}"[:_SHOWN_CHARS]


class Checker:
    """A schema, ready to be checked against; thread-safe."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """`schema` has been looked through by `schema.read_format`."""
        from jsonschema.validators import validator_for
        from referencing import Registry

        kind = _bounded(validator_for(schema, default=_newest()), REFUSED)
        self._validator = kind(schema, registry=Registry())

    def problems(self, value: Any) -> list[Problem]:
        """Where the value breaks the schema, at most five places. Raises CannotCheck."""
        _begin()
        try:
            return [Problem(error) for error in islice(self._validator.iter_errors(value), _MAX_PROBLEMS)]
        except CannotCheck:
            raise
        except Exception as error:
            # A reference may lead to a place that is no schema; what jsonschema then raises is of any kind.
            raise CannotCheck(f"the schema cannot be followed: {type(error).__name__}") from error


def schema_problem(schema: Mapping[str, Any], kind: Any) -> Problem | None:
    """Why `schema` is none of this class of validators; None if it is one. Raises CannotCheck."""
    from jsonschema.validators import validator_for

    meta = kind.META_SCHEMA
    _begin()
    error = next(_bounded(validator_for(meta, default=kind), ())(meta).iter_errors(schema), None)
    return None if error is None else Problem(error)


@lru_cache(maxsize=128)
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
def _bounded(base: Any, refused: tuple[str, ...]) -> Any:
    """The validator class with counted keywords, and with ours for those that are dear."""
    from jsonschema.validators import extend

    rules = dict(base.VALIDATORS) | {"pattern": _pattern, "uniqueItems": _unique, "$ref": _reference}
    rules |= dict.fromkeys(refused, _refuse)
    if refused:
        rules["additionalProperties"] = _closed(rules["additionalProperties"])
    return extend(base, {name: _counted(name, rule) for name, rule in rules.items()})  # type: ignore[no-untyped-call]


def _begin() -> None:
    _steps.left = MAX_STEPS
    _steps.resolved = {}


def _spend(steps: int) -> None:
    _steps.left -= steps
    if _steps.left < 0:
        raise CannotCheck("checking the answer against this schema costs too much")


def _counted(name: str, rule: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
    def check(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
        _spend(1)
        if isinstance(instance, (list, dict)):
            _spend(len(instance))
            if name in _COMPARING:
                _spend_all(value)
        if isinstance(value, (list, dict)):
            _spend(len(value))
        if name in _OF_LISTS and isinstance(value, dict):
            _spend(sum(len(one) for one in value.values() if isinstance(one, list)))
        for error in rule(validator, value, instance, schema) or ():
            _spend(_ERROR_STEPS + len(error.message) // _CHARS_A_STEP)
            error.message = error.message[:_SHOWN_CHARS]
            error.context = []
            yield error

    return check


# These compare values to the bottom, and these hold lists by name.
_COMPARING: Final = ("const", "enum")
_OF_LISTS: Final = ("dependentRequired", "dependencies")


def _spend_all(value: Any) -> None:
    """Everything in the value, which is about to be gone through."""
    pending = [value]
    while pending:
        part = pending.pop()
        if isinstance(part, str):
            _spend(len(part) // _CHARS_A_STEP)
        elif isinstance(part, (list, dict)):
            _spend(len(part))
            pending += part
            if isinstance(part, dict):
                pending += part.values()


def _reference(validator: Any, reference: Any, instance: Any, _schema: Any) -> Iterator[Any]:
    """$ref, looked up once in a check. The schema has one base URI, so that a reference always means the same."""
    base, known = validator._resolver._base_uri, _steps.resolved
    if (base, reference) not in known:
        known[base, reference] = validator._resolver.lookup(reference)
    resolved = known[base, reference]
    yield from validator.descend(instance, resolved.contents, resolver=resolved.resolver)


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
    expression = compiled(pattern)
    _spend(len(instance) * expression.programsize // _MATCHING_A_STEP)
    if not expression.search(instance):
        yield ValidationError(f"does not match {pattern}")


def _unique(_validator: Any, wanted: Any, instance: Any, _schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if not wanted or not isinstance(instance, list):
        return
    _spend_all(instance)
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
