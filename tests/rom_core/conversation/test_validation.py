"""botocore does not check what the normaliser answers for, so nothing may come out of it that botocore would refuse."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from conversation_support import arguments_shape, assert_accepted, user

from rom_core.conversation import NORMALISED, EmptyConversation, ModelCapabilities, normalise

MODEL = ModelCapabilities(max_tokens=4096, prompt_caching=True, alias="first", temperature_with_top_p=True)
# Values of kinds that JSON, Python or botocore tell apart, where another kind is wanted, and numbers out of bounds.
WRONG: tuple[Any, ...] = (
    *(None, 5, -1, 10**400, True, 0.5, float("nan"), Decimal("0.5"), "text", "", b"x", object()),
    *(["text"], ("text",), [], {}, {"text": "text"}, [b"x"], [None]),
)
RIGHT = {"boolean": True, "integer": 1, "float": 0.5, "blob": b"x", "string": "text"}
# Where a text has a form of its own, what botocore itself does not look at.
NAMED = {"S3Uri": "s3://bucket/key", "AccountId": "123456789012"}


def right(shape: Any) -> Any:
    """A value with every member, of a union the first."""
    if shape.type_name == "list":
        return [right(shape.member)]
    if shape.type_name != "structure":
        return NAMED.get(shape.name) or (shape.enum[0] if getattr(shape, "enum", None) else RIGHT[shape.type_name])
    if getattr(shape, "is_document_type", False):
        return {"type": "object"}
    members = list(shape.members.items())
    return {name: right(member) for name, member in (members[:1] if shape.is_tagged_union else members)}


def odd(shape: Any) -> Iterator[Any]:
    """Right values in which one thing is wrong or missing, for everything that can be; each member of a union once."""
    yield from WRONG
    if shape.type_name == "list":
        whole = right(shape.member)
        # Before the right one: of two tools that are called the same, only the first goes on.
        yield from ([value, whole] for value in odd(shape.member))
    elif shape.type_name == "structure" and not getattr(shape, "is_document_type", False):
        whole = {} if shape.is_tagged_union else right(shape)
        for name, member in shape.members.items():
            yield {**whole, name: right(member)}
            yield from ({**whole, name: value} for value in odd(member))
            if not shape.is_tagged_union:
                yield {other: value for other, value in whole.items() if other != name}
    else:
        yield from getattr(shape, "enum", ())


@pytest.mark.parametrize("argument", sorted(NORMALISED))
def test_whatever_is_wrong_with_an_argument_botocore_takes_what_comes_out(argument: str) -> None:
    """One thing wrong at a time, in everything that botocore describes, for a user's and an assistant's message."""
    shape = arguments_shape().members[argument]
    tried = 0
    for value in odd(shape):
        for role in ("user", "assistant") if argument == "messages" else ("",):
            messages: Any = [user("hi")]
            if argument == "messages":
                messages = [_said_by(role, message) for message in value] if isinstance(value, list) else value
            try:
                normalised = normalise({argument: value, "messages": messages}, model=MODEL)
            except EmptyConversation:
                continue
            assert_accepted(normalised)
            tried += 1
    assert tried >= len(WRONG) - 5


def _said_by(role: str, message: Any) -> Any:
    right_role = isinstance(message, dict) and message.get("role") in ("user", "assistant")
    return {**message, "role": role} if right_role else message
