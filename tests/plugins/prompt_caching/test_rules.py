"""Each rule of the plugin prompt_caching, by an example."""

from __future__ import annotations

from typing import Any

import pytest
from settings_support import packaged_models

from plugins.prompt_caching.planner import RULES, Ask, Decided, Planner
from plugins.prompt_caching.prefixes import MAX_PREFIXES, Known, Memory, Reader
from rom_core.turn_values import CachePlan, Usage

MODEL = packaged_models()["anthropic.claude-sonnet-4-5"]
LONG = "x" * 20000


class Desk:
    """A planner with credit to spare, and a time that the test moves."""

    def __init__(self, advance: float = 1.0) -> None:
        self.planner, self.now, self.advance = Planner(), 1000.0, advance

    def __call__(self, *texts: str, system: str = LONG, call: int = 1, **more: Any) -> CachePlan:
        """Decide on a conversation of these texts, and settle it as one that paid."""
        messages = [
            {"role": ("user", "assistant")[number % 2], "content": [{"text": text}]}
            for number, text in enumerate(texts)
        ]
        request = {"system": [{"text": system}], "messages": messages}
        ask = Ask(more.pop("model", MODEL), Reader().read(MODEL.id, request), call, **more)
        decided: Decided = self.planner.decide(ask, self.now, self.advance)
        tokens = ask.reading.ends[-1].at_most // 4
        self.planner.settle(decided, Usage(tokens, 10, 0, 0), self.now)
        return decided.plan


def test_the_first_use_of_a_beginning_sets_none() -> None:
    """Nobody has used it: no second use is in sight."""
    assert Desk()("a") == CachePlan("first_use")


def test_a_beginning_in_use_gets_its_point() -> None:
    """Used by anybody within five minutes: a point behind tools and system, none at the end."""
    desk = Desk()
    desk("a")
    desk.now += 299
    assert desk("another question") == CachePlan("static_in_use", "5m")
    desk.now += 301
    assert desk("a third") == CachePlan("first_use")


def test_a_second_call_has_a_point_at_its_end() -> None:
    """From a turn's second call on."""
    assert Desk()("a", call=2) == CachePlan("later_call", "5m", moving=True)


def test_a_living_conversation_has_one_from_the_first_call() -> None:
    """It goes on from what was sent within five minutes; no conversation_id is needed."""
    desk = Desk()
    desk("a")
    desk.now += 60
    assert desk("a", "answer", "b") == CachePlan("living_conversation", "5m", moving=True)


def test_a_closing_call_has_none() -> None:
    """Nothing follows it."""
    desk = Desk()
    desk("a")
    assert desk("a", call=3, closing=True) == CachePlan("closing_call")


def test_a_short_request_has_none() -> None:
    """Below the model's minimum a point does nothing."""
    desk = Desk()
    desk("a", system="short")
    assert desk("a", system="short", call=2) == CachePlan("below_minimum")


def test_a_forced_tool_makes_a_second_call_certain() -> None:
    """The same beginning is sent again, so its first use may have a point."""
    assert Desk()("a", tool_forced=True) == CachePlan("second_call_certain", "5m")


def test_pauses_of_half_an_hour_ask_for_a_life_of_an_hour() -> None:
    """Three pauses that five minutes do not outlive and an hour does."""
    desk = Desk(advance=5.0)
    plans = []
    for number in range(5):
        plans.append(desk(f"question {number}"))
        desk.now += 1800
    assert plans[2] == CachePlan("first_use")
    assert plans[-1] == CachePlan("static_hour", "1h")


def test_without_credit_there_is_none() -> None:
    """What could lose more than the ledger holds is not done."""
    assert Desk(advance=0.0)("a", call=2) == CachePlan("no_credit")


def test_a_model_without_prices_for_caching_has_none() -> None:
    """What cannot be reckoned cannot be promised."""
    import dataclasses

    assert Desk()("a", call=2, model=dataclasses.replace(MODEL, price_cache_read=0.0)) == CachePlan(
        "model_without_caching"
    )


