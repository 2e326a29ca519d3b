"""Fallback within one call: the time that is left for the next model, and the conversation that it is given."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from fallback_support import run
from resilience import FIRST, SECOND, Bench, server_error
from support import NOWHERE

from local_bedrock import LocalBedrock
from plugins.breaker import Breaker
from plugins.fallback import Fallback
from plugins.legal_tools import LegalTools
from plugins.retry import Retry
from rom_core import hookspecs
from rom_core.bedrock.wire import Wire
from rom_core.concurrency.clock import FakeClock, SystemClock
from rom_core.errors import (
    ModelServerError,
    ModelTimeout,
)
from rom_core.plugin.catalogue import Catalogue
from rom_core.runtime import Runtime
from rom_core.settings import load_settings
from rom_core.turn import Attempt
from rom_core.turn_values import ChatRequest, ModelReply

SONNET, HAIKU = "anthropic.claude-sonnet-4-5", "anthropic.claude-haiku-4-5"


@pytest.mark.parametrize(
    ("chain", "model", "silences"),
    [([HAIKU], HAIKU, [30, 41]), ([], None, [41]), ([HAIKU, "anthropic.claude-sonnet-3-7"], HAIKU, [30, 30])],
)
def test_a_model_that_hangs_leaves_the_next_one_its_time(
    bedrock_local: LocalBedrock, chain: list[str], model: str | None, silences: list[float]
) -> None:
    """With 40 s left and BEDROCK_READ_TIMEOUT_SECONDS 100, silence ends after three quarters, if another may answer.

    Nothing is held against a model for it. The turn's clock stands still, and only the request that hangs is cut short.
    """
    breaker = Breaker()
    catalogue = Catalogue.of(hookspecs, retry=Retry(), breaker=breaker, fallback=Fallback())
    values = {
        "BEDROCK_ENABLED": True,
        "RETRY_ENABLED": True,
        # No retry fits into what is left.
        "RETRY_BACKOFF_SECONDS": [50],
        "CIRCUIT_BREAKER_ENABLED": True,
        "FALLBACK_ENABLED": True,
        "MODEL_FALLBACKS": chain,
        "BEDROCK_READ_TIMEOUT_SECONDS": 100,
    }
    environ = {name: json.dumps(value) for name, value in values.items()} | {"ROM_ENV": "testing"}
    settings = load_settings(catalogue.settings, catalogue.rules, root=NOWHERE, environ=environ)
    clock = FakeClock()
    wire = Wire(settings, clock, endpoint_url=bedrock_local.url)
    seen: list[float] = []

    def note(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        seen.append(context["read_timeout"])
        if SONNET in params["url_path"]:
            context["read_timeout"] = 0.1

    wire.client.meta.events.register_last("before-call.bedrock-runtime.ConverseStream", note)
    runtime = Runtime(catalogue, settings, clock=clock, transport=wire)
    for plugin in catalogue.plugins.values():
        plugin.call("rom_start", runtime=runtime)
    message = {"role": "user", "content": [{"text": "[[fault=hang]] [[model=sonnet-4-5]] conte"}]}
    turn = runtime.turn(ChatRequest((message,), "conv", client_timeout=40))
    try:
        if model is None:
            with pytest.raises(ModelTimeout) as caught:
                runtime.run(turn)
            assert caught.value.kind == "read_timeout"
        else:
            assert runtime.run(turn).model == model
    finally:
        runtime.stop()
        wire.close()
    assert [round(seconds, 6) for seconds in seen] == silences
    assert breaker.status_of(SONNET)["recent_failures"] == int(model is None)


def test_the_model_that_takes_over_has_what_is_left_of_one_deadline_and_one_budget() -> None:
    """Attempts of both models are of one call: the same deadline, and MAX_MODEL_REQUESTS counted over both."""
    seen: list[tuple[str, float, int]] = []

    def play(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        call = attempt.call
        seen.append((attempt.model.alias, call.deadline.remaining(), call.requests))
        bench.clock.advance(10)  # type: ignore[attr-defined]
        raise server_error()

    bench = Bench(play, plugins="retry fallback", MODEL_FALLBACKS=[SECOND], RETRY_MAX_RETRIES=1)
    assert isinstance(run(bench), ModelServerError)
    assert seen == [(FIRST, 120.0, 1), (FIRST, 109.0, 2), (SECOND, 99.0, 3), (SECOND, 88.0, 4)]


NUMBER = "0001234-08.2023.8.26.0100"


@pytest.mark.parametrize("streamed", [False, True])
def test_a_switch_in_the_middle_of_a_tool_loop_loses_and_repeats_nothing(
    bedrock_local: LocalBedrock, streamed: bool
) -> None:
    """The model that takes over gets the same conversation, tool blocks included, and the tools do not run again.

    Three iterations of two parallel tool uses each; the first model fails for good at its second request.
    """
    catalogue = Catalogue.of(hookspecs, fallback=Fallback(), legal_tools=LegalTools())
    values = {"BEDROCK_ENABLED": True, "FALLBACK_ENABLED": True, "MODEL_FALLBACKS": [HAIKU]}
    environ = {name: json.dumps(value) for name, value in values.items()} | {"ROM_ENV": "testing"}
    settings = load_settings(catalogue.settings, catalogue.rules, root=NOWHERE, environ=environ)
    wire = Wire(settings, SystemClock(), endpoint_url=bedrock_local.url)
    runtime = Runtime(catalogue, settings, transport=wire)
    heard: list[tuple[str, dict[str, Any]]] = []
    question = f"[[tools=3]] [[parallel=2]] [[fault=500]] [[at=2]] [[model=sonnet-4-5]] {NUMBER}?"
    sink = (lambda name, data: heard.append((name, data))) if streamed else None
    earlier = [{"role": "user", "content": [{"text": "antes"}]}, {"role": "assistant", "content": [{"text": "sim"}]}]
    request = ChatRequest((*earlier, {"role": "user", "content": [{"text": question}]}), "conv", stream=streamed)
    try:
        result = runtime.run(runtime.turn(request, sink=sink))
    finally:
        runtime.stop()
        wire.close()
    assert (result.model, result.degraded, result.iterations) == (HAIKU, True, 4)
    assert [call["status"] for call in result.tool_calls] == ["success"] * 6
    served = ["haiku" if "haiku" in sent.model_id else "sonnet" for sent in bedrock_local.requests]
    assert served == ["sonnet", "sonnet", "haiku", "haiku", "haiku"]
    bodies = [sent.body for sent in bedrock_local.requests]
    assert bodies[1] == bodies[2], "the second model is asked exactly what the first one was"
    for shorter, longer in pairwise(bodies[2:]):
        assert longer["messages"][: len(shorter["messages"])] == shorter["messages"]
    last = bodies[-1]["messages"]
    assert [m["role"] for m in last] == ["user", "assistant"] * 4 + ["user"]
    uses = [block["toolUse"]["toolUseId"] for m in last for block in m["content"] if "toolUse" in block]
    results = [block["toolResult"]["toolUseId"] for m in last for block in m["content"] if "toolResult" in block]
    assert uses == results
    assert len(set(uses)) == 6
    assert uses == [call["id"] for call in result.tool_calls]
    if streamed:
        assert "".join(data["text"] for name, data in heard if name == "delta") == result.reply
        assert [name for name, _ in heard].count("tool_call") == 6
