"""`rom_text`: whatever is said to the person passes the filters of plugins, on every way to the client, once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from falcon import testing
from structlog.testing import capture_logs
from support import MODELS, Recorder, Toolkit, asks, make_runtime, make_turn, says, tool
from text_filter_support import Each, Filtering, HoldBack, Unmask

from rom_core import hookspecs
from rom_core.errors import InternalError, InvalidOutput, ModelServerError, PluginError, Rejected
from rom_core.events import AttemptFinished
from rom_core.http.app import create_app
from rom_core.markers import hookimpl
from rom_core.plugin.catalogue import Catalogue
from rom_core.runtime import Runtime
from rom_core.structured import read_format
from rom_core.turn import Attempt
from rom_core.turn_values import ModelReply, StopLoop, TryAgain, TurnResult

SCHEMA = {"type": "object", "required": ["nome"], "properties": {"nome": {"enum": ["Ana", "<1>"]}}}


class Again:
    """Tries again at once."""

    @hookimpl
    def rom_model_failed(self) -> TryAgain:
        return TryAgain()


def breaks(*pieces: str) -> Callable[[Attempt, dict[str, Any]], ModelReply]:
    """A model that says this and then breaks off."""

    def step(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        for piece in pieces:
            attempt.text(piece)
        raise ModelServerError("", kind="500")

    return step


def run(runtime: Runtime, streamed: bool, **request: Any) -> tuple[TurnResult, list[str]]:
    """The answer, and the pieces that a client of a stream got of it."""
    heard: list[str] = []
    sink = (lambda name, data: heard.append(data["text"]) if name == "delta" else None) if streamed else None
    return runtime.run(make_turn(runtime, sink=sink, **request)), heard


@pytest.mark.parametrize("streamed", [False, True])
def test_filters_stand_in_the_order_of_the_list(streamed: bool) -> None:
    """Each gets what the one before it lets through, and also what that one gives at its end."""
    plugins = {
        "late": Filtering(lambda: Each(lambda text: text.upper(), lambda: "late")),
        "early": Filtering(lambda: Each(lambda text: f"[{text}]", lambda: "early")),
        "passes": Filtering(lambda: None),
    }
    runtime, _ = make_runtime(says("one two"), plugins=plugins, PLUGINS=["early", "late"])
    result, heard = run(runtime, streamed)
    assert result.reply == ("[ONE][ TWO]EARLYlate" if streamed else "[ONE TWO]EARLYlate")
    assert heard == (["[ONE]", "[ TWO]", "EARLYlate"] if streamed else [])


@pytest.mark.parametrize("streamed", [False, True])
def test_what_a_filter_holds_back_is_not_emitted(streamed: bool) -> None:
    """The attempt that breaks off is repeated with new filters; nothing of the first one is seen."""
    filtering = Filtering(lambda: HoldBack(8))
    runtime, transport = make_runtime(breaks("lost"), says("kept and said"), plugins={"f": filtering, "again": Again()})
    result, heard = run(runtime, streamed)
    assert result.reply == "kept and said"
    assert "".join(heard) == ("kept and said" if streamed else "")
    assert len(transport.requests) == 2
    assert filtering.made == (2 if streamed else 1)


def test_what_a_filter_has_let_through_is_not_repeated() -> None:
    """Once a piece has come out the attempt stands, and the client is told that it broke off."""
    runtime, transport = make_runtime(
        breaks("1234", "56789", "x"), plugins={"f": Filtering(lambda: HoldBack(8)), "again": Again()}
    )
    heard: list[Any] = []
    with pytest.raises(ModelServerError) as caught:
        runtime.run(make_turn(runtime, sink=lambda name, data: heard.append((name, *data.values()))))
    assert heard == [("held",), ("delta", "123456789"), ("delta", "x")]
    assert (caught.value.emitted, len(transport.requests)) == (True, 1)


@pytest.mark.parametrize("streamed", [False, True])
def test_the_conversation_keeps_what_the_model_said(streamed: bool) -> None:
    """The next iteration and the closing message are unfiltered; the answer and `rom_delta` are what came out."""
    deltas: list[str] = []

    class Ears:
        @hookimpl
        def rom_delta(self, text: str) -> None:
            deltas.append(text)

    class Guard:
        @hookimpl
        def rom_tools_requested(self, iteration: Any) -> StopLoop | None:
            return StopLoop("guardrail_test", text="cut <1>") if iteration.number == 2 else None

    steps = asks(("look", {}), text="Sim, <1>."), asks(("look", {})), breaks("half <1>", " <")
    plugins = {"f": Filtering(Unmask), "ears": Ears(), "kit": Toolkit(tool()), "guard": Guard()}
    runtime, transport = make_runtime(*steps, plugins=plugins)
    heard: list[str] = []
    sink = (lambda name, data: heard.append(data.get("text", ""))) if streamed else None
    turn = make_turn(runtime, sink=sink)
    result = runtime.run(turn)
    assert result.reply == ("Sim, Ana.\n\nhalf Ana \n\ncut Ana" if streamed else "Sim, Ana.\n\ncut Ana")
    assert "".join(deltas) == result.reply == ("".join(heard) or result.reply)
    assert transport.requests[1]["messages"][1]["content"][0] == {"text": "Sim, <1>."}
    said = "half <1> <\n\ncut <1>" if streamed else "cut <1>"
    assert turn.messages[-1] == {"role": "assistant", "content": [{"text": said}]}


@pytest.mark.parametrize("streamed", [False, True])
def test_our_own_words_pass_too(streamed: bool) -> None:
    """What the core says of an empty answer, and what a plugin says, each through filters of its own."""

    class Adds:
        @hookimpl(wrapper=True)
        def rom_turn(self, turn: Any) -> Any:
            result = yield
            turn.next_paragraph()
            turn.say("for <1>")
            return turn.result(result.stop_reason)

    filtering = Filtering(Unmask)
    runtime, _ = make_runtime(
        says(""), plugins={"f": filtering, "adds": Adds()}, TEXT_EMPTY_REPLY="nothing for <1>", PLUGINS=["adds"]
    )
    result, heard = run(runtime, streamed)
    assert result.reply == "nothing for Ana\n\nfor Ana"
    assert "".join(heard) in ("", result.reply)
    assert filtering.made == 2


def test_an_answer_that_filters_swallow_is_told_as_an_empty_one() -> None:
    """The person reads something in any case."""
    swallowed = [Each(lambda text: ""), Each()]
    runtime, _ = make_runtime(says("x"), plugins={"f": Filtering(lambda: swallowed.pop(0))}, TEXT_EMPTY_REPLY="nada")
    assert run(runtime, streamed=False)[0].reply == "nada"


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("held", [False, True])
def test_a_reply_that_a_plugin_changed_is_said_unless_the_models_was(streamed: bool, held: bool) -> None:
    """While everything was held back the plugin's words are the answer, with new filters; once emitted, it stands."""

    class Changes:
        @hookimpl(wrapper=True)
        def rom_model_call(self) -> Any:
            yield
            return says("of the plugin")

    filtering = Filtering(lambda: HoldBack(1000 if held else 0))
    runtime, _ = make_runtime(says("of the model"), plugins={"f": filtering, "changes": Changes()})
    result, _ = run(runtime, streamed)
    assert result.reply == ("of the model" if streamed and not held else "of the plugin")


