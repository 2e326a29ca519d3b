"""Reading a body strictly, JSON or a form, and validating it against the schema that also documents it."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from typing import Any, NoReturn

import falcon

from rom_core.errors import InvalidRequest, MalformedRequest, PayloadTooLarge, UnsupportedMediaType
from rom_core.http.multipart import is_form, read_form
from rom_core.json_schema import first_errors

# A long string of base64, as a data URI too; some programs escape its slashes and the ends of its lines.
_BASE64 = re.compile(rb'"(?:data:[^",]{0,400},)?[A-Za-z0-9+/=_\\-]{1000,}+"')
# Deeper than anything a route takes, and shallow enough for whatever walks through it afterwards.
MAX_DEPTH = 64
# Of a name that the client chose, in what is answered.
_SHOWN_CHARS = 100
# More digits than any number here has; Python itself refuses to read more than 4300 at once.
_MAX_DIGITS = 1000


def read_json(req: falcon.Request, max_bytes: int, *, with_attachments: int = 0) -> Any:
    """The body as JSON. It may have `with_attachments` bytes if what is not base64 in it has no more than `max_bytes`.

    Raises UnsupportedMediaType (for a compressed one too), PayloadTooLarge, or MalformedRequest: not UTF-8, not JSON,
    NaN or an infinity, a key twice in one object, a lone surrogate, or nested too deep.
    """
    kind = (req.content_type or "").partition(";")[0].strip().lower()
    if kind not in ("", "application/json"):
        raise UnsupportedMediaType(f"send application/json, not {kind[:_SHOWN_CHARS]}")
    raw = read_raw(req, max(max_bytes, with_attachments))
    if not raw:
        raise MalformedRequest("the body is empty; send a JSON object")
    if len(raw) > max_bytes:
        _check_rest(raw, max_bytes)
    if not kind:
        raise UnsupportedMediaType("the body has no Content-Type; send application/json")
    try:
        return parse_json(raw)
    except MalformedRequest:
        coding = req.get_header("Content-Encoding", default="identity")
        if coding.strip().lower() != "identity":
            raise UnsupportedMediaType(f"send the body as it is, without Content-Encoding {coding[:50]}") from None
        raise


def read_raw(req: falcon.Request, max_bytes: int) -> bytes:
    """The body as it came; its digest goes to `req.context.body_digest`. Raises PayloadTooLarge."""
    if (req.content_length or 0) > max_bytes:
        raise PayloadTooLarge(f"the body has {req.content_length} bytes; the limit is {max_bytes}")
    raw = req.bounded_stream.read(max_bytes + 1)
    if len(raw) > max_bytes:
        raise PayloadTooLarge(f"the body has more than {max_bytes} bytes, which is the limit")
    req.context.body_digest = hashlib.sha256(raw).digest()
    req.context.body_bytes = len(raw)
    return raw


def _check_rest(raw: bytes, max_bytes: int) -> None:
    """Raise PayloadTooLarge for what is not attachments: before it is parsed, which takes many times its memory."""
    rest = len(raw) - sum(match.end() - match.start() for match in _BASE64.finditer(raw))
    if rest > max_bytes:
        raise PayloadTooLarge(f"without attachments the body has {rest} bytes; the limit is {max_bytes}")


def parse_json(raw: bytes) -> Any:
    """Parse strictly; raises MalformedRequest with the reason."""
    try:
        value = json.loads(
            raw.decode("utf-8"),
            parse_constant=_refuse,
            parse_float=_finite,
            parse_int=_whole,
            object_pairs_hook=_unique,
        )
        if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH:
            _check_depth(value)
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


Contradictions = Callable[[Mapping[str, Any], Collection[str]], Iterable[tuple[str, str]]]


class BodySchema:
    """A JSON Schema (2020-12) that a body is validated against; the same object documents it.

    Beside the standard's keywords a schema may hold REFUSAL: the reason, for people, that is given when a value breaks
    it. `contradictions` finds what a schema cannot say: pairs of field and reason, given the members of the body that
    are sound by themselves, without those that are null, and the names of the members that are not. `files` names the
    member that the files of a form go to, each as `{"name", "media_type", "data": bytes}`; "" where no form is taken.
    """

    def __init__(
        self, schema: Mapping[str, Any], contradictions: Contradictions | None = None, *, files: str = ""
    ) -> None:
        self.schema = schema
        self.files = files
        self._contradictions = contradictions

    def read(self, req: falcon.Request, max_bytes: int, *, with_attachments: int = 0) -> dict[str, Any]:
        """The body, valid. Raises as `read_json`, `read_form` and `validate`."""
        if self.files and is_form(req):
            return self._read_form(req, max_bytes, max(max_bytes, with_attachments))
        body: dict[str, Any] = read_json(req, max_bytes, with_attachments=with_attachments)
        self.validate(body)
        return body

    def _read_form(self, req: falcon.Request, max_text_bytes: int, max_bytes: int) -> dict[str, Any]:
        form = read_form(req, max_text_bytes, max_bytes)
        body = {name: self._value(name, text) for name, text in form.fields.items()}
        if not form.files:
            self.validate(body)
            return body
        given = body.get(self.files, [])
        # Something that is no list is refused for that.
        entries = [{"name": file.name, "media_type": file.media_type, "data": ""} for file in form.files]
        self.validate({**body, self.files: [*given, *entries] if isinstance(given, list) else given})
        sent = ({**entry, "data": file.data} for entry, file in zip(entries, form.files, strict=True))
        return {**body, self.files: [*given, *sent]}

    def _value(self, name: str, text: str) -> Any:
        """What a text of a form stands for: itself where the member is one, else JSON if it is any."""
        if self.schema["properties"].get(name, {}).get("type") == "string":
            return text
        try:
            return parse_json(text.encode())
        except MalformedRequest as error:
            if text.lstrip()[:1] in ("{", "["):
                raise MalformedRequest(f"{name[:_SHOWN_CHARS]}: {error.detail}") from None
            return text

    def validate(self, value: Any) -> None:
        """Raise InvalidRequest naming the fields that are wrong, and why; all of them are in `errors` of the answer."""
        errors = first_errors(self._validator, value)
        problems: list[tuple[str, str]] = []
        if errors:
            first = _most_specific(errors)
            others = [error for error in errors if error is not first]
            problems = [problem for error in (first, *others) for problem in _explain(error)]
        if self._contradictions is not None and isinstance(value, dict):
            unsound = {path.partition(".")[0] for path, _ in problems}
            sound = {name: member for name, member in value.items() if name not in unsound and member is not None}
            problems += self._contradictions(sound, unsound)
        if problems:
            raise invalid(problems)

    @cached_property
    def _validator(self) -> Any:
        from jsonschema import Draft202012Validator
        from jsonschema.validators import extend

        checked = extend(Draft202012Validator, {"pattern": _pattern, "items": _items})  # type: ignore[no-untyped-call]
        return checked(self.schema)


REFUSAL = "x-refusal"
_MAX_PROBLEMS = 20


def invalid(problems: Sequence[tuple[str, str]]) -> InvalidRequest:
    """The error for wrong fields: pairs of a field's path ("" for the whole body) and what is wrong with it."""
    by_path = dict(reversed(problems))
    listed = [{"name": path, "message": by_path[path]} for path in dict.fromkeys(path for path, _ in problems)]
    path, reason = problems[0]
    more = " (and more)" if len(listed) > 1 else ""
    error = InvalidRequest(f"{path or 'body'}: {reason}{more}", param=path or None)
    error.members = {"errors": listed[:_MAX_PROBLEMS]}
    return error