def test_points_that_never_pay_are_given_up() -> None:
    """After some trials in which nothing was read."""
    desk = Desk(advance=50.0)
    request = {"system": [{"text": LONG}], "messages": [{"role": "user", "content": [{"text": "q"}]}]}
    rules = []
    for _ in range(20):
        ask = Ask(MODEL, Reader().read(MODEL.id, request), 2)
        decided = desk.planner.decide(ask, desk.now, 50.0)
        rules.append(decided.plan.rule)
        desk.planner.settle(decided, Usage(0, 1, 0, 5000), desk.now)
    assert rules[0] == "later_call"
    assert rules[-1] == "static_in_use" or rules[-1] == "does_not_pay"
    assert "later_call" not in rules[10:]


def test_usage_that_never_came_is_booked_as_the_worst_case() -> None:
    """What was perhaps billed stays reserved; what was surely not comes back."""
    desk = Desk()
    request = {"system": [{"text": LONG}], "messages": [{"role": "user", "content": [{"text": "q"}]}]}
    ask = Ask(MODEL, Reader().read(MODEL.id, request), 2)
    for billed, less in ((True, True), (False, False)):
        before = desk.planner.status()["credit_usd"]
        decided = desk.planner.decide(ask, desk.now, 1.0)
        desk.planner.settle(decided, None, desk.now, billed=billed)
        after = desk.planner.status()["credit_usd"]
        if before:
            assert (after < before) is less


@pytest.mark.parametrize("change", ["model", "tools", "system", "first message", "nothing"])
def test_a_reader_reads_what_changed_in_the_middle_of_a_turn(change: str) -> None:
    """A fallback, other tools, another system text or history: what it reads is what a new reader would."""
    request: dict[str, Any] = {
        "system": [{"text": "s"}],
        "toolConfig": {"tools": [{"toolSpec": {"name": "look"}}]},
        "messages": [{"role": "user", "content": [{"text": text}]} for text in "ab"],
    }
    reader = Reader()
    first, model = reader.read("one", request), "one"
    if change == "model":
        model = "two"
    elif change == "tools":
        request["toolConfig"] = {"tools": [{"toolSpec": {"name": "other"}}]}
    elif change == "system":
        request["system"] = [{"text": "t"}]
    elif change == "first message":
        request["messages"] = [{"role": "user", "content": [{"text": "x"}]}, *request["messages"][1:]]
    again = reader.read(model, request)
    assert (again == first) is (change == "nothing")
    assert again == Reader().read(model, request)


def test_a_message_is_read_once_in_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many calls follow: a long tool loop costs what its new messages cost, not the square of it."""
    from plugins.prompt_caching import prefixes

    read: list[Any] = []
    encode = prefixes._encode

    def counting(value: Any) -> str:
        read.append(value)
        return encode(value)

    monkeypatch.setattr(prefixes, "_encode", counting)
    messages: list[Any] = []
    reader = Reader()
    for number in range(50):
        messages = [*messages, {"role": "user", "content": [{"text": str(number)}]}]
        reader.read("one", {"system": [{"text": "s"}], "messages": messages})
    assert len(read) == 1 + 50


def test_memory_is_bounded() -> None:
    """The oldest prefix goes."""
    memory = Memory()
    for number in range(MAX_PREFIXES + 10):
        memory.use(number.to_bytes(4), 0.0)
    assert len(memory) == MAX_PREFIXES
    assert memory.get((0).to_bytes(4)) is None


@pytest.mark.parametrize(("pauses", "hour"), [((400, 500), False), ((400, 500, 600), True), ((400, 500, 5000), False)])
def test_when_an_hour_pays(pauses: tuple[int, ...], hour: bool) -> None:
    """At least three measured pauses, the last one within the hour."""
    known = Known(0.0)
    now = 0.0
    for pause in pauses:
        now += pause
        known.used(now)
    assert known.pauses_for_an_hour is hour


def test_the_docs_name_every_rule() -> None:
    """docs/prompt_caching.md explains each."""
    from pathlib import Path

    text = (Path(__file__).parents[3] / "docs/prompt_caching.md").read_text(encoding="utf-8")
    assert [rule for rule in RULES if f"`{rule}`" not in text] == []
