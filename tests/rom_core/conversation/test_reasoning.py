"""Reasoning settings reach only a model that accepts them."""

from __future__ import annotations

from typing import Any

import pytest
from resilience import FIRST, Bench, server_error
from support import MODELS, make_turn, says

from rom_core.conversation.reasoning import fit_reasoning
from rom_core.markers import hookimpl

THINKING = {"type": "enabled", "budget_tokens": 2048}
QUESTION = {"role": "user", "content": [{"text": "question"}]}
USE = {"toolUse": {"toolUseId": "t1", "name": "look", "input": {}}}
RESULT = {"role": "user", "content": [{"toolResult": {"toolUseId": "t1", "content": [{"text": "found"}]}}]}
REASONING = {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "signed"}}}


def fields(given: dict[str, Any], *messages: dict[str, Any], supported: bool = True, max_tokens: int = 4096) -> Any:
    """The fields that are left of `given`."""
    request = {
        "messages": [QUESTION, *messages],
        "inferenceConfig": {"maxTokens": max_tokens},
        "additionalModelRequestFields": given,
    }
    return fit_reasoning(request, supported=supported).get("additionalModelRequestFields")


@pytest.mark.parametrize("name", ["thinking", "reasoning_config", "reasoningConfig", "reasoning_effort"])
def test_a_model_without_reasoning_gets_no_settings_for_it(name: str) -> None:
    """Other fields stay."""
    assert fields({name: THINKING}, supported=False) is None
    assert fields({name: THINKING, "top_k": 5}, supported=False) == {"top_k": 5}
    assert fields({name: THINKING}, supported=True) == {name: THINKING}


def test_a_budget_that_does_not_fit_goes() -> None:
    """Thinking must leave room for the answer within maxTokens, which the model may have lowered."""
    assert fields({"thinking": THINKING}, max_tokens=2048) is None
    assert fields({"thinking": THINKING}, max_tokens=2049) == {"thinking": THINKING}
    assert fields({"reasoning_effort": "high"}, max_tokens=1) == {"reasoning_effort": "high"}


def test_a_tool_loop_goes_on_as_it_was_begun() -> None:
    """After a tool use without its own reasoning, as another model leaves it, thinking would be refused."""
    assert fields({"thinking": THINKING}, {"role": "assistant", "content": [USE]}, RESULT) is None
    assert fields({"thinking": THINKING}, {"role": "assistant", "content": [REASONING, USE]}, RESULT) == {
        "thinking": THINKING
    }


def test_a_request_without_them_is_left_alone() -> None:
    """Nothing to fit."""
    request = {"messages": [QUESTION], "additionalModelRequestFields": {"top_k": 5}}
    assert fit_reasoning(request, supported=False) == request


def test_the_fallback_model_gets_what_it_accepts() -> None:
    """Cache points, thinking and a large max_tokens go to the first model as they are and are adapted for the next."""

    class Amend:
        @hookimpl
        def rom_model_request(self, request: dict[str, Any]) -> None:
            request["system"].append({"cachePoint": {"type": "default"}})
            request["additionalModelRequestFields"] = {"thinking": THINKING, "top_k": 5}

    plain = {**MODELS[1], "prompt_caching": False, "max_tokens": 1000}
    able = {**MODELS[0], "reasoning": True, "max_tokens": 50_000}
    bench = Bench(
        server_error(),
        says("ok"),
        plugins="fallback",
        more={"amend": Amend()},
        MODELS=[able, plain],
        MODEL_FALLBACKS=["anthropic.second"],
        MAX_TOKENS=30_000,
    )
    assert bench.runtime.run(make_turn(bench.runtime)).degraded
    first, second = bench.transport.requests
    assert bench.models[0] == FIRST
    assert first["inferenceConfig"]["maxTokens"] == 30_000
    assert first["additionalModelRequestFields"] == {"thinking": THINKING, "top_k": 5}
    assert {"cachePoint": {"type": "default"}} in first["system"]
    assert second["inferenceConfig"]["maxTokens"] == 1000
    assert second["additionalModelRequestFields"] == {"top_k": 5}
    assert second["system"] == [{"text": "You answer."}]