def nullable(schema: Mapping[str, Any]) -> dict[str, Any]:
    """`schema`, which has a `type` or an `enum`, and null."""
    changed = dict(schema)
    if "type" in schema:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        changed["type"] = [*kinds, "null"]
    if "enum" in schema:
        changed["enum"] = [*schema["enum"], None]
    return changed


def _most_specific(errors: list[Any]) -> Any:
    """The error to name: the first, unless a field beside it gives its own reason, of which it is a consequence.

    An image part is refused for its type, not for the field `image_url` that comes with it; a message that calls tools,
    for that and not for its content, which is null then.
    """
    first = errors[0]
    beside = list(first.absolute_path)
    if first.validator == "type" and first.instance is None:
        beside = beside[:-1]
    elif first.validator not in ("additionalProperties", "required"):
        return first
    others = (error for error in errors[1:] if REFUSAL in error.schema)
    return next((error for error in others if list(error.absolute_path)[:-1] == beside), first)


def _explain(error: Any) -> Iterator[tuple[str, str]]:
    """The path of each field that is wrong, and the reason."""
    path = [str(part)[:_SHOWN_CHARS] for part in error.absolute_path]
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        for extra in sorted(set(error.instance) - set(known))[:_MAX_PROBLEMS]:
            yield ".".join([*path, extra[:_SHOWN_CHARS]]), f"unknown field; known: {', '.join(known)}"
    elif error.validator == "required":
        for missing in error.validator_value:
            if missing not in error.instance:
                yield ".".join([*path, missing]), "is required"
    else:
        yield ".".join(path), error.schema.get(REFUSAL) or _rule(error.validator, error.validator_value)


# What a value has to be, by the keyword that it breaks. The value is never shown: it may be long, and confidential.
_RULES = {
    "type": "must be of type {}",
    "enum": "must be one of {}",
    "pattern": "must match {}",
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "minLength": "must not be shorter than {} characters",
    "maxLength": "must not be longer than {} characters",
    "minItems": "must not have fewer than {} items",
    "maxItems": "must not have more than {} items",
}


def _rule(keyword: str, value: Any) -> str:
    """The rule of a schema as a sentence, its value as JSON."""
    values = value if isinstance(value, list) else [value]
    shown = ", ".join(json.dumps(item, ensure_ascii=False) for item in values)
    return _RULES.get(keyword, f"breaks the rule {keyword}: {{}}").format(shown)


def _pattern(_validator: Any, pattern: str, value: Any, _schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if isinstance(value, str) and not _compiled(pattern).search(value):
        yield ValidationError(f"must match {pattern}")


def _items(validator: Any, items: Any, value: Any, schema: Any) -> Iterator[Any]:
    """As the standard says, but what has too many is not looked through: 1 MiB of items costs a second."""
    if not isinstance(value, list) or len(value) <= schema.get("maxItems", len(value)):
        from jsonschema import Draft202012Validator

        yield from Draft202012Validator.VALIDATORS["items"](validator, items, value, schema)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    # Python's `$` would also match before a newline at the end; that of JSON Schema, which is ECMA 262's, does not.
    return re.compile(re.sub(r"\$$", r"\\Z", pattern))


def _check_depth(value: Any) -> None:
    """Raise RecursionError if objects and arrays stand in each other more than MAX_DEPTH deep."""
    inner, depth = [value], 0
    while inner := [item for item in inner if isinstance(item, dict | list)]:
        depth += 1
        if depth > MAX_DEPTH:
            raise RecursionError
        inner = [child for item in inner for child in (item.values() if isinstance(item, dict) else item)]


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:_SHOWN_CHARS]} is too large for a number")
    return value


def _whole(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"a number has more than {_MAX_DIGITS} digits")
    return int(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        twice = next(key for key, count in counts.items() if count > 1)
        raise ValueError(f"the key {twice[:_SHOWN_CHARS]!r} appears twice")
    return result
