"""The attempt loop: the core's ceilings hold whatever a plugin decides, and nothing emitted is repeated."""

from __future__ import annotations

from typing import Any

import pytest
from support import Recorder, Step, make_runtime, make_turn, says

from rom_core.concurrency.clock import FakeClock
from rom_core.errors import BedrockDisabled, ModelRefused, ModelServerError, ModelThrottled
from rom_core.events import AttemptFinished, FallbackUsed, RetryScheduled
from rom_core.markers import hookimpl
from rom_core.turn import Attempt, ModelCall, Turn
from rom_core.turn_values import ModelReply, TryAgain


class Always:
    """Decides the same after every failure."""

    def __init__(self, decision: TryAgain | None) -> None:
        self.decision = decision
        self.asked = 0

    @hookimpl
    def rom_model_failed(self) -> TryAgain | None:
        self.asked += 1
        return self.decision


def fails_then(text: str, times: int = 1) -> list[Step]:
    """`times` server errors, then an answer."""
    return [*(ModelServerError("", kind="500") for _ in range(times)), says(text)]


def test_without_plugins_a_failure_is_the_answer() -> None:
    """With nobody to decide there is one request, and its error comes out as it is."""
    error = ModelThrottled("", kind="429", retry_after=7)
    runtime, transport = make_runtime(error)
    with pytest.raises(ModelThrottled) as caught:
        runtime.run(make_turn(runtime))
    assert caught.value is error
    assert len(transport.requests) == 1


def test_a_decision_is_carried_out_on_the_injected_clock() -> None:
    """TryAgain waits its time, then makes a new attempt; events tell both."""
    clock = FakeClock()
    recorder = Recorder()
    runtime, transport = make_runtime(
        *fails_then("ok", 2), plugins={"retry": Always(TryAgain(1.5)), "recorder": recorder}, clock=clock
    )
    assert runtime.run(make_turn(runtime)).reply == "ok"
    assert clock.sleeps == [1.5, 1.5]
    assert len(transport.requests) == 3
    assert [e.outcome for e in recorder.events if isinstance(e, AttemptFinished)] == ["server_error"] * 2 + ["ok"]
    assert len([e for e in recorder.events if isinstance(e, RetryScheduled)]) == 2


def test_the_first_answer_in_the_order_of_the_list_decides() -> None:
    """`rom_model_failed` is asked in the order of PLUGINS until someone has an opinion."""
    first, second, third = Always(None), Always(TryAgain(2.0)), Always(TryAgain(9.0))
    clock = FakeClock()
    runtime, _ = make_runtime(
        *fails_then("ok"),
        plugins={"a": first, "b": second, "c": third},
        clock=clock,
        PLUGINS=["a", "b", "c"],
    )
    runtime.run(make_turn(runtime))
    assert (first.asked, second.asked, third.asked) == (1, 1, 0)
    assert clock.sleeps == [2.0]


def test_requests_on_the_wire_are_capped_whatever_plugins_say() -> None:
    """MAX_MODEL_REQUESTS covers retries and fallbacks together; the last error comes out."""
    plugin = Always(TryAgain(0))
    runtime, transport = make_runtime(ModelServerError("", kind="500"), plugins={"mad": plugin}, MAX_MODEL_REQUESTS=5)
    with pytest.raises(ModelServerError):
        runtime.run(make_turn(runtime))
    assert len(transport.requests) == 5
    assert plugin.asked == 4


def test_refusals_before_the_wire_are_bounded_too() -> None:
    """A plugin that refuses every attempt and asks for another cannot spin for ever; none of it is on the wire."""

    class Refuser:
        attempts = 0

        @hookimpl(wrapper=True)
        def rom_model_attempt(self) -> Any:
            self.attempts += 1
            raise ModelServerError("", kind="circuit_open")
            yield

    refuser = Refuser()
    runtime, transport = make_runtime(
        says("x"), plugins={"refuser": refuser, "mad": Always(TryAgain(0))}, MAX_MODEL_REQUESTS=2
    )
    with pytest.raises(ModelServerError):
        runtime.run(make_turn(runtime))
    assert transport.requests == []
    assert refuser.attempts == 8


def test_a_wait_that_the_deadline_would_cut_short_is_not_begun() -> None:
    """A decision to wait longer than what is left ends the call at once, with the error that is known."""
    clock = FakeClock()
    runtime, transport = make_runtime(
        ModelServerError("", kind="500"),
        plugins={"retry": Always(TryAgain(30))},
        clock=clock,
        TURN_DEADLINE_SECONDS=20,
    )
    with pytest.raises(ModelServerError):
        runtime.run(make_turn(runtime))
    assert clock.sleeps == []
    assert len(transport.requests) == 1


