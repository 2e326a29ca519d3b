"""The story of a turn: every step with its times, found by its ids, without a word of anybody, within bounds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support import Toolkit, asks, failure, make_runtime, make_turn, says, tool

from plugins.fallback import Fallback
from plugins.operator import OperatorPlugin
from plugins.operator.stories import MAX_ALL_STEPS, MAX_REFUSED, MAX_STEPS, MAX_TURNS, Stories
from plugins.retry import Retry
from rom_core.concurrency.clock import FakeClock
from rom_core.errors import InternalError, ModelRefused, ModelThrottled, QueueFull, RomError
from rom_core.events import LoopStopped, ToolFinished, ToolStarted, TurnFinished, TurnStarted
from rom_core.runtime import Runtime
from rom_core.tools import ToolResult
from rom_core.turn import Iteration, ToolCall, Turn
from rom_core.turn_values import StopLoop

MARK = "segredo-do-cliente-4711"


def told(*steps: Any, **more: Any) -> tuple[Runtime, Stories]:
    """A runtime with the plugin and its memory of turns."""
    operator = OperatorPlugin()
    plugins = {"operator": operator, **more.pop("plugins", {})}
    runtime, _ = make_runtime(*steps, plugins=plugins, **more)
    return runtime, operator.stories


def kinds(turn: dict[str, Any]) -> list[tuple[str, str]]:
    """The kinds of its steps, and how each ended."""
    return [(step["kind"], step.get("outcome", "")) for step in turn["steps"]]


def test_attempts_retries_fallback_and_tools_are_steps_in_their_order() -> None:
    """With model, outcome and times that a waterfall can be drawn of."""
    clock = FakeClock()

    def slow(attempt: Any, _request: Any) -> Any:
        clock.advance(2)
        attempt.text("oi")
        return asks(("look", {}), ("invented", {}))

    steps = [failure(ModelThrottled), slow, says("done")]
    plugins = {"retry": Retry(), "fallback": Fallback(), "kit": Toolkit(tool())}
    runtime, stories = told(*steps, plugins=plugins, clock=clock)
    runtime.start()
    runtime.run(make_turn(runtime))
    runtime.stop()
    (turn,) = stories.lately(10)
    assert kinds(turn)[:5] == [
        ("attempt", "throttled"),
        ("retry", ""),
        ("attempt", "ok"),
        ("tool", "success"),
        ("tool", "error"),
    ]
    refused, retry, slow_one, good, bad = turn["steps"][:5]
    assert (refused["model"], refused["code"], refused["number"]) == ("anthropic.first", "upstream_throttled", 1)
    assert retry["duration"] > 0
    assert slow_one["start"] >= retry["start"] + retry["duration"] - 0.001
    assert (slow_one["duration"], slow_one["number"], slow_one["tokens"]["input_tokens"]) == (2.0, 2, 10)
    assert (good["name"], good["iteration"], bad["name"]) == ("look", 1, "unknown")
    assert (turn["status"], turn["iterations"], turn["cost_usd"] > 0) == ("ok", 2, True)


def test_a_fallback_says_from_which_model_to_which() -> None:
    """And the turn names the model that answered."""
    error = failure(ModelThrottled)
    runtime, stories = told(error, says("ok"), plugins={"fallback": Fallback()})
    runtime.run(make_turn(runtime))
    (turn,) = stories.lately(1)
    assert kinds(turn) == [("attempt", "throttled"), ("fallback", ""), ("attempt", "ok")]
    assert (turn["steps"][1]["model"], turn["steps"][1]["to_model"]) == ("anthropic.first", "anthropic.second")
    assert (turn["model"], turn["degraded"]) == ("anthropic.second", True)


def test_nothing_of_what_anybody_said_is_in_a_story() -> None:
    """The question, system, the answer, a tool's input, result and error, a model's invented tool, the user."""

    def broken(*_: Any) -> Any:
        raise RuntimeError(MARK)

    replies = [
        asks(("look", {"q": MARK}), ("fail", {"q": MARK}), (MARK, {}), text=MARK),
        failure(ModelRefused, upstream_message=MARK, kind="refused"),
    ]
    kit = Toolkit(tool(run=lambda *_: MARK), tool("fail", broken))
    runtime, stories = told(*replies, plugins={"kit": kit})
    runtime.start()
    with pytest.raises(RomError):
        runtime.run(make_turn(runtime, MARK, system=MARK, user=MARK))
    runtime.stop()
    (turn,) = stories.lately(1)
    assert (turn["code"], len(turn["steps"])) == ("upstream_refused", 5)
    assert MARK not in json.dumps(turn)


def test_a_turn_that_runs_is_there_as_it_stands() -> None:
    """With what it does at this moment, open-ended; and once it has ended, only among the others."""
    seen: list[dict[str, Any]] = []
    clock = FakeClock()

    def look(_attempt: Any, _request: Any) -> Any:
        clock.advance(3)
        seen.extend(stories.running())
        return says("ok")

    runtime, stories = told(look, clock=clock)
    runtime.run(make_turn(runtime))
    (turn,) = seen
    assert (turn["status"], turn["duration"], turn["number"]) == ("running", 3.0, 0)
    assert kinds(turn) == [("attempt", "running")]
    assert turn["steps"][0]["duration"] is None
    assert (stories.running(), len(stories.lately(10))) == ([], 1)


def test_it_is_found_by_the_beginning_of_its_ids() -> None:
    """Request id, trace id, id of the turn; newest first, page by page."""
    runtime, stories = told(says("ok"))
    for number in range(5):
        turn = make_turn(runtime)
        turn.request_id, turn.trace_id = f"req-{number}-abcdef", f"{number}" * 32
        runtime.run(turn)
    assert [turn["request_id"] for turn in stories.lately(2)] == ["req-4-abcdef", "req-3-abcdef"]
    assert [turn["number"] for turn in stories.lately(10, before=3)] == [2, 1]
    assert [turn["request_id"] for turn in stories.lately(10, id_="22222222")] == ["req-2-abcdef"]
    assert [turn["request_id"] for turn in stories.lately(10, id_="req-1-abc")] == ["req-1-abcdef"]
    whole = stories.lately(1)[0]["id"]
    assert len(stories.lately(10, id_=whole[:20])) == 1
    assert stories.lately(10, id_="nowhere-") == []


def finished(turn: Turn, error: RomError | None) -> TurnFinished:
    """The event that a turn ended so."""
    return TurnFinished(turn, None, error or InternalError(""), 0.0)


def test_memory_has_a_bound() -> None:
    """So many turns, so many steps of each and of all; refusals push only each other out."""
    runtime, _ = make_runtime()
    stories = Stories()

    def ended(steps: int = 0, error: RomError | None = None) -> None:
        turn = make_turn(runtime)
        stories.observe(TurnStarted(turn))
        for _ in range(steps):
            stories.observe(LoopStopped(Iteration(turn, 1), StopLoop("loop_cap")))
        stories.observe(finished(turn, error))

    ended(1)
    for _ in range(MAX_REFUSED + 10):
        ended(error=QueueFull(""))
    assert len(stories.lately(2 * MAX_TURNS)) == MAX_REFUSED + 1
    for _ in range(MAX_TURNS + 5):
        ended()
    assert len(stories.lately(2 * MAX_TURNS)) == MAX_TURNS + MAX_REFUSED
    assert stories.forgotten == 10 + 6
    for _ in range(100):
        ended(MAX_STEPS + 5)
    kept = stories.lately(2 * MAX_TURNS)
    assert kept[0]["steps_left_out"] == 5
    assert sum(len(turn["steps"]) for turn in kept) <= MAX_ALL_STEPS


def test_tools_that_run_side_by_side_are_told_apart() -> None:
    """Each step ends with its own result, in whatever order they end; one that never began has no time."""
    runtime, _ = make_runtime()
    stories, turn = Stories(), make_turn(runtime)
    calls = [
        ToolCall(turn, 1, f"t{number}", name, {}, tool(name), turn.deadline, turn.cancel)
        for number, name in enumerate(("one", "two"))
    ]
    stories.observe(TurnStarted(turn))
    for call in calls:
        stories.observe(ToolStarted(call))
    for call, result in zip(reversed(calls), (ToolResult.error("x", "timeout"), ToolResult.of("ok")), strict=True):
        call.result = result
        stories.observe(ToolFinished(call))
    steps = stories.running()[0]["steps"]
    assert [(step["name"], step["outcome"], step.get("reason")) for step in steps] == [
        ("one", "success", None),
        ("two", "error", "timeout"),
    ]