class Bug(Exception):
    """Nobody's error class."""


def fails(error: Exception) -> Callable[..., Any]:
    """A method that raises."""

    def method(*_: Any) -> Any:
        raise error

    return method


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("make", "raised", "logged"),
    [
        (lambda: Each(fails(Rejected("not this"))), Rejected, False),
        (lambda: Each(close=fails(Rejected("not this"))), Rejected, False),
        (lambda: Each(fails(Bug())), InternalError, True),
        (lambda: Each(fails(ModelServerError("", kind="500"))), InternalError, True),
        (lambda: Each(lambda text: None), InternalError, True),
        (lambda: Each(close=lambda: 7), InternalError, True),
        (lambda: "no filter", InternalError, True),
        (fails(Bug()), InternalError, True),
    ],
)
def test_a_filter_that_fails_ends_the_turn(
    streamed: bool, make: Callable[[], Any], raised: type[Exception], logged: bool
) -> None:
    """As a guard does, in its own words if it has some; the model is not asked again, and the log names the plugin."""
    recorder = Recorder()
    plugins = {"odd": Filtering(make), "again": Again(), "recorder": recorder}
    runtime, transport = make_runtime(says("x"), plugins=plugins)
    with capture_logs() as logs, pytest.raises(raised):
        run(runtime, streamed)
    assert len(transport.requests) == 1
    assert [line["plugin"] for line in logs if line["event"] == "text_filter.failed"] == ["odd"] * logged
    assert sum(isinstance(event, AttemptFinished) for event in recorder.events) == 1
    assert recorder.names[-1] == "turn.finished"


