"""Running tools: whatever happens to one becomes a result that the model can react to, never a failed turn."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from support import Toolkit, asks, make_runtime, make_turn, says, tool
from waiting import until

from rom_core.concurrency.clock import Clock, FakeClock, SystemClock, Waitable
from rom_core.errors import TurnCancelled
from rom_core.markers import hookimpl
from rom_core.tools import MAX_CARD_CHARS, Tool, ToolContext, ToolError, ToolResult, cut
from rom_core.turn import ToolCall

SCHEMA = {
    "type": "object",
    "properties": {"number": {"type": "integer"}},
    "required": ["number"],
    "additionalProperties": False,
}


class RunsOut(FakeClock):
    """A time-out of less than a second is over as soon as `running` is set; longer ones are waited for."""

    def __init__(self, running: threading.Event) -> None:
        super().__init__()
        self._running = running

    def wait(self, event: Waitable, seconds: float) -> bool:
        """As said."""
        if seconds >= 1:
            return event.wait(60)
        assert self._running.wait(60)
        self.advance(max(0.0, seconds))
        return event.is_set()


def results_of(
    *uses: tuple[str, dict[str, Any]], kit: Toolkit, clock: Clock | None = None, **values: Any
) -> list[dict[str, Any]]:
    """The toolResult blocks that the model gets for these uses."""
    runtime, transport = make_runtime(
        asks(*uses),
        says("ok"),
        plugins={"kit": kit} | values.pop("plugins", {}),
        clock=clock or SystemClock(),
        **values,
    )
    runtime.run(make_turn(runtime))
    runtime.tool_pool.stop()
    return [block["toolResult"] for block in transport.requests[1]["messages"][2]["content"]]


def text_of(result: dict[str, Any]) -> str:
    """The text of a result's only block."""
    text: str = result["content"][0]["text"]
    return text


def raising(error: Exception) -> Callable[..., Any]:
    """A tool function that raises."""

    def run(value: dict[str, Any], context: ToolContext) -> Any:
        raise error

    return run


def holding(running: threading.Event, stop: threading.Event) -> Callable[..., Any]:
    """A tool function that runs until `stop`, and says when it has begun."""

    def run(value: dict[str, Any], context: ToolContext) -> bool:
        running.set()
        return stop.wait(60)

    return run


def test_input_is_validated_before_the_tool_runs() -> None:
    """Input that the schema refuses does not reach the tool; the result names the field and the reason."""
    ran: list[Any] = []
    kit = Toolkit(tool(run=lambda value, context: ran.append(value), input_schema=SCHEMA))
    wrong, missing = results_of(("look", {"number": "3"}), ("look", {}), kit=kit)
    assert (wrong["status"], missing["status"], ran) == ("error", "error", [])
    assert "number" in text_of(wrong)
    assert "'number' is a required property" in text_of(missing)


def test_an_unknown_tool_is_answered_with_the_known_ones() -> None:
    """A name nobody offers is an error result that lists the names there are."""
    (result,) = results_of(("nope", {}), kit=Toolkit(tool("one"), tool("two")))
    assert result["status"] == "error"
    assert "one, two" in text_of(result)


def test_an_exception_is_an_error_result_without_its_text() -> None:
    """What a tool raises does not leak to the model, unless it is a ToolError, which is written for it."""
    kit = Toolkit(
        tool("bug", raising(RuntimeError("password=1"))), tool("says", raising(ToolError("try another year")))
    )
    bug, says_so = results_of(("bug", {}), ("says", {}), kit=kit)
    assert (bug["status"], says_so["status"]) == ("error", "error")
    assert "password" not in text_of(bug)
    assert text_of(says_so) == "try another year"


def test_a_tool_that_takes_too_long_is_given_up_and_counted() -> None:
    """A tool past its time-out becomes an error result; its thread is counted until it returns."""
    running, stop = threading.Event(), threading.Event()
    kit = Toolkit(tool("slow", holding(running, stop), timeout=0.05), tool("fast"))
    runtime, transport = make_runtime(
        asks(("slow", {}), ("fast", {})), says("ok"), plugins={"kit": kit}, clock=RunsOut(running)
    )
    result = runtime.run(make_turn(runtime))
    blocks = [block["toolResult"] for block in transport.requests[1]["messages"][2]["content"]]
    assert [block["status"] for block in blocks] == ["error", "success"]
    assert [call["status"] for call in result.tool_calls] == ["error", "success"]
    assert runtime.tool_pool.abandoned == 1
    stop.set()
    assert until(lambda: runtime.tool_pool.abandoned == 0 and runtime.tool_pool.outstanding == 0)
    runtime.tool_pool.stop()


def test_a_full_pool_is_an_error_result() -> None:
    """When no thread gets to a tool in time, and when there is no place in line, the model is told so."""
    running, stop = threading.Event(), threading.Event()
    kit = Toolkit(tool(run=holding(running, stop), timeout=0.5))
    results = results_of(*[("look", {})] * 5, kit=kit, clock=RunsOut(running), TOOL_THREADS=1)
    stop.set()
    assert [result["status"] for result in results] == ["error"] * 5
    assert "não terminou" in text_of(results[0])
    assert all("demais" in text_of(result) for result in results[1:])


def test_tools_of_one_iteration_run_at_the_same_time() -> None:
    """Two tools that wait for each other both finish."""
    barrier = threading.Barrier(2, timeout=60)
    kit = Toolkit(tool(run=lambda value, context: f"met {barrier.wait() >= 0}"))
    assert [text_of(r) for r in results_of(("look", {}), ("look", {}), kit=kit)] == ["met True", "met True"]


