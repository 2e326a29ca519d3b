"""How the deterministic model streams its answers and its tool uses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from local_tools_support import CASE, CONFIG


def input_pieces(events: list[dict[str, Any]]) -> list[str]:
    """The pieces of streamed tool input."""
    deltas = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
    return [delta["toolUse"]["input"] for delta in deltas]


def test_stream_has_the_events_of_bedrock(client: Any) -> None:
    """Text comes in words without a block start; metadata comes last, after messageStop."""
    events = client.stream("[[say=um dois]]")
    assert [next(iter(event)) for event in events] == [
        "messageStart",
        "contentBlockDelta",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
    ]
    assert [event["contentBlockDelta"]["delta"]["text"] for event in events[1:3]] == ["um ", "dois"]
    assert events[-1]["metadata"]["usage"]["totalTokens"] > 0
    assert events[-1]["metadata"]["metrics"]["latencyMs"] >= 0


def test_streamed_tool_use_comes_in_pieces(client: Any) -> None:
    """A reasoning block, then a tool use whose input is JSON in several pieces, the first of them empty."""
    events = client.stream(f"E o {CASE}? [[reasoning]]", toolConfig=CONFIG)
    starts = [event["contentBlockStart"] for event in events if "contentBlockStart" in event]
    deltas = [event["contentBlockDelta"] for event in events if "contentBlockDelta" in event]
    reasoning = [delta["delta"]["reasoningContent"] for delta in deltas if delta["contentBlockIndex"] == 0]
    pieces = [delta["delta"]["toolUse"]["input"] for delta in deltas if delta["contentBlockIndex"] == 1]
    assert [start["contentBlockIndex"] for start in starts] == [1]
    assert reasoning[0]["text"]
    assert reasoning[-1]["signature"]
    assert pieces[0] == ""
    assert len(pieces) > 2
    assert json.loads("".join(pieces)) == {"numero": CASE}


def test_streamed_and_whole_answers_agree(client: Any) -> None:
    """The text of the stream is the text of the one-body answer, and so are usage and stop reason."""
    whole, events = client.converse("Olá, [[reasoning]] modelo"), client.stream("Olá, [[reasoning]] modelo")
    text = "".join(
        event["contentBlockDelta"]["delta"].get("text", "") for event in events if "contentBlockDelta" in event
    )
    assert whole["output"]["message"]["content"][1]["text"] == text
    assert events[-1]["metadata"]["usage"] == whole["usage"]
    assert events[-2]["messageStop"]["stopReason"] == whole["stopReason"]


def test_empty_input_is_streamed_as_nothing(client: Any) -> None:
    """A tool use without arguments has only an empty piece, as on Bedrock."""
    events = client.stream("[[tool=t]] [[input={}]]", toolConfig=CONFIG)
    pieces = input_pieces(events)
    assert pieces == [""]


@pytest.mark.parametrize(("order", "stop"), [("", "max_tokens"), ("[[stop=tool_use]]", "tool_use")])
def test_tool_use_can_end_in_the_middle(client: Any, order: str, stop: str) -> None:
    """A cut tool use has broken JSON, with the stop reason max_tokens or the one ordered."""
    events = client.stream(f'[[tool=t]] [[input={{"a": "bcdef"}}]] [[cut_tool_use]] {order}', toolConfig=CONFIG)
    pieces = input_pieces(events)
    with pytest.raises(json.JSONDecodeError):
        json.loads("".join(pieces))
    assert events[-2]["messageStop"]["stopReason"] == stop


def test_token_limit_cuts_a_tool_use(client: Any) -> None:
    """maxTokens in the middle of the arguments leaves broken JSON and says max_tokens."""
    events = client.stream(f"E o {CASE}?", toolConfig=CONFIG, inferenceConfig={"maxTokens": 6})
    assert events[-2]["messageStop"]["stopReason"] == "max_tokens"
    assert any("contentBlockStart" in event for event in events)
