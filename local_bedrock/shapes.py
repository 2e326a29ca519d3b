"""Checks of a JSON value against botocore's own description of a Bedrock operation, compiled once per process.

botocore's client-side validation leaves maxima, patterns, enums and number formats to the service. This is the
service's side: unknown members, types, required members, minima and maxima, patterns, enums, unions, and text that is
not Unicode.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple


class Problem(NamedTuple):
    """One violated constraint; `malformed` where the value has the wrong JSON type and cannot be read at all."""

    text: str
    malformed: bool = False


Check = Callable[[Any, str, list[Problem]], None]

_JSON_NAMES = {
    bool: "TRUE_VALUE",
    int: "NUMBER_VALUE",
    float: "DECIMAL_VALUE",
    str: "STRING_VALUE",
    list: "START_ARRAY",
    dict: "START_OBJECT",
}


@cache
def operation_check(operation: str) -> Check:
    """The check of the body of an operation of bedrock-runtime ("Converse", "ConverseStream").

    Raises botocore's OperationNotFoundError for another name.
    """
    return _Compiler().body(_service_model().operation_model(operation).input_shape)


@cache
def model_id_pattern() -> re.Pattern[str]:
    """What a model id, profile id or ARN looks like at all."""
    shape = _service_model().operation_model("Converse").input_shape.members["modelId"]
    return re.compile(shape.metadata["pattern"])


@cache
def _service_model() -> Any:
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    return ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"), "bedrock-runtime")


class _Compiler:
    def __init__(self) -> None:
        self._made: dict[str, Check] = {}

    def check(self, shape: Any) -> Check:
        if shape.name not in self._made:
            kind = "document" if getattr(shape, "is_document_type", False) else shape.type_name
            self._made[shape.name] = getattr(self, f"_{kind}")(shape)
        return self._made[shape.name]

    def body(self, shape: Any) -> Check:
        """The members that do not travel in the path, the query or a header."""
        return self._structure(shape)

    def _structure(self, shape: Any) -> Check:
        members = {
            name: self.check(member) for name, member in shape.members.items() if "location" not in member.serialization
        }
        required = [name for name in shape.required_members if name in members]
        union = bool(getattr(shape, "is_tagged_union", False))

        def check(value: Any, path: str, problems: list[Problem]) -> None:
            if not isinstance(value, dict):
                problems.append(_malformed(value, path, "an Object"))
                return
            prefix = f"{path}." if path else ""
            present = 0
            for name, member in value.items():
                if name not in members:
                    problems.append(_extraneous(name, path))
                elif member is not None:
                    present += 1
                    members[name](member, prefix + name, problems)
            problems.extend(
                Problem(f"Value null at '{prefix}{name}' failed to satisfy constraint: Member must not be null")
                for name in required
                if value.get(name) is None
            )
            if union and present != 1:
                problems.append(
                    Problem(
                        f"Value at '{path}' failed to satisfy constraint: "
                        f"Exactly one member of [{', '.join(members)}] must be set, found {present}"
                    )
                )

        return check

    def _list(self, shape: Any) -> Check:
        item, length = self.check(shape.member), _length(shape)

        def check(value: Any, path: str, problems: list[Problem]) -> None:
            if not isinstance(value, list):
                problems.append(_malformed(value, path, "a List"))
                return
            length(value, path, problems)
            for number, member in enumerate(value, 1):
                item(member, f"{path}.{number}.member", problems)

        return check

    def _map(self, shape: Any) -> Check:
        key_check, value_check, length = self.check(shape.key), self.check(shape.value), _length(shape)

        def check(value: Any, path: str, problems: list[Problem]) -> None:
            if not isinstance(value, dict):
                problems.append(_malformed(value, path, "a Map"))
                return
            length(value, path, problems)
            for key, member in value.items():
                key_check(key, f"{path}.key", problems)
                value_check(member, f"{path}.{key}", problems)

        return check

    def _string(self, shape: Any) -> Check:
        length, enum = _length(shape), list(shape.enum)
        pattern = shape.metadata.get("pattern")
        matches = re.compile(pattern).fullmatch if pattern else None

        def check(value: Any, path: str, problems: list[Problem]) -> None:
            if not isinstance(value, str):
                problems.append(_malformed(value, path, "a String"))
                return
            _unicode(value, path, problems)
            length(value, path, problems)
            if enum and value not in enum:
                problems.append(_violated(value, path, f"satisfy enum value set: [{', '.join(enum)}]"))
            elif matches and not matches(value):
                problems.append(_violated(value, path, f"satisfy regular expression pattern: {pattern}"))

        return check

    def _integer(self, shape: Any) -> Check:
        in_range = _range(shape)

        def check(value: Any, path: str, problems: list[Problem]) -> None:
            if isinstance(value, bool) or not isinstance(value, int):
                problems.append(_malformed(value, path, "an Integer"))
            else:
                in_range(value, path, problems)

        return check

    _long = _integer

    def _float(self, shape: Any) -> Check:
        in_range = _range(shape)

        def check(value: Any, path: str, problems: list[Problem]) -> None:
            # REST-JSON writes the numbers that JSON cannot express as these strings
            if value in ("NaN", "Infinity", "-Infinity"):
                value = math.nan if value == "NaN" else math.copysign(math.inf, 1 if value[0] == "I" else -1)
            if isinstance(value, bool) or not isinstance(value, int | float):
                problems.append(_malformed(value, path, "a Float"))
            elif math.isnan(value):
                problems.append(_violated(value, path, "be a number"))
            else:
                in_range(value, path, problems)

        return check

    _double = _float

    def _boolean(self, _shape: Any) -> Check:
        def check(value: Any, path: str, problems: list[Problem]) -> None:
            if not isinstance(value, bool):
                problems.append(_malformed(value, path, "a Boolean"))

        return check

    def _blob(self, shape: Any) -> Check:
        length = _length(shape)

        def check(value: Any, path: str, problems: list[Problem]) -> None:
            try:
                raw = base64.b64decode(value, validate=True) if isinstance(value, str) else None
            except (binascii.Error, ValueError):
                raw = None
            if raw is None:
                problems.append(_malformed(value, path, "a Blob"))
            else:
                length(raw, path, problems)

        return check

    def _document(self, _shape: Any) -> Check:
        return _document


def _document(value: Any, path: str, problems: list[Problem]) -> None:
    """Any JSON; what is looked for is what JSON cannot carry: numbers without a value and broken text."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            _unicode(item, path, problems)
        elif isinstance(item, dict):
            pending += item.keys()
            pending += item.values()
        elif isinstance(item, list | tuple):
            pending += item
        elif isinstance(item, float) and not math.isfinite(item):
            problems.append(Problem(f"Value {item} at '{path}' is not a JSON number", malformed=True))


