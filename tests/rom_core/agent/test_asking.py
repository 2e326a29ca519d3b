"""A model call beside the answer: as any other to plugins and the bill, and unseen by the client."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from support import Recorder, failure, make_runtime, make_turn, says

from rom_core.agent.asking import BESIDE, ask_beside
from rom_core.errors import BedrockDisabled, DeadlineExceeded, ModelServerError, TurnCancelled
from rom_core.markers import hookimpl
from rom_core.turn import Attempt, ModelCall
from rom_core.turn_values import ModelReply, TryAgain

OTHERS = [{"role": "user", "content": [{"text": "resuma"}]}]


class Plugin:
    """Sees calls, and tries a failed attempt once more, on another model if one is set."""

    def __init__(self) -> None:
        self.calls: list[ModelCall] = []
        self.other: str | None = None

    @hookimpl(wrapper=True)
    def rom_model_call(self, call: ModelCall) -> Generator[None, ModelReply, ModelReply]:
        """Every call comes by."""
        self.calls.append(call)
        return (yield)

    @hookimpl
    def rom_model_failed(self, attempt: Attempt) -> TryAgain | None:
        """Once."""
        return TryAgain(model=self.other) if attempt.number == 1 else None


def ask(runtime: Any, turn: Any, seconds: float = 30.0) -> ModelReply:
    """The call."""
    return ask_beside(
        turn,
        OTHERS,
        max_tokens=50,
        seconds=seconds,
        watchdog=runtime.watchdog,
        check_enabled=runtime.check_enabled,
    )


def test_it_is_a_call_like_any_other_and_the_client_sees_nothing_of_it() -> None:
    """Hooks, events, usage, a fallback that stays; the turn's own messages, request and stream are as they were."""
    plugin, recorder, said = Plugin(), Recorder(), list[str]()
    steps = failure(ModelServerError), says("resumo")
    runtime, transport = make_runtime(*steps, plugins={"plugin": plugin, "recorder": recorder})
    turn = make_turn(runtime, sink=lambda name, _: said.append(name), citations=True, max_tokens=7)
    plugin.other = next(alias for alias in turn.settings.models if alias != turn.model)
    turn.messages = own = list(turn.request.messages)
    request, sink = turn.request, turn.sink
    assert ask(runtime, turn).text == "resumo"
    assert (turn.messages is own, turn.request is request, turn.sink is sink) == (True, True, True)
    assert [call.iteration for call in plugin.calls] == [BESIDE]
    assert recorder.names.count("model_call.finished") == 1
    assert (turn.model_requests, turn.usage.output_tokens > 0, turn.text) == (2, True, "")
    assert (turn.model, turn.degraded) == (plugin.other, True)
    assert transport.requests[-1]["messages"] == OTHERS
    assert transport.requests[-1]["inferenceConfig"]["maxTokens"] == 50
    assert said == ["held"], "a stream is kept alive, and that is all"


def test_its_own_time_ends_it_and_not_the_turn() -> None:
    """The turn has time left."""

    def slow(attempt: Attempt, _request: Any) -> ModelReply:
        attempt.turn.clock.sleep(40.0, attempt.call.cancel.event)
        attempt.call.check()
        return says("tarde demais")

    runtime, _ = make_runtime(slow)
    turn = make_turn(runtime)
    with pytest.raises(DeadlineExceeded):
        ask(runtime, turn)
    turn.check()


def test_the_end_of_the_turn_ends_it() -> None:
    """The client has gone, or Bedrock was switched off: nothing is sent."""
    runtime, transport = make_runtime(says("resumo"))
    turn = make_turn(runtime)
    turn.cancel.cancel("client_gone")
    with pytest.raises(TurnCancelled):
        ask(runtime, turn)
    runtime, transport = make_runtime(says("resumo"), BEDROCK_ENABLED=False)
    with pytest.raises(BedrockDisabled):
        ask(runtime, make_turn(runtime))
    assert transport.requests == []