@pytest.mark.parametrize("streamed", [False, True])
def test_nothing_is_said_after_a_filter_has_failed(streamed: bool) -> None:
    """A closing answer that it refuses is not replaced by our own text: a guard fails closed."""

    class Guard:
        @hookimpl
        def rom_tools_requested(self) -> StopLoop:
            return StopLoop("guardrail_test", text="cut short")

    def refuse(text: str) -> str:
        if "secret" in text:
            raise Rejected("not this")
        return text

    plugins = {"f": Filtering(lambda: Each(refuse)), "kit": Toolkit(tool()), "guard": Guard()}
    runtime, _ = make_runtime(asks(("look", {})), says("the secret"), plugins=plugins)
    heard: list[str] = []
    sink = (lambda name, data: heard.append(data.get("text", ""))) if streamed else None
    with pytest.raises(Rejected):
        runtime.run(make_turn(runtime, sink=sink))
    assert "cut short" not in "".join(heard)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("replaced", "good"), [("Ana", True), ("Bia", False)])
def test_a_structured_answer_passes_and_is_still_what_was_asked_for(streamed: bool, replaced: str, good: bool) -> None:
    """In one piece; what does not satisfy the schema any more is 502 and reaches nobody."""
    runtime, _ = make_runtime(
        says('{"nome": "<1>"}'),
        plugins={"f": Filtering(lambda: Each(lambda text: text.replace("<1>", replaced)))},
        MODELS=[{**MODELS[0], "structured_output": True}, *MODELS[1:]],
    )
    form = read_format({"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}})
    heard: list[str] = []
    sink = (lambda name, data: heard.append(data.get("text", ""))) if streamed else None
    turn = make_turn(runtime, sink=sink, response_format=form)
    if good:
        assert json.loads(runtime.run(turn).reply) == {"nome": "Ana"}
        return
    with pytest.raises(InvalidOutput, match="a plugin changed"):
        runtime.run(turn)
    assert "".join(heard) == ""


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/chat", {"message": "q"}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "q"}]}),
        (
            "/v1/messages",
            {"model": "anthropic.first", "max_tokens": 10, "messages": [{"role": "user", "content": "q"}]},
        ),
    ],
)
def test_every_dialect_shows_what_came_out(path: str, body: dict[str, Any], streamed: bool) -> None:
    """And nothing of what went in."""
    runtime, _ = make_runtime(says("cara <1> !"), plugins={"f": Filtering(Unmask)})
    client = testing.TestClient(create_app(runtime))
    answer = client.simulate_post(path, json={**body, "stream": streamed})
    assert answer.status_code == 200
    assert "Ana" in answer.text
    assert "<1>" not in answer.text


def test_nothing_is_made_where_nobody_filters() -> None:
    """Decided when the pipeline is built; a plugin that is switched off filters nothing."""
    filtering = Filtering(Unmask)
    runtime, _ = make_runtime(says("<1>"), plugins={"f": filtering}, F_ENABLED=False)
    assert run(runtime, streamed=True)[0].reply == "<1>"
    assert (runtime.current.pipeline.filters_text, filtering.made) == (False, 0)


def test_a_wrapper_is_refused() -> None:
    """Each plugin is asked by itself."""

    class Wrapped:
        @hookimpl(wrapper=True)
        def rom_text(self) -> Any:
            return (yield)

    with pytest.raises(PluginError, match=r"rom_text .*cannot be wrapped"):
        Catalogue.of(hookspecs, odd=Wrapped())
