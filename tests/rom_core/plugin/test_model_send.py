"""`rom_model_send`: what goes on the wire can be read, and a plugin may answer in its place, truthfully counted."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from support import MODELS, Recorder, Step, Toolkit, asks, make_runtime, make_settings, make_turn, says, tool
from text_filter_support import Filtering, HoldBack, Unmask

from plugins.breaker import Breaker
from plugins.metrics import Metrics
from rom_core.concurrency.clock import FakeClock
from rom_core.errors import BedrockDisabled, DeadlineExceeded, InternalError, ModelServerError, TurnCancelled
from rom_core.events import AttemptAnswered, AttemptFinished, CircuitClosed, CircuitOpened
from rom_core.markers import hookimpl
from rom_core.runtime import Runtime
from rom_core.structured import read_format
from rom_core.turn import Attempt
from rom_core.turn_values import ModelReply, TryAgain, Usage

KNOWN = ModelReply(
    (
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
        {"text": "known <1>"},
    ),
    "end_turn",
    "anthropic.first",
    Usage(1000, 1000),
)
HOOKS = ("rom_model_send", "rom_model_attempt", "rom_model_call")
ERROR = ModelServerError("", kind="500")


def answering(answer: Callable[[Any], Any], hook: str = "rom_model_send") -> Any:
    """A plugin whose plain implementation of `hook` is `answer`, which gets the attempt or the call."""

    class Answers:
        pass

    methods: dict[str, Callable[..., Any]] = {
        "rom_model_send": lambda attempt: answer(attempt),
        "rom_model_attempt": lambda attempt: answer(attempt),
        "rom_model_call": lambda call: answer(call),
    }
    setattr(Answers, hook, staticmethod(hookimpl(methods[hook])))
    return Answers()


class Stale:
    """Answers from what it knows when the wire fails."""

    @hookimpl(wrapper=True)
    def rom_model_send(self) -> Any:
        try:
            return (yield)
        except ModelServerError:
            return says("stale")


def breaks(*pieces: str) -> Step:
    """A model that says this and then breaks off."""

    def step(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        for piece in pieces:
            attempt.text(piece)
        raise ModelServerError("", kind="500")

    return step


def switch_off(runtime: Runtime) -> None:
    """The kill switch, as an administrator uses it while turns run."""
    runtime.swap(runtime.build(make_settings(runtime.catalogue, BEDROCK_ENABLED=False)))


def run(runtime: Runtime, streamed: bool, **request: Any) -> tuple[Any, list[Any]]:
    """The turn, and what a client of a stream got: (event, data) each."""
    heard: list[Any] = []
    turn = make_turn(runtime, sink=(lambda name, data: heard.append((name, data))) if streamed else None, **request)
    runtime.run(turn)
    return turn, heard


def test_the_request_that_goes_out_can_be_read_and_not_changed() -> None:
    """It is as the wire gets it, amended and normalised; what a plugin does to its copy reaches nobody."""
    seen: list[Any] = []

    class Amends:
        @hookimpl
        def rom_model_request(self, attempt: Attempt, request: dict[str, Any]) -> None:
            assert not attempt.request
            request["system"].append({"text": "amended"})

    def look(attempt: Attempt) -> None:
        seen.append(attempt.request)
        with pytest.raises(TypeError):
            attempt.request["modelId"] = "other"  # type: ignore[index]
        attempt.request["messages"][0]["content"][0]["text"] = "changed"

    recorder = Recorder()
    plugins = {"amends": Amends(), "looks": answering(look), "recorder": recorder}
    runtime, transport = make_runtime(says("ok"), plugins=plugins)
    run(runtime, streamed=False)
    assert transport.requests[0]["messages"][0]["content"] == [{"text": "question"}]
    assert transport.requests[0]["system"][-1] == {"text": "amended"}
    assert seen[0].keys() == transport.requests[0].keys() >= {"modelId", "inferenceConfig"}
    [finished] = [event for event in recorder.events if isinstance(event, AttemptFinished)]
    assert finished.attempt.request is seen[0]
    assert (finished.attempt.reply, finished.attempt.answered_by) == (says("ok"), "wire")


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


@pytest.mark.parametrize("hook", HOOKS[:2])
@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_in_the_place_of_the_wire_is_no_request(streamed: bool, hook: str) -> None:
    """Nothing is sent, billed or counted as sent; the client gets all of it, thoughts and text, streamed too."""
    recorder, metrics = Recorder(), Metrics()
    plugins = {
        "cache": answering(lambda _: KNOWN, hook),
        "recorder": recorder,
        "metrics": metrics,
        "filter": Filtering(Unmask),
    }
    runtime, transport = make_runtime(says("of the wire"), plugins=plugins)
    metrics.rom_start(runtime)
    turn, heard = run(runtime, streamed, show_thinking=True)
    metrics.rom_stop()
    assert turn.text == "known Ana"
    if streamed:
        thought = [("thinking", {}), ("thinking", {"text": "hm"}), ("thinking", {"signature": "s"})]
        assert heard == [*thought, ("delta", {"text": "known Ana"})]
    assert transport.requests == []
    assert (turn.model_requests, turn.usage, turn.usage_unknown) == (0, Usage(), 0)
    assert [name for name in recorder.names if name.startswith("attempt.")] == ["attempt.answered"]
    [answered] = [event for event in recorder.events if isinstance(event, AttemptAnswered)]
    attempt = answered.attempt
    assert (attempt.reply, attempt.answered_by, attempt.on_wire) == (KNOWN, "plugin", False)
    assert attempt.call.requests == 0
    sample = runtime.registry.get_sample_value
    assert sample("rom_model_answered_total", {"model": "anthropic.first"}) == 1
    assert sample("rom_model_attempts_total", {"model": "anthropic.first", "outcome": "ok"}) == 0
    assert sample("rom_bedrock_cost_usd_total", {"model": "anthropic.first"}) == 0
    assert sample("rom_first_delta_seconds_count", {"cohort": "stable"}) == 1


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_that_a_known_answer_asks_for_run(streamed: bool) -> None:
    """The loop goes on from it as from any reply, and from the wire where nothing is known."""
    known = [asks(("look", {})), None]
    plugins = {"cache": answering(lambda _: known.pop(0)), "kit": Toolkit(tool())}
    runtime, transport = make_runtime(says("ok"), plugins=plugins)
    turn, _ = run(runtime, streamed)
    runtime.tool_pool.stop()
    assert (turn.text, len(turn.tool_calls), len(transport.requests)) == ("ok", 1, 1)
    assert transport.requests[0]["messages"][-1]["content"][0]["toolResult"]["status"] == "success"


@pytest.mark.parametrize("streamed", [False, True])
def test_citations_of_a_known_answer_are_shown_with_its_text(streamed: bool) -> None:
    """Checked as those of the model are, and each after the text that it belongs to."""
    cited = {"citationsContent": {"content": [{"text": "art. 5"}], "citations": [{"title": "lei"}]}}
    known = ModelReply(({"text": "Veja: "}, cited), "end_turn", "anthropic.first")
    sources: Any = SimpleNamespace(check=lambda given: SimpleNamespace(block=given, shown={"quote": "5"}, name="lei"))
    runtime, _ = make_runtime(plugins={"cache": answering(lambda _: known)})
    turn, heard = run(runtime, streamed, sources=sources)
    citation = {"quote": "5", "reply": {"start": 6, "end": 12}}
    assert (turn.text, turn.citations) == ("Veja: art. 5", [citation])
    if streamed:
        assert heard == [("delta", {"text": "Veja: "}), ("delta", {"text": "art. 5"}), ("citation", citation)]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_structured_answer_may_be_known(streamed: bool) -> None:
    """It is looked for in what the plugin gave, and handed out once it is valid."""
    known = says('{"a": 1}')
    runtime, _ = make_runtime(plugins={"cache": answering(lambda _: known)}, MODELS=MODELS)
    turn, heard = run(runtime, streamed, response_format=read_format({"type": "json_object"}))
    assert turn.text == '{"a": 1}'
    assert [data["text"] for name, data in heard if name == "delta"] == ['{"a": 1}'] * streamed


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


def test_the_hook_is_not_called_where_nobody_has_it() -> None:
    """Decided when the pipeline is built: an attempt costs nothing more."""
    runtime, _ = make_runtime(plugins={"recorder": Recorder()})
    called: list[str] = []
    pipeline: Any = runtime.current.pipeline
    pipeline._manager.add_hookcall_monitoring(lambda name, *_: called.append(name), lambda *_: None)
    run(runtime, streamed=False)
    assert "rom_model_attempt" in called
    assert not {"rom_model_send", "rom_text", "rom_model_request"}.intersection(called)
