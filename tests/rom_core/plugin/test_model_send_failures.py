"""`rom_model_send` where something ends or fails: the turn, the wire, the plugin itself."""

from __future__ import annotations

from typing import Any

import pytest
from model_send_support import ERROR, HOOKS, KNOWN, Stale, answering, breaks, run, switch_off
from support import Recorder, make_runtime, make_turn, says
from text_filter_support import Filtering, HoldBack

from plugins.breaker import Breaker
from rom_core.concurrency.clock import FakeClock
from rom_core.errors import BedrockDisabled, DeadlineExceeded, InternalError, ModelServerError, TurnCancelled
from rom_core.events import AttemptAnswered, AttemptFinished, CircuitClosed, CircuitOpened
from rom_core.markers import hookimpl
from rom_core.turn import Attempt
from rom_core.turn_values import ModelReply, TryAgain


def test_an_attempt_that_failed_has_no_reply() -> None:
    """The event of the failure says so, and has the request all the same."""
    replies: list[Any] = []

    class Ears:
        @hookimpl
        def rom_event(self, event: Any) -> None:
            if isinstance(event, AttemptFinished):
                replies.append((event.attempt.reply, event.attempt.answered_by, bool(event.attempt.request)))

    runtime, _ = make_runtime(ERROR, plugins={"ears": Ears()})
    with pytest.raises(ModelServerError):
        run(runtime, streamed=False)
    assert replies == [(None, "", True)]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("ending", ["switched off", "deadline", "client gone"])
def test_kill_switch_deadline_and_client_hold_whatever_is_answered(ending: str, hook: str, streamed: bool) -> None:
    """What ends the turn while the plugin answers ends it, and the answer reaches nobody."""
    clock = FakeClock()

    def end(given: Any) -> ModelReply:
        if ending == "switched off":
            switch_off(runtime)
        elif ending == "deadline":
            clock.advance(11)
        else:
            given.turn.cancel.cancel("client_gone")
        return KNOWN

    plugins = {"slow": answering(end, hook)}
    runtime, transport = make_runtime(plugins=plugins, clock=clock, TURN_DEADLINE_SECONDS=10)
    errors = {"switched off": BedrockDisabled, "deadline": DeadlineExceeded, "client gone": TurnCancelled}
    heard: list[str] = []
    turn = make_turn(runtime, sink=(lambda name, data: heard.append(name)) if streamed else None)
    with pytest.raises(errors[ending]):
        runtime.run(turn)
    assert (heard, turn.text, transport.requests) == ([], "", [])


def test_a_plugin_that_waits_does_not_send_after_the_kill() -> None:
    """The innermost step asks once more, right before the wire."""

    class Waits:
        @hookimpl(wrapper=True)
        def rom_model_send(self) -> Any:
            switch_off(runtime)
            return (yield)

    runtime, transport = make_runtime(plugins={"waits": Waits()})
    with pytest.raises(BedrockDisabled):
        run(runtime, streamed=False)
    assert transport.requests == []


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize(
    ("half", "lack"),
    [
        (ModelReply(({"text": "x"},), "", "m"), "no stop_reason"),
        (ModelReply(({"text": "x"},), None, "m"), "no stop_reason"),  # type: ignore[arg-type]
        (ModelReply([{"text": "x"}], "end_turn", "m"), "no tuple"),  # type: ignore[arg-type]
        (ModelReply("x", "end_turn", "m"), "no tuple"),  # type: ignore[arg-type]
        (ModelReply(({"text": 7},), "end_turn", "m"), "wrong type"),
        (ModelReply(({"citationsContent": "x"},), "end_turn", "m"), "wrong type"),
        (ModelReply(({},), "end_turn", "m"), "no object"),
        (ModelReply(({"toolUse": {"name": "look"}},), "tool_use", "m"), "without toolUseId"),
        (ModelReply((), "end_turn", "m", {"inputTokens": 1}), "usage"),  # type: ignore[arg-type]
        ({"content": []}, "must return a ModelReply"),
    ],
)
def test_half_a_reply_is_refused(half: Any, lack: str, hook: str) -> None:
    """As an answer of the wrong type, by the name of the hook, and nothing of it is said."""
    runtime, transport = make_runtime(plugins={"odd": answering(lambda _: half, hook)})
    turn = make_turn(runtime)
    with pytest.raises(InternalError) as caught:
        runtime.run(turn)
    assert hook in str(caught.value.__cause__)
    assert lack in str(caught.value.__cause__)
    assert (turn.text, transport.requests) == ("", [])


