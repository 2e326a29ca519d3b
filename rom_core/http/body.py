"""Reading a JSON body strictly, and validating it against the schema that also documents it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any, NoReturn

import falcon

from rom_core.errors import InvalidRequest, MalformedRequest, PayloadTooLarge, UnsupportedMediaType


def read_json(req: falcon.Request, max_bytes: int) -> Any:
    """The body as JSON.

    Raises UnsupportedMediaType, PayloadTooLarge, or MalformedRequest: not UTF-8, not JSON, NaN or an infinity, a key
    twice in one object, a lone surrogate, or nested too deep.
    """
    kind = (req.content_type or "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise UnsupportedMediaType(f"send application/json, not {kind}")
    if (req.content_length or 0) > max_bytes:
        raise PayloadTooLarge(f"the body has {req.content_length} bytes; the limit is {max_bytes}")
    raw = req.bounded_stream.read(max_bytes + 1)
    if len(raw) > max_bytes:
        raise PayloadTooLarge(f"the body has more than {max_bytes} bytes, which is the limit")
    if not raw:
        raise MalformedRequest("the body is empty; send a JSON object")
    return parse_json(raw)


def parse_json(raw: bytes) -> Any:
    """Parse strictly; raises MalformedRequest with the reason."""
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_unique)
        if b"\\u" in raw:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise MalformedRequest("a string holds half of a surrogate pair") from None
    except UnicodeDecodeError as error:
        raise MalformedRequest(f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
    except RecursionError:
        raise MalformedRequest("the JSON is nested too deep") from None
    except ValueError as error:
        raise MalformedRequest(f"the body is not JSON: {error}") from None
    return value


class BodySchema:
    """A JSON Schema (2020-12) that a body is validated against; the same object documents it."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema = schema

    def validate(self, value: Any) -> None:
        """Raise InvalidRequest naming the first field that is wrong, and why."""
        errors = sorted(self._validator.iter_errors(value), key=lambda error: list(map(str, error.absolute_path)))
        if errors:
            path = ".".join(str(part) for part in errors[0].absolute_path)
            more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
            raise InvalidRequest(f"{path or 'body'}: {errors[0].message[:500]}{more}", param=path or None)

    @cached_property
    def _validator(self) -> Any:
        from jsonschema import Draft202012Validator

        return Draft202012Validator(self.schema)


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large for a number")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r} appears twice")
    return result
