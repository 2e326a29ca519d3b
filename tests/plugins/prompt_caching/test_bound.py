"""Caching never costs more than 1 %: the local Bedrock's own accounting is the judge."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from caching_support import BANDED, MODELS, Office, Talk, count_otherwise, look, message, tools
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.prompt_caching.planner import RULES, Planner
from rom_core.turn_values import CachePlan

SIZES = st.sampled_from([10, 800, 8000])
SYSTEMS = ["short", "s" * 5000, "l" * 20000]
INDEX = st.integers(0, 5)
BEGIN = st.tuples(
    st.just("begin"), st.sampled_from(MODELS), st.sampled_from(SYSTEMS), st.integers(1, 3), INDEX, SIZES, st.booleans()
)
STEPS = st.one_of(
    BEGIN,
    st.tuples(st.just("call"), INDEX, SIZES),
    st.tuples(st.just("call"), INDEX, SIZES),
    st.tuples(st.just("end"), INDEX, st.sampled_from(["ok", "ok", "ok", "ok", "lost", "refused"])),
    st.tuples(st.just("end"), INDEX, st.just("ok")),
    st.tuples(st.just("close"), INDEX, SIZES),
    st.tuples(st.just("fall back"), INDEX, st.sampled_from(MODELS)),
    st.tuples(st.just("change tools"), INDEX, st.integers(1, 3)),
    st.tuples(st.just("pause"), st.sampled_from([1.0, 20.0, 120.0, 290.0, 310.0, 900.0, 3000.0, 4000.0])),
    st.tuples(st.just("forget"), INDEX),
)
# What each rule may set: the life of the static point, and whether there is a moving one.
SETS: dict[str, set[tuple[str, bool]]] = {
    "static_in_use": {("5m", False)},
    "static_hour": {("1h", False)},
    "second_call_certain": {("5m", False)},
    "later_call": {("", True), ("5m", True), ("1h", True)},
    "living_conversation": {("", True), ("5m", True), ("1h", True)},
}


def play(office: Office, steps: Sequence[Any], *, forgets: bool = True) -> None:
    """Carry the steps out, and check the bill after each: turns run side by side, requests end in any order."""
    talks: list[Talk] = []
    histories: dict[Any, list[Any]] = {}
    for step in steps:
        office.clock.advance(0.5)
        match step:
            case ("begin", model, system, count, key, size, forced):
                # The conversation of a key goes on, whatever model and tools its turn has (a canary's, say).
                history = histories.setdefault((system, key), [])
                history.append(message("user", {"text": f"{key}" + "q" * size}))
                talks.append(Talk(model, system, tools(count), list(history)))
                office.send(talks[-1], forced=forced)
                history.append(message("assistant", {"text": "a" * 200}))
            case ("call" | "close" as kind, number, size) if talks:
                talk = talks[number % len(talks)]
                look(talk, size)
                office.send(talk, closing=kind == "close")
            case ("fall back", number, model) if talks:
                # The same request once more, of another model.
                talk = talks[number % len(talks)]
                talk.model, talk.calls = model, talk.calls - 1
                office.send(talk)
            case ("change tools", number, count) if talks:
                talks[number % len(talks)].tools = tools(count)
            case ("end", number, outcome) if office.flying:
                office.answer(number % len(office.flying), outcome=outcome)
            case ("pause", seconds):
                office.clock.advance(seconds)
            case ("forget", _) if forgets:
                office.kept.clear()
        office.check()
    while office.flying:
        office.answer()
        office.check()


@settings(deadline=None, max_examples=120)
@given(
    st.lists(STEPS, min_size=10, max_size=100),
    st.sampled_from([1000, 30_000, 10**9]),
    st.sampled_from([0, 900]),
    st.sampled_from([0, 0.02, 0.5]),
)
def test_the_bill_is_never_more_than_a_hundredth_dearer(
    steps: list[Any], knee: int, preamble: int, advance: float
) -> None:
    """At every moment, over any mix of models with and without price bands, of lives and pauses, of conversations side
    by side, fallbacks and changed tools in the middle of a turn, closing calls, requests that are answered late,
    refused or never accounted for, of dense text, and of a service that forgets; and no request loses more than was
    reserved for it. With an advance points are set from
    the start, and the bound is as sharp."""
    office = Office(advance=advance)
    with pytest.MonkeyPatch.context() as patch:
        count_otherwise(patch, knee, preamble)
        play(office, steps)
    for talk, decided in office.decided:
        plan = decided.plan
        assert plan.rule in RULES
        assert (plan.static, plan.moving) in SETS.get(plan.rule, {("", False)})
        if decided.ask.closing:
            assert (plan.static, plan.moving) == ("", False)
        if plan.moving:
            assert decided.ask.call > 1 or plan.rule == "living_conversation"
        assert talk.calls >= 1
    assert sum(office.planner.decisions.values()) == len(office.decided)


def test_it_holds_where_the_credit_is_earned() -> None:
    """Without an advance, over 200 turns of all models, in a service that keeps what it wrote and in one that does not,
    and changes its mind."""
    random, office = Random(5), Office()
    histories: dict[int, list[Any]] = {}
    for number in range(200):
        if number % 80 >= 60:
            office.kept.clear()
        model, key = random.choice(MODELS), random.randrange(5)
        office.turn(
            model, "s" * 8000, histories.setdefault(key, []), random.randint(1, 4), random.choice([10, 800, 3000])
        )
        histories[key][:-8] = []
        office.check()
    assert {decided.plan.rule for _, decided in office.decided} > {"no_credit", "later_call", "living_conversation"}


class Naive(Planner):
    """Points behind everything, always: what is usually done."""

    def _decide(self, ask: Any, now: float) -> Any:
        from plugins.prompt_caching.planner import Decided

        super()._decide(ask, now)
        return Decided(ask, CachePlan("later_call", "5m", moving=True))


def test_the_judge_condemns_naive_caching() -> None:
    """The same check fails for points that are always set: single calls become a fifth dearer."""
    office = Office(Naive())
    steps = [("begin", MODELS[0], SYSTEMS[2], 1, key, 800, False) for key in range(5)]
    with pytest.raises(AssertionError):
        play(office, [step for begin in steps for step in (begin, ("end", 0, "ok"), ("pause", 400.0))])
    assert office.paid > 1.15 * office.uncached


def test_the_premium_of_a_price_band_is_reserved() -> None:
    """A prompt that may be long is affordable only at the band's prices; its bill is the band's."""
    office = Office()
    for _ in range(60):
        office.turn(BANDED, "s" * 14_000, [], 3, 3000)
        office.check()
    rules = office.planner.decisions
    assert rules["no_credit"] > 0
    assert rules["later_call"] > 60


def test_the_premium_of_an_hour_is_reserved() -> None:
    """Twice the price: affordable later than five minutes, and lost within the hundredth where nothing is kept."""
    office = Office()
    for _ in range(400):
        office.clock.advance(1800)
        office.kept.clear()
        office.turn(MODELS[0], "s" * 8000, [], 1, 800)
        office.check()
    assert office.planner.decisions["static_hour"] > 0


def test_conversations_with_tools_become_much_cheaper() -> None:
    """The bound is not kept by doing nothing: many turns with tools cost less than 61 % of what they would have."""
    office = Office()
    for _ in range(20):
        history: list[Any] = []
        for _ in range(5):
            office.turn(MODELS[0], "s" * 8000, history, 3, 3000)
            office.clock.advance(40)
    assert office.paid < 0.61 * office.uncached


def test_a_service_that_forgets_everything_is_noticed() -> None:
    """Where nothing is ever read, trying goes on within the hundredth only."""
    office = Office()
    for _ in range(300):
        talk = Talk(MODELS[0], "s" * 8000, tools(1), [message("user", {"text": "q" * 3000})])
        for _ in range(2):
            office.kept.clear()
            office.send(talk)
            office.answer()
            look(talk, 3000)
    assert office.uncached < office.paid <= office.uncached * 1.01
