"""The fields of an answer have one definition: what is answered, what is documented, and what other dialects show."""

from __future__ import annotations

from dataclasses import fields, replace

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


@pytest.mark.parametrize("stand_in", [False, True])
def test_an_answer_is_what_its_schema_says(stand_in: bool) -> None:
    """In the order of the fields; `stand_in` stands only where it is true."""
    answer = replace(RESULT, stand_in=stand_in).as_dict()
    jsonschema.validate(answer, CHAT_ANSWER)
    names = [one.name for one in fields(TurnResult)]
    assert list(answer) == (names if stand_in else names[:-1])
    assert set(CHAT_ANSWER["properties"]) == set(names)


def test_other_dialects_show_the_same_fields() -> None:
    """The `rom` object of a completion is part of our own answer, with the same schemas."""
    shown = COMPLETION["properties"]["rom"]
    assert tuple(shown["properties"]) == BESIDES
    assert all(shown["properties"][name] is CHAT_ANSWER["properties"][name] for name in BESIDES)
    assert "stand_in" not in shown["required"]
