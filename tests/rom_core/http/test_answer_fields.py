"""The fields of an answer have one definition: what is answered, what is documented, and what other dialects show."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import jsonschema
import pytest

from rom_core.http.routes.chat import CHAT_ANSWER
from rom_core.http.routes.openai_shapes import BESIDES, COMPLETION
from rom_core.turn_values import TurnResult, Usage

RESULT = TurnResult(
    id="chat-1",
    conversation_id="conv-1",
    reply="sim",
    stop_reason="end_turn",
    model="anthropic.first",
    degraded=False,
    iterations=1,
    tool_calls=({"id": "t1", "name": "look", "status": "success", "duration_ms": 1},),
    usage=Usage(1, 2, 3, 4),
    trace_id="t",
    request_id="r",
)


OPTIONAL: dict[str, Any] = {
    "compacted": True,
    "stand_in": True,
    "structured": "native",
    "thinking": "hm",
    "citations": (
        {
            "document": 0,
            "name": "a.txt",
            "range": {"start": 0, "end": 2},
            "quote": "um",
            "reply": {"start": 0, "end": 3},
        },
    ),
    "warnings": ({"code": "hidden_text", "attachment": "a.pdf", "text": "Há texto oculto."},),
    "ignored": ("temperature",),
    "tool_uses": ({"id": "t2", "name": "weather", "input": {}},),
    "pending_results": ({"id": "t1", "name": "look", "input": {}, "content": [{"text": "x"}], "status": "success"},),
}


@pytest.mark.parametrize("name", [None, *OPTIONAL])
def test_an_answer_is_what_its_schema_says(name: str | None) -> None:
    """In the order of the fields; those with a default stand only where they say something."""
    given = {name: OPTIONAL[name]} if name else {}
    answer = replace(RESULT, **given).as_dict()
    jsonschema.validate(answer, CHAT_ANSWER)
    names = [one.name for one in fields(TurnResult)]
    assert list(answer) == [one for one in names if one not in OPTIONAL or one == name]
    assert set(CHAT_ANSWER["properties"]) == set(names)


def test_other_dialects_show_the_same_fields() -> None:
    """The `rom` object of a completion is part of our own answer, with the same schemas."""
    shown = COMPLETION["properties"]["rom"]
    assert tuple(shown["properties"]) == BESIDES
    assert all(shown["properties"][name] is CHAT_ANSWER["properties"][name] for name in BESIDES)
    assert OPTIONAL.keys().isdisjoint(shown["required"])
