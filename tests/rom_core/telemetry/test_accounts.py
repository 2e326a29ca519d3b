"""The account of a turn: cost, retries, and where the time went."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from support import Toolkit, asks, make_runtime, make_turn, says, tool

from rom_core.concurrency.clock import FakeClock
from rom_core.errors import ModelError, ModelServerError, ModelThrottled, RomError
from rom_core.events import Event, RequestRejected, ServerDraining, TurnFinished
from rom_core.markers import hookimpl
from rom_core.settings import Model, PriceBand
from rom_core.telemetry.accounts import TurnAccount, cost_usd, turn_of, uncached_cost_usd
from rom_core.turn import Attempt, Turn
from rom_core.turn_values import ModelReply, TryAgain, Usage

PRICED = Model("m", "id", 100, True, 3.0, 15.0, 0.3, 3.75)


class Accountant:
    """An observer that keeps the account of the last turn."""

    def __init__(self) -> None:
        self.account = TurnAccount()
        self.finished: TurnFinished | None = None

    @hookimpl
    def rom_event(self, event: Event) -> None:
        self.account.observe(event)
        if isinstance(event, TurnFinished):
            self.finished = event

    @property
    def overhead(self) -> float:
        assert self.finished is not None
        return self.account.overhead(self.finished)


class Persistent:
    """Tries again twice after a second, then on the second model."""

    @hookimpl
    def rom_model_failed(self, attempt: Attempt) -> TryAgain:
        return TryAgain(1.0) if attempt.number < 3 else TryAgain(0.5, "anthropic.second")


def takes(clock: FakeClock, seconds: float, reply: ModelReply | ModelError) -> Any:
    """A step of the model that lasts so long before it answers."""

    def step(attempt: Attempt, _request: dict[str, Any]) -> ModelReply:
        clock.advance(seconds)
        if isinstance(reply, ModelError):
            raise reply
        return reply

    return step


def test_cost_is_the_sum_over_four_disjoint_kinds() -> None:
    """Each kind at its own price per million; without caching all of the prompt costs what input costs."""
    usage = Usage(1_000_000, 100_000, 2_000_000, 400_000)
    assert cost_usd(PRICED, usage) == pytest.approx(3.0 + 1.5 + 0.6 + 1.5)
    assert uncached_cost_usd(PRICED, usage) == pytest.approx(3 * 3.4 + 1.5)
    assert cost_usd(PRICED, Usage()) == 0


def test_a_request_of_a_long_prompt_costs_what_its_band_says() -> None:
    """All of its tokens do; what was read from the cache and written to it counts for the length."""
    banded = replace(PRICED, price_bands=(PriceBand(1000, 30.0, 150.0, 3.0, 37.5, 60.0),))
    short, long = Usage(500, 10, 400, 100), Usage(501, 10, 400, 100, 40)
    assert cost_usd(banded, short) == cost_usd(PRICED, short)
    assert cost_usd(banded, long) == pytest.approx((501 * 30 + 10 * 150 + 400 * 3 + 60 * 37.5 + 40 * 60) / 1e6)
    assert uncached_cost_usd(banded, long) == pytest.approx((1001 * 30 + 10 * 150) / 1e6)


def test_time_is_split_between_model_tools_retries_queue_and_ourselves() -> None:
    """What is neither the model's nor the tools' nor waiting is our own; a wait counts as long as it lasted."""
    clock = FakeClock()
    accountant = Accountant()

    def slow(_value: Any, _context: Any) -> str:
        clock.advance(4)
        return "done"

    class Hesitant:
        @hookimpl(wrapper=True)
        def rom_iteration(self) -> Any:
            clock.advance(0.25)
            return (yield)

    runtime, _ = make_runtime(
        takes(clock, 2, ModelThrottled()),
        takes(clock, 3, asks(("look", {}))),
        takes(clock, 5, says("done")),
        plugins={"a": accountant, "p": Persistent(), "h": Hesitant(), "kit": Toolkit(tool(run=slow))},
        clock=clock,
    )
    turn = make_turn(runtime)
    clock.advance(7)
    turn.queue_wait = 7
    runtime.run(turn)
    account = accountant.account
    assert (account.model_time, account.tool_time, account.retry_wait) == (10, 4, 1)
    assert accountant.overhead == pytest.approx(0.5)
    assert account.attempts == [("anthropic.first", outcome) for outcome in ("throttled", "ok", "ok")]
    assert (account.retries, account.fallbacks) == (1, 0)


def test_parallel_tools_count_once() -> None:
    """Tool time is the time during which at least one ran, not the sum."""
    clock = FakeClock()
    accountant = Accountant()
    together = threading.Barrier(2, timeout=60)

    def run(_value: Any, _context: Any) -> str:
        together.wait()
        if together.wait() == 0:
            clock.advance(3)
        together.wait()
        return "done"

    runtime, _ = make_runtime(
        asks(("look", {}), ("look", {})),
        says("done"),
        plugins={"a": accountant, "k": Toolkit(tool(run=run))},
        clock=clock,
    )
    turn = make_turn(runtime)
    runtime.run(turn)
    assert accountant.account.tool_time == 3
    assert accountant.overhead == 0
    assert sum(call.duration for call in turn.tool_calls) == 6


def test_a_fallback_is_not_a_retry() -> None:
    """Trying the same model again is a retry, going to another one a fallback; both waits count."""
    accountant = Accountant()
    runtime, _ = make_runtime(
        *[ModelServerError()] * 3, says("ok"), plugins={"a": accountant, "p": Persistent()}, clock=FakeClock()
    )
    runtime.run(make_turn(runtime))
    account = accountant.account
    assert (account.retries, account.fallbacks, account.retry_wait) == (2, 1, 2.5)
    assert account.attempts[-1] == ("anthropic.second", "ok")


def test_first_delta_is_that_of_the_attempt_that_was_kept() -> None:
    """Text of an attempt that was thrown away is nothing the person waited for the first of."""
    clock = FakeClock()
    accountant = Accountant()

    def breaks(attempt: Attempt, _request: dict[str, Any]) -> ModelReply:
        clock.advance(1)
        attempt.text("thrown away")
        raise ModelServerError

    runtime, _ = make_runtime(
        breaks, takes(clock, 5, says("kept")), plugins={"a": accountant, "p": Persistent()}, clock=clock
    )
    runtime.run(make_turn(runtime))
    assert accountant.account.first_delta == 1 + 1 + 5


@pytest.mark.parametrize(
    ("error", "text", "missing"),
    [
        (ModelThrottled(), "", 0),
        (ModelServerError(), "", 0),
        (ModelServerError(), "begun", 1),
        (None, "whole", 1),
    ],
)
def test_usage_is_missing_only_where_something_may_have_been_billed(
    error: RomError | None, text: str, missing: int
) -> None:
    """A refusal is not billed; an answer, or the beginning of one, is, whether usage came or not."""
    accountant = Accountant()

    def step(attempt: Attempt, _request: dict[str, Any]) -> ModelReply:
        if text:
            attempt.text(text)
        if error is not None:
            raise error
        return ModelReply(({"text": text},), "end_turn", "anthropic.first")

    runtime, _ = make_runtime(step, plugins={"a": accountant})
    try:
        runtime.run(make_turn(runtime))
    except RomError:
        assert error is not None
    assert (accountant.account.usage_unknown, accountant.account.cost) == (missing, 0)


def test_tools_that_were_given_up_count_until_the_turn_ended() -> None:
    """A tool that still runs when the client leaves takes time of the turn until then."""
    clock = FakeClock()
    accountant = Accountant()
    release = threading.Event()

    def hang(_value: Any, _context: Any) -> str:
        clock.advance(2)
        turn.cancel.cancel("client_gone")
        release.wait(60)
        return "late"

    runtime, _ = make_runtime(asks(("look", {})), plugins={"a": accountant, "k": Toolkit(tool(run=hang))}, clock=clock)
    turn: Turn = make_turn(runtime)
    with pytest.raises(RomError):
        runtime.run(turn)
    release.set()
    assert accountant.account.tool_time == 2


def test_the_turn_of_an_event() -> None:
    """Found through whatever object the event carries; None for what belongs to no turn."""
    recorded: list[Event] = []

    class Keeper:
        @hookimpl
        def rom_event(self, event: Event) -> None:
            recorded.append(event)

    runtime, _ = make_runtime(asks(("look", {})), says("ok"), plugins={"k": Keeper(), "kit": Toolkit(tool())})
    turn = make_turn(runtime)
    runtime.run(turn)
    assert len(recorded) == 16
    assert {id(turn_of(event)) for event in recorded} == {id(turn)}
    assert turn_of(ServerDraining()) is None
    assert turn_of(RequestRejected("/api/chat", "overloaded")) is None
