"""The tool loop: what ends it, what it says, and what it leaves in the conversation."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from support import Recorder, Toolkit, asks, make_runtime, make_settings, make_turn, says, tool

from local_bedrock.rules import check_conversation
from rom_core.bedrock.reply import MALFORMED
from rom_core.errors import BedrockDisabled, DeadlineExceeded, ModelServerError
from rom_core.events import LoopStopped
from rom_core.markers import hookimpl
from rom_core.turn import Iteration
from rom_core.turn_values import IterationResult, ModelReply, StopLoop


def test_a_plain_answer_is_one_request_and_its_text() -> None:
    """Without tools a turn is one request on the wire, with the system prompt and the question, and its answer."""
    runtime, transport = make_runtime(says("the answer"))
    result = runtime.run(make_turn(runtime))
    assert (result.reply, result.stop_reason, result.iterations, result.degraded) == (
        "the answer",
        "end_turn",
        1,
        False,
    )
    assert transport.requests == [
        {
            "messages": [{"role": "user", "content": [{"text": "question"}]}],
            "system": [{"text": "You answer."}],
            "inferenceConfig": {"maxTokens": 4096},
            "modelId": "global.anthropic.first-v1:0",
        }
    ]


def test_tools_run_and_their_results_go_back_in_order() -> None:
    """Tools asked for together are answered in one message, in the order of the requests."""
    kit = Toolkit(tool("one"), tool("two"))
    runtime, transport = make_runtime(asks(("two", {}), ("one", {})), says("done"), plugins={"kit": kit})
    result = runtime.run(make_turn(runtime))
    assert transport.requests[1]["messages"][2]["content"] == [
        {"toolResult": {"toolUseId": "t1", "content": [{"text": "two ran"}], "status": "success"}},
        {"toolResult": {"toolUseId": "t2", "content": [{"text": "one ran"}], "status": "success"}},
    ]
    assert result.iterations == 2
    assert [(call["name"], call["status"]) for call in result.tool_calls] == [("two", "success"), ("one", "success")]
    assert result.usage.input_tokens == 20


def test_a_blank_line_separates_the_text_of_iterations() -> None:
    """`reply` is all text of the turn, a blank line between iterations, streamed or not."""
    steps = (asks(("look", {}), text="let me see"), says("here it is"))
    for sink in (None, lambda name, data: heard.append((name, data))):
        heard: list[tuple[str, dict[str, Any]]] = []
        runtime, _ = make_runtime(*steps, plugins={"kit": Toolkit(tool())})
        result = runtime.run(make_turn(runtime, sink=sink))
        assert result.reply == "let me see\n\nhere it is"
    assert "".join(data["text"] for name, data in heard if name == "delta") == result.reply
    assert [name for name, _ in heard if name != "delta"] == ["tool_call", "tool_result"]


def test_whoever_waits_is_told_what_a_tool_does() -> None:
    """`tool_call` has the tool's label; without one, and for a tool that does not exist, the name alone."""
    kit = Toolkit(tool("look", label="consultando o índice"), tool("plain"))
    heard: list[dict[str, Any]] = []
    steps = (asks(("look", {}), ("plain", {}), ("nobody", {})), says("here"))
    runtime, _ = make_runtime(*steps, plugins={"kit": kit})
    runtime.run(make_turn(runtime, sink=lambda name, data: heard.append(data) if name == "tool_call" else None))
    assert heard == [
        {"id": "t1", "name": "look", "label": "consultando o índice"},
        {"id": "t2", "name": "plain"},
        {"id": "t3", "name": "nobody"},
    ]


STOP_REASONS = {
    "end_turn": "TEXT_EMPTY_REPLY",
    "stop_sequence": "TEXT_EMPTY_REPLY",
    "tool_use": "TEXT_EMPTY_REPLY",
    "max_tokens": "TEXT_MAX_TOKENS",
    "model_context_window_exceeded": "TEXT_CONTEXT_TOO_LONG",
    "content_filtered": "TEXT_FILTERED",
    "guardrail_intervened": "TEXT_FILTERED",
}


def test_every_stop_reason_of_the_service_has_an_outcome() -> None:
    """Those of botocore's model are all here or are failures of the model; a new one makes somebody decide."""
    service = ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"), "bedrock-runtime")
    known: Any = service.shape_for("StopReason")
    assert {*STOP_REASONS, *MALFORMED} == set(known.enum)