@pytest.mark.parametrize("streamed", [False, True])
def test_a_failure_of_the_wire_may_be_answered_while_nothing_was_emitted(streamed: bool) -> None:
    """What filters held back of the failed attempt is forgotten; the failure is counted, and so is the answer."""
    recorder = Recorder()
    plugins = {"stale": Stale(), "recorder": recorder, "filter": Filtering(lambda: HoldBack(1000))}
    runtime, transport = make_runtime(breaks("half"), plugins=plugins)
    turn, _ = run(runtime, streamed)
    assert (turn.text, turn.model_requests, len(transport.requests)) == ("stale", 1, 1)
    told = [name for name in recorder.names if name.startswith("attempt.")]
    assert told == ["attempt.started", "attempt.finished", "attempt.answered"]
    [answered] = [event for event in recorder.events if isinstance(event, AttemptAnswered)]
    assert (answered.attempt.on_wire, answered.attempt.answered_by) == (True, "plugin")
    assert isinstance(answered.attempt.error, ModelServerError)


def test_a_failure_that_the_client_has_seen_half_of_stands() -> None:
    """Never a silent second beginning, whatever a plugin answers."""
    runtime, transport = make_runtime(breaks("half"), plugins={"stale": Stale()})
    heard: list[Any] = []
    with pytest.raises(ModelServerError) as caught:
        runtime.run(make_turn(runtime, sink=lambda name, data: heard.append(data.get("text"))))
    assert (heard, caught.value.emitted, len(transport.requests)) == (["half"], True, 1)


def test_a_refusal_before_the_wire_is_no_request_and_is_bounded() -> None:
    """`rom_model_failed` is asked as after any failure; a plugin that refuses for ever is stopped."""
    asked: list[bool] = []

    class Refuses:
        @hookimpl(wrapper=True)
        def rom_model_send(self) -> Any:
            raise ModelServerError("", kind="500")
            yield

        @hookimpl
        def rom_model_failed(self, attempt: Attempt) -> TryAgain:
            asked.append(attempt.on_wire)
            return TryAgain()

    recorder = Recorder()
    runtime, transport = make_runtime(plugins={"no": Refuses(), "recorder": recorder}, MAX_MODEL_REQUESTS=2)
    turn = make_turn(runtime)
    with pytest.raises(ModelServerError):
        runtime.run(turn)
    assert (transport.requests, turn.model_requests, turn.usage_unknown) == ([], 0, 0)
    assert asked == [False] * 7
    assert not [name for name in recorder.names if name.startswith("attempt.")]


@pytest.mark.parametrize("fails", [False, True])
def test_an_answer_of_a_plugin_says_nothing_good_of_the_model(fails: bool) -> None:
    """It closes no circuit; a failure that a plugin covers up opens it."""
    breaker, recorder, clock = Breaker(), Recorder(), FakeClock()
    plugins: dict[str, Any] = {"breaker": breaker, "recorder": recorder}
    known: list[ModelReply | None] = [None]
    plugins["cache"] = Stale() if fails else answering(lambda _: known[0])
    runtime, transport = make_runtime(ERROR, plugins=plugins, clock=clock, BREAKER_FAILURES=2, PLUGINS=["breaker"])
    breaker.rom_start(runtime)
    for _ in range(2):
        if fails:
            assert run(runtime, streamed=False)[0].text == "stale"
        else:
            with pytest.raises(ModelServerError):
                run(runtime, streamed=False)
    assert [type(event) for event in recorder.events if isinstance(event, CircuitOpened)] == [CircuitOpened]
    if fails:
        return
    clock.advance(31)
    known[0] = says("known")
    for _ in range(2):
        assert run(runtime, streamed=False)[0].text == "known"
    assert not [event for event in recorder.events if isinstance(event, CircuitClosed)]
    assert len(transport.requests) == 2
    assert breaker.status_of("anthropic.first")["state"] == "half_open"