def test_a_tool_gets_the_deadline_and_a_cancel_token() -> None:
    """The context carries the tool's own deadline, the turn's cancel token and its trace id."""
    seen: list[ToolContext] = []
    kit = Toolkit(tool(run=lambda value, context: seen.append(context), timeout=5))
    results_of(("look", {}), kit=kit, clock=FakeClock())
    (context,) = seen
    assert 0 < context.deadline.remaining() <= 5
    assert not context.cancel.cancelled
    assert context.trace_id == "trace"


def test_cancelling_a_turn_does_not_wait_for_its_tools() -> None:
    """A client that leaves ends the turn at once, though its tool cannot be interrupted."""
    started, stop, ended = threading.Event(), threading.Event(), threading.Event()

    def run(value: dict[str, Any], context: ToolContext) -> None:
        started.set()
        stop.wait(60)
        ended.set()

    runtime, transport = make_runtime(asks(("look", {})), plugins={"kit": Toolkit(tool(run=run))}, clock=SystemClock())
    turn = make_turn(runtime)
    threading.Thread(target=lambda: started.wait(60) and turn.cancel.cancel("client_gone"), daemon=True).start()
    with pytest.raises(TurnCancelled):
        runtime.run(turn)
    assert not ended.is_set()
    assert runtime.tool_pool.abandoned == 1
    assert len(transport.requests) == 1
    stop.set()
    runtime.tool_pool.stop()


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ("text", {"text": "text"}),
        ({"a": 1}, {"json": {"a": 1}}),
        ([1, 2], {"text": "[1, 2]"}),
        (None, {"text": "null"}),
        ({"when": object}, {"json": {"when": str(object)}}),
    ],
)
def test_what_a_tool_returns_becomes_a_block(value: Any, content: dict[str, Any]) -> None:
    """Text stays text, an object becomes json, everything else is written as JSON text."""
    assert ToolResult.of(value).content == (content,)


def test_a_long_result_is_cut_with_a_note() -> None:
    """A result over MAX_TOOL_RESULT_CHARS is cut and says how much there was."""
    (result,) = results_of(
        ("look", {}), kit=Toolkit(tool(run=lambda value, context: "x" * 5000)), MAX_TOOL_RESULT_CHARS=1000
    )
    assert text_of(result) == cut("x" * 5000, 1000)
    assert "1000 de 5000" in text_of(result)
    (result,) = results_of(
        ("look", {}), kit=Toolkit(tool(run=lambda value, context: {"x": "y" * 5000})), MAX_TOOL_RESULT_CHARS=1000
    )
    assert text_of(result).startswith('{"x": "yyy')


def test_a_plugin_may_answer_in_the_place_of_a_tool_or_change_its_result() -> None:
    """`rom_tool_call`: a plain implementation answers, a wrapper may change the result; one that raises is an error."""

    class Around:
        @hookimpl(wrapper=True)
        def rom_tool_call(self, tool_call: ToolCall) -> Any:
            result = yield
            if tool_call.name == "fails":
                raise RuntimeError("guard")
            return ToolResult((*result.content, {"text": "noted"}), result.status)

    class Instead:
        @hookimpl
        def rom_tool_call(self, tool_call: ToolCall) -> ToolResult | None:
            return ToolResult(({"text": "instead"},)) if tool_call.name == "mocked" else None

    kit = Toolkit(tool("mocked", raising(AssertionError())), tool("real"), tool("fails"))
    results = results_of(
        ("mocked", {}), ("real", {}), ("fails", {}), kit=kit, plugins={"around": Around(), "instead": Instead()}
    )
    assert results[0]["content"] == [{"text": "instead"}, {"text": "noted"}]
    assert results[1]["content"] == [{"text": "real ran"}, {"text": "noted"}]
    assert results[2]["status"] == "error"


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "has space"},
        {"name": "x" * 65},
        {"description": " "},
        {"input_schema": {"type": "string"}},
        {"timeout": 0},
        {"label": "x" * 61},
        {"label": "two\nlines"},
        {"label": " "},
        {"card": "Not A Kind"},
    ],
)
def test_a_tool_that_cannot_be_offered_is_refused_when_made(wrong: dict[str, Any]) -> None:
    """Names, descriptions and schemas that Bedrock or a model could not use raise ValueError; labels and cards too."""
    fields: dict[str, Any] = {"name": "ok", "description": "d", "input_schema": {"type": "object"}, "run": print}
    with pytest.raises(ValueError, match="tool"):
        Tool(**(fields | wrong))


@pytest.mark.parametrize(
    ("returned", "card"),
    [
        ({"day": "2026-03-23"}, {"kind": "deadline", "data": {"day": "2026-03-23"}}),
        ("a text", None),
        ({"long": "x" * MAX_CARD_CHARS}, None),
        (ToolResult(({"json": {"a": 1}}, {"text": "b"})), None),
        (ToolResult(({"json": {"a": object}},), "error"), None),
        (ToolResult(({"json": {"a": float("nan")}},)), None),
    ],
)
def test_a_client_gets_what_a_tool_with_a_card_found(returned: Any, card: dict[str, Any] | None) -> None:
    """One JSON object of a bounded size, of a run that succeeded; else no card, and the turn goes on."""
    heard: list[tuple[str, dict[str, Any]]] = []
    kit = Toolkit(tool(run=lambda value, context: returned, card="deadline"))
    runtime, _ = make_runtime(asks(("look", {})), says("ok"), plugins={"kit": kit}, clock=SystemClock())
    turn = make_turn(runtime, sink=lambda name, data: heard.append((name, data)))
    answered = runtime.run(turn)
    runtime.tool_pool.stop()
    (told,) = [data for name, data in heard if name == "tool_result"]
    assert told.get("card") == answered.tool_calls[0].get("card") == card
    assert ("card" in told) == (card is not None)