@pytest.mark.parametrize(("stop_reason", "setting"), [*STOP_REASONS.items(), ("something_new", "TEXT_EMPTY_REPLY")])
def test_every_stop_reason_ends_with_words(stop_reason: str, setting: str) -> None:
    """Whatever the reason a model stops for, also one nobody knows: with text it is the answer, without one ours."""
    runtime, _ = make_runtime(says("some text", stop_reason))
    result = runtime.run(make_turn(runtime))
    assert (result.reply, result.stop_reason, result.degraded) == ("some text", stop_reason, False)
    runtime, _ = make_runtime(says("", stop_reason))
    result = runtime.run(make_turn(runtime))
    assert (result.reply, result.stop_reason) == (getattr(runtime.current.settings, setting), stop_reason)
    assert result.degraded


def test_tools_of_a_reply_cut_by_max_tokens_do_not_run() -> None:
    """A reply cut off by max_tokens ends the turn, also when some toolUse of it arrived whole."""
    ran: list[str] = []
    kit = Toolkit(tool(run=lambda value, context: ran.append("x")))
    runtime, transport = make_runtime(asks(("look", {}), text="part", stop_reason="max_tokens"), plugins={"kit": kit})
    result = runtime.run(make_turn(runtime))
    assert (result.reply, result.stop_reason, ran) == ("part", "max_tokens", [])
    assert len(transport.requests) == 1


def test_the_cap_stops_the_loop_with_a_closing_request() -> None:
    """MAX_LOOPS_ABSOLUTE bounds the loop whatever plugins do; the closing request is valid and its answer is used."""
    closing = says("from what I have")
    steps = [asks(("look", {})), asks(("look", {})), closing]
    recorder = Recorder()
    runtime, transport = make_runtime(
        *steps, plugins={"kit": Toolkit(tool()), "recorder": recorder}, MAX_LOOPS_ABSOLUTE=2
    )
    result = runtime.run(make_turn(runtime))
    assert (result.reply, result.stop_reason, result.degraded) == ("from what I have", "loop_cap", True)
    assert [call["status"] for call in result.tool_calls] == ["success"]
    last = transport.requests[-1]
    assert "toolConfig" in last
    assert last["messages"][-1]["content"][0]["toolResult"]["status"] == "error"
    assert check_conversation(last) == []
    assert [event for event in recorder.events if isinstance(event, LoopStopped)]


@pytest.mark.parametrize(
    ("closing", "kept"),
    [
        (says("I will look.", "max_tokens", cut_tool_use=True), "I will look.\n\n"),
        (says("the answer is", "max_tokens"), "the answer is\n\n"),
        (says("it is", "content_filtered"), "it is\n\n"),
        (says("", "max_tokens", cut_tool_use=True), ""),
    ],
)
def test_a_closing_answer_that_is_cut_is_followed_by_our_own_text(closing: ModelReply, kept: str) -> None:
    """A tool request cut in the middle is one all the same; one that stops half-way is not called whole."""

    class Guard:
        @hookimpl
        def rom_tools_requested(self, iteration: Iteration) -> StopLoop:
            return StopLoop("guardrail_test", text="cut short")

    runtime, _ = make_runtime(asks(("look", {})), closing, plugins={"kit": Toolkit(tool()), "guard": Guard()})
    turn = make_turn(runtime)
    result = runtime.run(turn)
    assert (result.reply, result.stop_reason, result.degraded) == (f"{kept}cut short", "guardrail_test", True)
    assert turn.messages[-1]["content"] == [{"text": result.reply}]


@pytest.mark.parametrize("closing", [asks(("look", {})), says(""), ModelServerError("", kind="500")])
def test_a_closing_request_that_fails_leaves_our_own_text(closing: Any) -> None:
    """If the closing request fails, is empty or asks for tools again, the person reads the configured text."""

    class Guard:
        @hookimpl
        def rom_tools_requested(self, iteration: Iteration) -> StopLoop:
            return StopLoop("guardrail_test", text="cut short")

    plugins = {"kit": Toolkit(tool()), "guard": Guard()}
    runtime, _ = make_runtime(asks(("look", {}), text="so far"), closing, plugins=plugins)
    result = runtime.run(make_turn(runtime))
    assert (result.reply, result.stop_reason, result.degraded) == ("so far\n\ncut short", "guardrail_test", True)
    assert result.tool_calls == ()


