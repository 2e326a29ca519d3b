"""What a plugin or a tool does wrong costs the turn at most: never a thread, a place, or half an answer."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs
from support import Recorder, Toolkit, asks, make_runtime, make_turn, says, tool

from rom_core.concurrency.cancel import CancelToken
from rom_core.concurrency.clock import SystemClock
from rom_core.concurrency.workers import PoolSaturated, WorkerPool
from rom_core.errors import Draining, InternalError, ModelServerError, RomError, TurnCancelled, WireSaturated
from rom_core.json_schema import first_errors
from rom_core.markers import hookimpl
from rom_core.tools import ToolError, ToolResult
from rom_core.turn import Attempt, ModelCall, Turn
from rom_core.turn_values import ModelReply, StopLoop


class Forgetful:
    """Wraps a turn and forgets to return its answer."""

    @hookimpl(wrapper=True)
    def rom_turn(self) -> Any:
        yield


class Quitter:
    """Leaves the process, or tries to."""

    @hookimpl(wrapper=True)
    def rom_iteration(self) -> Any:
        sys.exit(1)
        yield


@pytest.mark.parametrize("plugin", [Forgetful(), Quitter()])
def test_a_turn_without_an_answer_is_an_internal_error(plugin: Any) -> None:
    """A wrapper that returns nothing or exits ends its turn in a defined way, and nothing else."""
    recorder = Recorder()
    runtime, _ = make_runtime(says("ok"), plugins={"faulty": plugin, "recorder": recorder})
    with pytest.raises(InternalError):
        runtime.run(make_turn(runtime))
    assert recorder.names[-1] == "turn.finished"
    assert runtime.active_turns == 0


def run_tool(kit: Toolkit, *others: Any, **settings: Any) -> dict[str, Any]:
    """The first toolResult that the model gets."""
    runtime, transport = make_runtime(
        asks(("look", {})), says("ok"), plugins={"kit": kit} | dict(others), clock=SystemClock(), **settings
    )
    runtime.run(make_turn(runtime))
    runtime.tool_pool.stop()
    result: dict[str, Any] = transport.requests[1]["messages"][2]["content"][0]["toolResult"]
    return result


@pytest.mark.parametrize("leave", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_tool_that_exits_ends_itself_only(leave: type[BaseException]) -> None:
    """`sys.exit` in a tool, as argparse does, is an error result."""

    def run(value: Any, context: Any) -> None:
        raise leave

    assert run_tool(Toolkit(tool(run=run)))["status"] == "error"


@pytest.mark.parametrize(("value", "status", "text"), [("plain", "success", "plain"), (None, "error", "não devolveu")])
def test_a_hook_that_returns_no_tool_result_is_forgiven(value: Any, status: str, text: str) -> None:
    """What `rom_tool_call` gives in place of a ToolResult is wrapped; nothing at all is an error result."""

    class Odd:
        @hookimpl(wrapper=True)
        def rom_tool_call(self) -> Any:
            yield
            return value

    result = run_tool(Toolkit(tool()), ("odd", Odd()))
    assert result["status"] == status
    assert text in result["content"][0]["text"]


def test_every_result_is_cut_to_the_configured_size() -> None:
    """Also one that a tool made itself, the text of a ToolError, and what a schema says of the input."""

    def fails(value: Any, context: Any) -> None:
        raise ToolError("x" * 5000)

    ready = ToolResult(({"text": "a" * 900}, {"json": {"b": "b" * 900}}, {"text": "c"}))
    for kit in (Toolkit(tool(run=fails)), Toolkit(tool(run=lambda value, context: ready))):
        result = run_tool(kit, MAX_TOOL_RESULT_CHARS=1000)
        assert sum(len(str(block)) for block in result["content"]) < 1200
        assert "resultado cortado" in result["content"][-1]["text"]


def test_a_tool_that_the_model_was_told_did_not_run_does_not_run() -> None:
    """A tool given up while it stood in line is not started later."""
    ran, go = [], threading.Event()
    kit = Toolkit(
        tool("busy", lambda value, context: go.wait(60), timeout=0.3),
        tool("late", lambda value, context: ran.append(1), timeout=0.05),
    )
    runtime, _ = make_runtime(
        asks(("busy", {}), ("late", {})), says("ok"), plugins={"kit": kit}, clock=SystemClock(), TOOL_THREADS=1
    )
    result = runtime.run(make_turn(runtime))
    go.set()
    runtime.tool_pool.stop(2)
    assert [call["status"] for call in result.tool_calls] == ["error", "error"]
    assert ran == []


def test_a_bad_value_costs_a_bounded_number_of_errors() -> None:
    """A body that breaks its schema in every place is not searched to its end."""
    drawn: list[int] = []

    class Endless:
        def iter_errors(self, value: Any) -> Iterator[Any]:
            for number in range(100_000):
                drawn.append(number)
                yield type("Error", (), {"absolute_path": [number]})

    assert len(first_errors(Endless(), {})) == len(drawn) < 100


class Guard:
    """Stops the loop at the first tool."""

    @hookimpl
    def rom_tools_requested(self) -> StopLoop:
        return StopLoop("guardrail_test", text="cut short")


class BreaksClosing:
    """A plugin with a defect that shows in the closing request only."""

    @hookimpl(wrapper=True)
    def rom_model_call(self, call: ModelCall) -> Any:
        if call.closing:
            raise KeyError("a bug")
        return (yield)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_closing_answer_that_breaks_off_ends_with_our_own_text(streamed: bool) -> None:
    """What the client has of it stays, the configured text follows as a paragraph, and the turn is no failure."""

    def breaks(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        attempt.text("half a ")
        raise ModelServerError("", kind="500")

    plugins = {"kit": Toolkit(tool()), "guard": Guard()}
    heard: list[str] = []
    runtime, _ = make_runtime(asks(("look", {})), breaks, plugins=plugins)
    turn = make_turn(runtime, sink=(lambda name, data: heard.append(data.get("text", ""))) if streamed else None)
    result = runtime.run(turn)
    assert result.reply == ("half a \n\ncut short" if streamed else "cut short")
    assert not streamed or "".join(heard) == result.reply
    assert (result.stop_reason, result.degraded) == ("guardrail_test", True)
    assert turn.messages[-1] == {"role": "assistant", "content": [{"text": result.reply}]}


@pytest.mark.parametrize(("reason", "error"), [("client_gone", TurnCancelled), ("draining", Draining)])
def test_what_ends_the_turn_ends_its_closing_answer_too(reason: str, error: type[RomError]) -> None:
    """A client that has left, or a server that goes away, gets no configured text."""

    def breaks(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        attempt.text("half a ")
        attempt.turn.cancel.cancel(reason)
        raise ModelServerError("", kind="500")

    runtime, _ = make_runtime(asks(("look", {})), breaks, plugins={"kit": Toolkit(tool()), "guard": Guard()})
    with pytest.raises(error):
        runtime.run(make_turn(runtime, sink=lambda name, data: None))


def test_a_defect_in_the_closing_request_costs_the_models_words_only() -> None:
    """An exception that is nobody's error class leaves the configured text, and its traceback in the log."""
    plugins = {"kit": Toolkit(tool()), "guard": Guard(), "breaks": BreaksClosing()}
    runtime, _ = make_runtime(asks(("look", {}), text="so far"), says("unused"), plugins=plugins)
    with capture_logs() as logs:
        result = runtime.run(make_turn(runtime))
    assert (result.reply, result.stop_reason, result.degraded) == ("so far\n\ncut short", "guardrail_test", True)
    assert [line["log_level"] for line in logs if line["event"] == "loop.closing_failed"] == ["error"]


