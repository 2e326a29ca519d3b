"""The closing request of a stopped loop: what it may take, and that the turn ends well without it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from guardrail_support import Loop
from support import (
    asks,
    make_settings,
)

from plugins.guardrails import (
    REPETITION,
)
from rom_core.errors import DeadlineExceeded, TurnCancelled
from rom_core.runtime import Runtime
from rom_core.turn import Attempt
from rom_core.turn_values import ModelReply, TurnResult


def test_with_no_time_left_there_is_no_closing_request() -> None:
    """A closing request that could not end before the deadline is not made; the person reads the configured text."""
    loop = Loop(*[[("a", {})]] * 3)
    clock: Any = loop.runtime.clock

    def last(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        clock.advance(118.5)
        return asks(("a", {}))

    loop.transport.steps[2] = last
    result = loop.run()
    assert (result.reply, result.stop_reason) == (loop.runtime.current.settings.TEXT_CUT_SHORT, REPETITION)
    assert len(loop.transport.requests) == 3


def closing_with(step: Callable[[Attempt], Any]) -> tuple[Loop, Callable[[], TurnResult]]:
    """A loop whose closing request is played by `step`."""
    loop = Loop(*[[("a", {})]] * 3)
    loop.transport.steps[3:] = [lambda attempt, request: step(attempt)]
    return loop, loop.run


def test_a_closing_request_has_less_time_than_the_turn() -> None:
    """It ends early enough for our own text to be handed over, and running into that end is not an error."""
    left: list[float] = []

    def step(attempt: Attempt) -> ModelReply:
        call = attempt.call
        left.append(attempt.turn.deadline.remaining() - call.deadline.remaining())
        loop.runtime.clock.advance(call.deadline.remaining())  # type: ignore[attr-defined]
        call.check()
        raise AssertionError("not reached")

    loop, run = closing_with(step)
    assert run().reply == loop.runtime.current.settings.TEXT_CUT_SHORT
    assert left == [pytest.approx(1.0)]
    assert loop.turn.deadline.remaining() > 0


def test_a_turn_that_ends_during_the_closing_request_ends_as_what_it_is() -> None:
    """A client that leaves, or the turn's own deadline, is not covered up by the closing text."""

    def leave(attempt: Attempt) -> ModelReply:
        attempt.turn.cancel.cancel("client_gone")
        attempt.call.check()
        raise AssertionError("not reached")

    def expire(attempt: Attempt) -> ModelReply:
        loop.runtime.clock.advance(500)  # type: ignore[attr-defined]
        attempt.call.check()
        raise AssertionError("not reached")

    loop, run = closing_with(leave)
    with pytest.raises(TurnCancelled):
        run()
    loop, run = closing_with(expire)
    with pytest.raises(DeadlineExceeded):
        run()


def test_the_kill_switch_during_the_closing_request_still_gives_an_answer() -> None:
    """No request goes out, and the person reads the configured text with status 200."""
    loop = Loop(*[[("a", {})]] * 3)
    runtime: Runtime = loop.runtime

    def off(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        settings = make_settings(runtime.catalogue, BEDROCK_ENABLED=False)
        runtime.swap(dataclasses.replace(runtime.current, settings=settings))
        return asks(("a", {}))

    loop.transport.steps[2] = off
    assert loop.run().reply == runtime.current.settings.TEXT_CUT_SHORT
    assert len(loop.transport.requests) == 3