def test_another_model_is_kept_for_the_rest_of_the_turn_and_named() -> None:
    """TryAgain with a model switches the turn to it: its id on the wire, its alias in the answer, degraded."""
    recorder = Recorder()
    runtime, transport = make_runtime(
        *fails_then("ok"),
        plugins={"fallback": Always(TryAgain(0, model="anthropic.second")), "recorder": recorder},
    )
    result = runtime.run(make_turn(runtime))
    assert (result.model, result.degraded) == ("anthropic.second", True)
    assert [r["modelId"] for r in transport.requests] == ["global.anthropic.first-v1:0", "global.anthropic.second-v1:0"]
    assert [(e.from_model, e.to_model) for e in recorder.events if isinstance(e, FallbackUsed)] == [
        ("anthropic.first", "anthropic.second")
    ]


def test_an_unknown_model_in_a_decision_is_not_followed() -> None:
    """A decision for a model that is not in the table ends the call with the known error."""
    runtime, transport = make_runtime(*fails_then("no"), plugins={"mad": Always(TryAgain(0, model="nope"))})
    with pytest.raises(ModelServerError):
        runtime.run(make_turn(runtime))
    assert len(transport.requests) == 1


def partly(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
    """Say something, then fail."""
    attempt.text("half an ")
    raise ModelServerError("", kind="500")


def test_text_that_reached_the_client_is_never_repeated() -> None:
    """Streamed: once text was handed over, nobody is asked and the error comes out, marked as emitted."""
    plugin = Always(TryAgain(0))
    runtime, transport = make_runtime(partly, says("whole answer"), plugins={"retry": plugin})
    heard: list[tuple[str, dict[str, Any]]] = []
    turn = make_turn(runtime, sink=lambda name, data: heard.append((name, data)))
    with pytest.raises(ModelServerError) as caught:
        runtime.run(turn)
    assert caught.value.emitted
    assert (plugin.asked, len(transport.requests)) == (0, 1)
    assert heard == [("delta", {"text": "half an "})]


def test_an_unstreamed_turn_emits_only_at_its_end() -> None:
    """Unstreamed: text of a failed attempt went nowhere, so it is tried again and leaves no trace."""
    runtime, transport = make_runtime(partly, says("whole answer"), plugins={"retry": Always(TryAgain(0))})
    assert runtime.run(make_turn(runtime)).reply == "whole answer"
    assert len(transport.requests) == 2


def test_amendments_reach_one_attempt_only() -> None:
    """`rom_model_request` gets a fresh copy: what it changes is on this request and on no other."""

    class Amend:
        @hookimpl
        def rom_model_request(self, attempt: Attempt, request: dict[str, Any]) -> None:
            request["system"].append({"text": f"attempt {attempt.number}"})
            request["messages"][0]["content"][0]["text"] += "!"

    runtime, transport = make_runtime(*fails_then("ok"), plugins={"amend": Amend(), "retry": Always(TryAgain(0))})
    runtime.run(make_turn(runtime))
    assert [r["system"][-1]["text"] for r in transport.requests] == ["attempt 1", "attempt 2"]
    assert [r["messages"][0]["content"][0]["text"] for r in transport.requests] == ["question!", "question!"]


def test_usage_counts_every_request_that_was_billed() -> None:
    """Tokens of a failed attempt that Bedrock reported count; a request without a report is counted as unknown."""

    def billed(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        attempt.usage = says("").usage
        raise ModelServerError("", kind="500")

    turns: list[Turn] = []

    class Keep:
        @hookimpl(wrapper=True)
        def rom_turn(self, turn: Turn) -> Any:
            turns.append(turn)
            return (yield)

    runtime, _ = make_runtime(
        billed, ModelServerError("", kind="500"), says("ok"), plugins={"retry": Always(TryAgain(0)), "keep": Keep()}
    )
    assert runtime.run(make_turn(runtime)).usage.input_tokens == 20
    assert turns[0].usage_unknown == 1


def test_errors_that_are_not_the_models_are_not_asked_about() -> None:
    """The kill switch and a refusal of ours are no model failures: nobody is asked to try again."""
    plugin = Always(TryAgain(0))
    runtime, _ = make_runtime(says("x"), plugins={"retry": plugin}, BEDROCK_ENABLED=False)
    with pytest.raises(BedrockDisabled):
        runtime.run(make_turn(runtime))
    assert plugin.asked == 0


def test_a_plugin_may_answer_in_the_place_of_the_model() -> None:
    """A plain `rom_model_call` that returns a reply is the answer; nothing goes on the wire, streams included."""

    class Cached:
        @hookimpl
        def rom_model_call(self, call: ModelCall) -> ModelReply:
            return says("cached")

    heard: list[str] = []
    runtime, transport = make_runtime(ModelRefused("", kind="400"), plugins={"cache": Cached()})
    result = runtime.run(make_turn(runtime, sink=lambda name, data: heard.append(data["text"])))
    assert (result.reply, heard, transport.requests) == ("cached", ["cached"], [])
