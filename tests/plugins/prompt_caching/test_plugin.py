"""The plugin within a turn: the core sets the points, and nothing else of the request changes by it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support import Toolkit, asks, make_runtime, make_turn, says, tool

from plugins.prompt_caching import PromptCaching
from rom_core.errors import ModelServerError, ModelThrottled
from rom_core.markers import hookimpl
from rom_core.turn import Attempt, Iteration
from rom_core.turn_values import CachePlan, ModelReply, StopLoop, TryAgain, Usage

STEPS = [asks(("look", {"n": 1})), asks(("look", {"n": 2})), says("done")]
POINT = {"cachePoint": {"type": "default"}}
MODELS = [
    {
        "alias": "anthropic.first",
        "id": "global.first",
        "max_tokens": 8192,
        "prompt_caching": True,
        "price_input": 3.0,
        "price_output": 15.0,
        "price_cache_read": 0.3,
        "price_cache_write": 3.75,
    }
]
SETTINGS: dict[str, Any] = {
    "MODELS": MODELS,
    "MODEL_FALLBACKS": [],
    "SYSTEM_PROMPT": "rule " * 3000,
    "PROMPT_CACHING_ADVANCE_USD": 1.0,
}


def without_points(request: dict[str, Any]) -> dict[str, Any]:
    """The request as it would be without cache points."""
    tools = request["toolConfig"]["tools"]
    return {
        **request,
        "system": [block for block in request["system"] if "cachePoint" not in block],
        "toolConfig": {**request["toolConfig"], "tools": [block for block in tools if "cachePoint" not in block]},
        "messages": [
            {**message, "content": [block for block in message["content"] if "cachePoint" not in block]}
            for message in request["messages"]
        ],
    }


def requests(plugins: dict[str, Any]) -> list[dict[str, Any]]:
    """What goes on the wire in a turn of three calls."""
    steps = [replace(reply, usage=Usage(5000, 5)) for reply in STEPS]
    runtime, transport = make_runtime(*steps, plugins={"tools": Toolkit(tool()), **plugins}, **SETTINGS)
    runtime.run(make_turn(runtime))
    return transport.requests


def test_only_points_are_added() -> None:
    """Without them the bytes are those of the turn without the plugin; the second and third call have points."""
    plain = make_plain()
    cached = requests({"prompt_caching": PromptCaching()})
    assert [without_points(request) for request in cached] == plain
    assert cached[0] == plain[0]
    for request in cached[1:]:
        assert request["system"][-1] == POINT
        assert request["messages"][-1]["content"][-1] == POINT
        assert all(POINT not in message["content"] for message in request["messages"][:-1])


def make_plain() -> list[dict[str, Any]]:
    """The same turn without the plugin."""
    steps = [replace(reply, usage=Usage(5000, 5)) for reply in STEPS]
    values = {name: value for name, value in SETTINGS.items() if not name.startswith("PROMPT_CACHING")}
    runtime, transport = make_runtime(*steps, plugins={"tools": Toolkit(tool())}, **values)
    runtime.run(make_turn(runtime))
    return transport.requests


def test_the_history_is_not_copied() -> None:
    """Messages that were sent before are the very same objects, and what the normaliser remembers is kept."""
    _, second, third = requests({"prompt_caching": PromptCaching()})
    assert all(one is other for one, other in zip(second["messages"][:-1], third["messages"], strict=False))


def test_who_sets_points_itself_is_not_overruled() -> None:
    """A plugin's own points in rom_model_request stay the only ones."""

    class Own:
        @hookimpl
        def rom_model_request(self, request: dict[str, Any]) -> None:
            request["system"].append(dict(POINT))

    plugin = PromptCaching()
    sent = requests({"own": Own(), "prompt_caching": plugin})
    assert all(request["messages"][-1]["content"][-1] != POINT for request in sent)
    assert sum(plugin.planner.decisions.values()) == 0


def test_a_refused_request_costs_no_credit() -> None:
    """What was reserved for a request that the service threw back is there again."""
    plugin = PromptCaching()

    def answer(attempt: Attempt, _request: dict[str, Any]) -> ModelReply:
        attempt.usage = Usage(5000, 5)
        return ModelReply(({"text": "ok"},), "end_turn", "anthropic.first", attempt.usage)

    runtime, _ = make_runtime(answer, ModelThrottled("", kind="429"), plugins={"prompt_caching": plugin}, **SETTINGS)
    runtime.run(make_turn(runtime))
    before = plugin.planner.status()["credit_usd"]
    with pytest.raises(ModelThrottled):
        runtime.run(make_turn(runtime))
    status = plugin.planner.status()
    assert status["decisions"]["static_in_use"] == 1
    assert status["credit_usd"] == before


def test_a_fallback_and_a_closing_call_are_decided_by_themselves() -> None:
    """In a real turn: the request that another model gets is decided for that model, and the closing call has none."""
    second = MODELS[0] | {"alias": "anthropic.second", "id": "global.second"}
    decided: list[tuple[str, str, bool]] = []

    class Watches:
        @hookimpl
        def rom_model_failed(self) -> TryAgain:
            return TryAgain(model="anthropic.second")

        @hookimpl
        def rom_tools_requested(self, iteration: Iteration) -> StopLoop | None:
            return StopLoop("guardrail_hard_limit") if iteration.number >= 3 else None

        @hookimpl
        def rom_event(self, event: Any) -> None:
            if event.name == "attempt.finished":
                plan = event.attempt.cache_plan
                decided.append((event.attempt.model.alias, plan.rule, bool(plan.static or plan.moving)))

    look = [replace(asks(("look", {"n": number})), usage=Usage(5000, 5)) for number in range(3)]
    failure = ModelServerError("", kind="500")
    end = replace(says("done"), usage=Usage(5000, 5))
    plugin = PromptCaching()
    runtime, transport = make_runtime(
        look[0],
        failure,
        look[1],
        look[2],
        end,
        plugins={"tools": Toolkit(tool()), "watches": Watches(), "prompt_caching": plugin},
        **(SETTINGS | {"MODELS": [*MODELS, second], "MODEL_FALLBACKS": ["anthropic.second"]}),
    )
    runtime.run(make_turn(runtime))
    assert decided == [
        ("anthropic.first", "first_use", False),
        ("anthropic.first", "later_call", True),
        ("anthropic.second", "later_call", True),
        ("anthropic.second", "later_call", True),
        ("anthropic.second", "closing_call", False),
    ]
    assert "cachePoint" not in str(transport.requests[-1])


def test_the_plan_stands_on_the_attempt() -> None:
    """Any plugin's plan is carried out and kept, with its rule."""
    seen: list[CachePlan | None] = []

    class Planning:
        @hookimpl
        def rom_cache_points(self) -> CachePlan:
            return CachePlan("mine", static="1h")

        @hookimpl
        def rom_event(self, event: Any) -> None:
            if event.name == "attempt.finished":
                seen.append(event.attempt.cache_plan)

    values = {name: value for name, value in SETTINGS.items() if not name.startswith("PROMPT_CACHING")}
    runtime, transport = make_runtime(says("ok"), plugins={"planning": Planning()}, **values)
    runtime.run(make_turn(runtime))
    assert seen == [CachePlan("mine", static="1h")]
    assert transport.requests[0]["system"][-1] == {"cachePoint": {"type": "default", "ttl": "1h"}}
