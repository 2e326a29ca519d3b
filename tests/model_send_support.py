"""Plugins that answer in the place of the model, and turns that they answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support import Step, make_settings, make_turn, says

from rom_core.errors import ModelServerError
from rom_core.markers import hookimpl
from rom_core.runtime import Runtime
from rom_core.turn import Attempt
from rom_core.turn_values import ModelReply, Usage

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