def test_the_kill_switch_is_read_before_every_request() -> None:
    """BEDROCK_ENABLED going off in a turn stops it before its next request, whatever its snapshot says."""

    def switch_off(value: Any, context: Any) -> str:
        off = make_settings(runtime.catalogue, BEDROCK_ENABLED=False)
        runtime.swap(dataclasses.replace(runtime.current, settings=off))
        return "off"

    plugins = {"kit": Toolkit(tool(run=switch_off))}
    runtime, transport = make_runtime(asks(("look", {})), says("never"), plugins=plugins)
    with pytest.raises(BedrockDisabled):
        runtime.run(make_turn(runtime))
    assert len(transport.requests) == 1


@pytest.mark.parametrize("hook", ["rom_turn", "rom_iteration", "rom_model_call", "rom_model_attempt"])
def test_the_kill_switch_comes_before_whoever_answers(hook: str) -> None:
    """A plugin that answers in the model's place is not asked while Bedrock is off."""
    asked: list[str] = []

    def answer() -> None:
        asked.append(hook)

    plugin = type("Answers", (), {hook: staticmethod(hookimpl(answer))})()
    runtime, transport = make_runtime(plugins={"answers": plugin}, BEDROCK_ENABLED=False)
    with pytest.raises(BedrockDisabled):
        runtime.run(make_turn(runtime))
    assert (asked, transport.requests) == ([], [])


@pytest.mark.parametrize("hook", ["rom_iteration", "rom_model_call", "rom_model_attempt"])
def test_the_kill_switch_comes_before_every_iteration(hook: str) -> None:
    """Off in the middle of a turn that a plugin answers: it is not asked again."""
    asked: list[str] = []

    def answer() -> Any:
        asked.append(hook)
        runtime.swap(dataclasses.replace(runtime.current, settings=off))
        reply = asks(("look", {}))
        return IterationResult(reply, finished=False) if hook == "rom_iteration" else reply

    plugin = type("Answers", (), {hook: staticmethod(hookimpl(answer))})()
    runtime, transport = make_runtime(plugins={"kit": Toolkit(tool()), "answers": plugin})
    off = make_settings(runtime.catalogue, BEDROCK_ENABLED=False)
    with pytest.raises(BedrockDisabled):
        runtime.run(make_turn(runtime))
    assert (asked, transport.requests) == ([hook], [])


def test_a_tool_input_that_is_the_text_of_an_object_is_read_once() -> None:
    """The guard before the tools, the tool, and the model when it is asked again see the same object."""
    seen: list[Any] = []

    class Guard:
        @hookimpl
        def rom_tools_requested(self, tool_uses: Any) -> None:
            seen.extend(use["input"] for use in tool_uses)

    def look(value: Any, context: Any) -> str:
        seen.append(value)
        return "ran"

    uses: Any = (("look", '{"city": "Rio"}'), ("look", {"city": "Rio"}), ("look", '["Rio"]'), ("look", "Rio"))
    plugins = {"kit": Toolkit(tool(run=look)), "guard": Guard()}
    runtime, transport = make_runtime(asks(*uses), says("ok"), plugins=plugins, TOOL_THREADS=1)
    result = runtime.run(make_turn(runtime))
    assert seen == [{"city": "Rio"}, {"city": "Rio"}, '["Rio"]', "Rio", {"city": "Rio"}, {"city": "Rio"}]
    assert [call["status"] for call in result.tool_calls] == ["success", "success", "error", "error"]
    replayed = [block["toolUse"]["input"] for block in transport.requests[1]["messages"][1]["content"]]
    assert replayed[:2] == [{"city": "Rio"}, {"city": "Rio"}]


def test_a_deadline_that_passed_in_a_tool_stops_before_the_next_request() -> None:
    """The deadline counts from acceptance and is looked at before every step."""
    runtime, transport = make_runtime(
        asks(("look", {})),
        plugins={"kit": Toolkit(tool(run=lambda value, context: runtime.clock.advance(500)))},  # type: ignore[attr-defined]
    )
    with pytest.raises(DeadlineExceeded):
        runtime.run(make_turn(runtime))
    assert len(transport.requests) == 1