def test_a_request_that_was_not_sent_is_not_counted_as_unknown_usage() -> None:
    """Nothing was billed, so no account is missing."""
    runtime, _ = make_runtime(WireSaturated("", kind="wire_saturated"))
    turn: Turn = make_turn(runtime)
    with pytest.raises(WireSaturated):
        runtime.run(turn)
    assert turn.usage_unknown == 0


def test_a_pool_recovers_when_the_system_has_threads_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that could not be started costs a refusal, not a place for ever."""
    pool = WorkerPool("test", 1)

    def no_thread(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as broken:
        broken.setattr(threading.Thread, "start", no_thread)
        for _ in range(3):
            with pytest.raises(PoolSaturated):
                pool.submit(lambda: 1)
    job = pool.submit(lambda: 1)
    assert pool.wait(job, SystemClock(), CancelToken(), 5)
    pool.stop()


def test_one_callback_that_raises_does_not_keep_the_others_from_running() -> None:
    """Cancelling calls every callback, whatever one of them does."""
    calls: list[str] = []

    def raises() -> None:
        raise RuntimeError("callback")

    token = CancelToken()
    with token.calling(raises), token.calling(lambda: calls.append("called")):
        token.cancel("deadline")
    assert calls == ["called"]


def test_a_callback_does_not_run_after_its_block() -> None:
    """Leaving the block waits for a callback that is running, so what it touches is still there."""
    inside, go = threading.Event(), threading.Event()
    order: list[str] = []

    def slow() -> None:
        inside.set()
        go.wait(60)
        order.append("callback")

    token = CancelToken()
    canceller = threading.Thread(target=lambda: token.cancel("client_gone"))
    with token.calling(slow):
        canceller.start()
        assert inside.wait(60)
        threading.Timer(0.05, go.set).start()
    order.append("left")
    canceller.join(60)
    assert order == ["callback", "left"]
