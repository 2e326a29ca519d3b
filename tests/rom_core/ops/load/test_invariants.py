"""What may never happen is found in an answer, and a turn that fails and says so is none of it."""

from __future__ import annotations

import random
from typing import Any

import pytest

from rom_core.ops.load.invariants import ALTERED, DOUBLED, NO_END, TOOL_TWICE, TRUNCATED, TWO_ENDS, Received, violations
from rom_core.ops.load.plays import PASTED_CHARACTERS, TEAM, Play, play, text_of

TEXT = text_of("a", 60)
PLAY = Play("draft", {"stream": True}, TEXT, tool_calls=2)


def received(text: str = TEXT, *, streamed: str | None = None, **more: Any) -> Received:
    """A turn that ended with `text`; `streamed` is what its deltas said, if it is not the same."""
    answer = {"reply": text, "stop_reason": more.pop("stop_reason", "end_turn"), "tool_calls": more.pop("listed", [])}
    values: dict[str, Any] = {"text": text if streamed is None else streamed, "ends": 1, "answer": answer}
    return Received(streamed=True, began=True, **(values | more))


@pytest.mark.parametrize(
    ("what", "found"),
    [
        (received(), []),
        (received(TEXT[:100]), [TRUNCATED]),
        (received(""), [TRUNCATED]),
        (received(TEXT + TEXT), [DOUBLED]),
        (received(TEXT[:200] + TEXT), [DOUBLED]),
        (received(TEXT.replace("a.2", "b")), [ALTERED]),
        (received(streamed=TEXT[:-5]), [TRUNCATED]),
        (received(streamed=TEXT[:50] + TEXT), [DOUBLED]),
        (received(TEXT[:100], stop_reason="max_tokens"), []),
        (received(calls=["1", "2"], results=["1", "2"]), []),
        (received(calls=["1", "1"]), [TOOL_TWICE]),
        (received(calls=["1", "2", "3"]), [TOOL_TWICE]),
        (received(listed=[{"id": "1"}, {"id": "1"}]), [TOOL_TWICE]),
        (received(ends=2), [TWO_ENDS]),
        (Received(streamed=True, began=True, text="o"), [NO_END]),
        (Received(streamed=True, began=True, text="o", left=True), []),
        (Received(streamed=True, began=True, text="o", ends=1), []),
        (Received(streamed=True), []),
    ],
)
def test_each_kind_is_found(what: Received, found: list[str]) -> None:
    """Whole, truncated, doubled, altered, a tool twice, no end and two; a failure that says so is nothing."""
    assert violations(PLAY, what) == found


def test_an_unknown_answer_is_checked_for_what_shows() -> None:
    """Of a real model: an empty answer, and one that begins anew within itself."""
    unknown = Play("draft", {"stream": True})
    assert violations(unknown, received("   ")) == [TRUNCATED]
    assert violations(unknown, received(TEXT * 3)) == [DOUBLED]
    assert violations(unknown, received(TEXT)) == []


def test_every_kind_of_turn_is_played() -> None:
    """All kinds of the profile come; a pasted text has 30,000 characters; no message is like another."""
    draw = random.Random(1)
    plays = [play(draw, f"n{number}") for number in range(400)]
    assert {one.kind for one in plays} == set(TEAM.kinds)
    assert len({one.body["message"] for one in plays}) == 400
    assert all(len(one.body["message"]) > PASTED_CHARACTERS for one in plays if one.kind == "pasted")
    assert all((one.leave_after is not None) == (one.kind == "leaver") for one in plays)
    assert {one.body.get("mode") for one in plays if one.kind == "exhaustive"} == {"exhaustive"}


def test_faults_come_as_often_as_ordered() -> None:
    """None without; about the share of all requests with."""
    draw = random.Random(2)
    assert not any(play(draw, str(number)).fault for number in range(200))
    short = [play(draw, str(number), faults=0.2) for number in range(3000)]
    single = [one for one in short if not one.tool_calls]
    assert 0.15 < sum(bool(one.fault) for one in single) / len(single) < 0.25


def test_a_real_model_gets_no_orders() -> None:
    """Plain questions, whose answer nobody knows."""
    draw = random.Random(3)
    for number in range(100):
        one = play(draw, str(number), stand_in=False, faults=0.5)
        assert "[[" not in one.body["message"]
        assert (one.expected, one.tool_calls, one.fault) == (None, None, "")