def _unicode(value: str, path: str, problems: list[Problem]) -> None:
    if value.isascii():
        return
    try:
        value.encode()
    except UnicodeEncodeError:
        problems.append(Problem(f"Value at '{path}' is not valid Unicode: it holds a lone surrogate", malformed=True))


def _length(shape: Any) -> Check:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")

    def check(value: Any, path: str, problems: list[Problem]) -> None:
        if low is not None and len(value) < low:
            problems.append(_violated(value, path, f"have length greater than or equal to {low}"))
        if high is not None and len(value) > high:
            problems.append(_violated(value, path, f"have length less than or equal to {high}"))

    return check


def _range(shape: Any) -> Check:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")

    def check(value: Any, path: str, problems: list[Problem]) -> None:
        if low is not None and value < low:
            problems.append(_violated(value, path, f"have value greater than or equal to {low}"))
        if high is not None and value > high:
            problems.append(_violated(value, path, f"have value less than or equal to {high}"))

    return check


def _extraneous(name: str, path: str) -> Problem:
    where = path.replace(".", "/")
    return Problem(f"Malformed input request: #/{where}: extraneous key [{_shown(name)}] is not permitted")


def _violated(value: Any, path: str, must: str) -> Problem:
    return Problem(f"Value '{_shown(value)}' at '{path}' failed to satisfy constraint: Member must {must}")


def _malformed(value: Any, path: str, wanted: str) -> Problem:
    found = _JSON_NAMES.get(type(value), "NULL")
    return Problem(f"{found} at '{path}' can not be converted to {wanted}", malformed=True)


def _shown(value: str | bytes | float | Sequence[Any]) -> str:
    text = str(value).encode("utf-8", "replace").decode()
    return text if len(text) <= 80 else text[:77] + "..."
