"""What was said goes out only with LOG_CONTENT, in the shapes of the conventions, and in production never."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support import Toolkit, asks, says, tool
from telemetry_seen import Seen

from plugins.request_log import RequestLog
from plugins.telemetry.content import MAX_CHARS, wants_content

SECRET = "o réu confessou"


def run(seen: Seen, answer: str = SECRET, **settings: Any) -> Any:
    """A turn with a tool, in which the secret is everywhere."""
    kit = Toolkit(tool(run=lambda *_: {"found": SECRET}))
    return seen.run(
        asks(("look", {"q": SECRET}), text="vou ver"),
        says(answer),
        plugins={"request_log": RequestLog(), "kit": kit},
        request={"message": SECRET, "system": "Seja breve."},
        **settings,
    )


def test_nothing_that_was_said_leaves_without_log_content(seen: Seen) -> None:
    """Neither question, answer, system prompt, nor a tool's input and output."""
    run(seen)
    told = "".join(span.to_json() for span in seen.spans)
    assert len(seen.spans) == 4
    for text in (SECRET, SECRET.encode("unicode_escape").decode(), "You answer.", "Seja breve", "the tool look"):
        assert text not in told


def test_with_log_content_it_is_there_in_the_shapes_of_the_conventions(seen: Seen) -> None:
    """Messages with parts, system instructions, definitions of tools, arguments and result."""
    run(seen, LOG_CONTENT=True)
    calls = [span.attributes or {} for span in seen.spans if span.name.startswith("chat")]
    last = {
        name: json.loads(str(value))
        for name, value in calls[1].items()
        if name
        in ("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.tool.definitions")
    }
    assert last == {
        "gen_ai.system_instructions": [
            {"type": "text", "content": "You answer."},
            {"type": "text", "content": "Seja breve."},
        ],
        "gen_ai.tool.definitions": [{"type": "function", "name": "look", "description": "the tool look"}],
        "gen_ai.input.messages": [
            {"role": "user", "parts": [{"type": "text", "content": SECRET}]},
            {
                "role": "assistant",
                "parts": [
                    {"type": "text", "content": "vou ver"},
                    {"type": "tool_call", "id": "t1", "name": "look", "arguments": {"q": SECRET}},
                ],
            },
            {
                "role": "user",
                "parts": [{"type": "tool_call_response", "id": "t1", "response": [{"json": {"found": SECRET}}]}],
            },
        ],
        "gen_ai.output.messages": [
            {"role": "assistant", "parts": [{"type": "text", "content": SECRET}], "finish_reason": "end_turn"}
        ],
    }
    ran = seen.span("execute_tool").attributes or {}
    assert json.loads(str(ran["gen_ai.tool.call.arguments"])) == {"q": SECRET}
    assert json.loads(str(ran["gen_ai.tool.call.result"])) == [{"json": {"found": SECRET}}]


def test_long_texts_are_cut(seen: Seen) -> None:
    """A span is no archive."""
    run(seen, answer="x" * (2 * MAX_CHARS), LOG_CONTENT=True)
    calls = [span.attributes or {} for span in seen.spans if span.name.startswith("chat")]
    assert len(str(calls[1]["gen_ai.output.messages"])) < MAX_CHARS + 200


@pytest.mark.parametrize(("environment", "wanted"), [("staging", True), ("production", False)])
def test_in_production_it_never_leaves(environment: str, wanted: bool) -> None:
    """Whatever a snapshot says: the rule of the request log refuses it there, and this does not rest on it."""

    class Settings:
        LOG_CONTENT = True

    class Turn:
        settings: Any = Settings()

    Turn.settings.environment = environment
    turn: Any = Turn()
    assert wants_content(turn) is wanted
