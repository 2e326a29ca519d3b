"""What a model refuses does not reach it, and what it signed goes back as it came."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from resilience import FIRST, Bench, server_error
from support import MODELS, make_turn, says

from rom_core.conversation import ModelCapabilities, left_out, normalise, written_by
from rom_core.errors import ModelRefused
from rom_core.events import AttemptFinished
from rom_core.markers import hookimpl
from rom_core.telemetry.accounts import TurnAccount
from rom_core.turn_values import ChatRequest

THINKING = {"type": "enabled", "budget_tokens": 2048}
QUESTION = {"role": "user", "content": [{"text": "question"}]}
USE = {"toolUse": {"toolUseId": "t1", "name": "look", "input": {}}}
RESULT = {"role": "user", "content": [{"toolResult": {"toolUseId": "t1", "content": [{"text": "found"}]}}]}
REASONING = {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "signed"}}}


ABLE = ModelCapabilities(max_tokens=100_000, alias="able", thinking="budget")
ADAPTIVE = ModelCapabilities(
    max_tokens=100_000,
    alias="adaptive",
    thinking="always",
    thinking_between_tools=True,
    sampling=False,
    forced_tool_choice=False,
)
TOOLS = {"tools": [{"toolSpec": {"name": "look", "inputSchema": {"json": {"type": "object"}}}}]}


def sent(
    given: dict[str, Any], *messages: dict[str, Any], model: ModelCapabilities = ABLE, **request: Any
) -> dict[str, Any]:
    """The normalised request with `given` as its additionalModelRequestFields."""
    return normalise({"messages": [QUESTION, *messages], "additionalModelRequestFields": given, **request}, model=model)


def fields(given: dict[str, Any], *messages: dict[str, Any], model: ModelCapabilities = ABLE, **request: Any) -> Any:
    """The fields that are left of `given`."""
    return sent(given, *messages, model=model, **request).get("additionalModelRequestFields")


@pytest.mark.parametrize("name", ["thinking", "reasoning_config", "reasoningConfig", "reasoning_effort"])
def test_a_model_without_reasoning_gets_no_settings_for_it(name: str) -> None:
    """Other fields stay."""
    plain = ModelCapabilities(max_tokens=4096)
    assert fields({name: THINKING}, model=plain) is None
    assert fields({name: THINKING, "speed": 5}, model=plain) == {"speed": 5}
    assert fields({name: THINKING}) == {name: THINKING}


def test_a_budget_that_does_not_fit_goes() -> None:
    """Thinking must leave room for the answer within maxTokens, which the model may have lowered."""
    assert fields({"thinking": THINKING}, inferenceConfig={"maxTokens": 2048}) is None
    assert fields({"thinking": THINKING}, inferenceConfig={"maxTokens": 2049}) == {"thinking": THINKING}
    assert fields({"reasoning_effort": "high"}, inferenceConfig={"maxTokens": 1}) == {"reasoning_effort": "high"}


def test_a_tool_loop_goes_on_as_it_was_begun() -> None:
    """After a tool use without its own reasoning, as another model leaves it, a budget would be refused."""
    begun = {"role": "assistant", "content": [USE]}
    assert fields({"thinking": THINKING}, begun, RESULT) is None
    assert fields({"thinking": THINKING}, {"role": "assistant", "content": [REASONING, USE]}, RESULT) == {
        "thinking": THINKING
    }
    adaptive = {"thinking": {"type": "adaptive"}}
    assert fields(adaptive, begun, RESULT, model=ADAPTIVE) == adaptive


@pytest.mark.parametrize(
    ("kind", "between", "budget", "adaptive", "always"),
    [
        ("enabled", "adaptive", "enabled", "adaptive", "adaptive"),
        ("disabled", "between_tools", "disabled", "disabled", None),
        ("adaptive", "adaptive", None, "adaptive", "adaptive"),
        ("between_tools", "between_tools", None, "adaptive", "adaptive"),
        ("turbo", None, None, None, None),
    ],
)
def test_each_model_gets_the_nearest_thinking_that_it_takes(
    kind: str, between: str, budget: str, adaptive: str, always: str
) -> None:
    """Where a model decides itself there is no budget, and where it cannot be told not to think it is told nothing."""

    def became(model: ModelCapabilities) -> Any:
        left = fields({"thinking": {"type": kind}}, model=model)
        return left and left["thinking"]["type"]

    assert became(ADAPTIVE) == between
    assert became(ABLE) == budget
    assert became(replace(ADAPTIVE, thinking="adaptive", thinking_between_tools=False)) == adaptive
    assert became(replace(ADAPTIVE, thinking_between_tools=False)) == always


def test_a_budget_becomes_adaptive_without_its_tokens() -> None:
    """What else the setting says, as how thinking is shown, stays."""
    setting = {"thinking": THINKING | {"display": "summarized"}}
    assert fields(setting, model=ADAPTIVE) == {"thinking": {"type": "adaptive", "display": "summarized"}}


@pytest.mark.parametrize(("thinking", "kept"), [("none", False), ("budget", False), ("adaptive", True)])
def test_effort_goes_to_models_that_decide_how_much_they_think(thinking: str, *, kept: bool) -> None:
    """Others refuse it; it is named as left out."""
    asked = {"messages": [QUESTION], "outputConfig": {"effort": "low"}}
    request = normalise(asked, model=replace(ABLE, thinking=thinking))
    assert request.get("outputConfig") == ({"effort": "low"} if kept else None)
    assert left_out(asked, request) == (() if kept else ("effort",))


def test_a_forced_tool_and_thinking_exclude_each_other() -> None:
    """The choice was asked for by who needs the tool, so it stays."""
    forced = {**TOOLS, "toolChoice": {"any": {}}}
    request = sent({"thinking": THINKING}, toolConfig=forced)
    assert "additionalModelRequestFields" not in request
    assert request["toolConfig"]["toolChoice"] == {"any": {}}


def test_with_a_budget_only_default_sampling_is_taken() -> None:
    """Temperature 1, top_p from 0.95 on, no top_k: anything else would be refused."""
    request = sent({"thinking": THINKING, "top_k": 5}, inferenceConfig={"temperature": 0.2})
    assert request.get("inferenceConfig") is None
    assert request["additionalModelRequestFields"] == {"thinking": THINKING}
    assert sent({"thinking": THINKING}, inferenceConfig={"topP": 0.5}).get("inferenceConfig") is None
    assert sent({"thinking": THINKING}, inferenceConfig={"temperature": 1})["inferenceConfig"] == {"temperature": 1}


@pytest.mark.parametrize("name", ["temperature", "top_p", "top_k"])
def test_a_model_without_sampling_gets_none_by_any_name(name: str) -> None:
    """Neither in inferenceConfig nor in the fields that pass through to the model."""
    request = sent({name: 1, "speed": 5}, model=ADAPTIVE, inferenceConfig={"temperature": 0.3, "topP": 0.9})
    assert request["additionalModelRequestFields"] == {"speed": 5}
    assert "inferenceConfig" not in request


@pytest.mark.parametrize("choice", [{"any": {}}, {"tool": {"name": "look"}}])
def test_a_model_that_cannot_be_forced_is_not(choice: dict[str, Any]) -> None:
    """It chooses itself; "auto" may stay."""
    request = sent({}, model=ADAPTIVE, toolConfig={**TOOLS, "toolChoice": choice})
    assert request["toolConfig"] == TOOLS
    auto = {**TOOLS, "toolChoice": {"auto": {}}}
    assert sent({}, model=ADAPTIVE, toolConfig=auto)["toolConfig"] == auto


def test_what_was_left_out_is_known_by_name() -> None:
    """Parameters as Bedrock calls them, in the order of the request."""
    asked = {
        "messages": [QUESTION],
        "inferenceConfig": {"maxTokens": 10, "temperature": 0.3, "topP": None},
        "toolConfig": {**TOOLS, "toolChoice": {"any": {}}},
        "additionalModelRequestFields": {"thinking": THINKING, "speed": 5},
    }
    assert left_out(asked, normalise(asked, model=ADAPTIVE)) == ("temperature", "thinking", "toolChoice")
    assert left_out(asked, normalise(asked, model=ModelCapabilities(max_tokens=10))) == ("thinking",)


# -- what a model signed ---------------------------------------------------------------------------------------------


def answered(*content: Any, model: str = "able") -> Any:
    """The content of an assistant's message as it goes back to `able`, which wrote it unless said otherwise."""
    messages = [QUESTION, written_by(model, list(content)), {"role": "user", "content": [{"text": "go on"}]}]
    turns = normalise({"messages": messages}, model=ABLE)["messages"]
    return turns[1]["content"] if len(turns) == 3 else None


HIDDEN = {"reasoningContent": {"reasoningText": {"text": "", "signature": "signed"}}}
REDACTED = {"reasoningContent": {"redactedContent": b"secret"}}
UNSIGNED = {"reasoningContent": {"reasoningText": {"text": "hm"}}}
SAID = {"text": "said"}


@pytest.mark.parametrize("block", [REASONING, HIDDEN, REDACTED])
def test_what_a_model_signed_goes_back_as_it_came(block: dict[str, Any]) -> None:
    """Shown, not shown (an empty text with a signature) or redacted: the very same block."""
    (kept, _) = answered(block, SAID)
    assert kept is block
    assert answered(block, USE, block, {"toolUse": {**USE["toolUse"], "toolUseId": "t2"}})[2] is block


def test_reasoning_comes_first_or_not_at_all() -> None:
    """A message with reasoning has to begin with it, and its order is part of what was signed."""
    assert answered(SAID, REASONING, SAID) == [SAID, SAID]


def test_reasoning_is_never_last() -> None:
    """Not even where a cache point follows; the reasoning before an answer stays."""
    assert answered(REASONING, SAID, HIDDEN) == [REASONING, SAID]
    assert answered(REASONING, SAID, HIDDEN, {"cachePoint": {"type": "default"}})[:2] == [REASONING, SAID]


def test_a_message_of_reasoning_alone_is_none() -> None:
    """The newest models take it for an answer that was begun, which they refuse."""
    assert answered(HIDDEN) is None
    assert answered(REDACTED, {"text": " "}) is None


def test_reasoning_goes_back_whole_or_not_at_all() -> None:
    """One that was lost changes what the others were signed together with."""
    assert answered(REASONING, UNSIGNED, SAID) == [SAID]
    assert answered(UNSIGNED, USE, REASONING, SAID)[0] == SAID


def test_messages_that_are_joined_lose_their_reasoning() -> None:
    """What was between them is gone, so neither is what was signed."""
    messages = [QUESTION, written_by("able", [REASONING, SAID]), written_by("able", [HIDDEN, SAID]), QUESTION]
    assert normalise({"messages": messages}, model=ABLE)["messages"][1]["content"] == [SAID, SAID]


def test_nothing_stands_between_a_tool_use_and_its_result() -> None:
    """Texts come before the tool uses of their message."""
    content = normalise({"messages": [QUESTION, {"role": "assistant", "content": [USE, SAID]}, RESULT]}, model=ABLE)[
        "messages"
    ][1]["content"]
    assert content == [SAID, USE]


# -- in a turn -------------------------------------------------------------------------------------------------------


def test_the_fallback_says_what_it_left_out() -> None:
    """Temperature goes to the first model and not to the fallback that takes none; the answer, both attempts and the
    turn's line say so.
    """
    plain = {**MODELS[1], "sampling": False}
    bench = Bench(
        server_error(),
        says("ok"),
        plugins="fallback",
        MODELS=[MODELS[0], plain],
        MODEL_FALLBACKS=["anthropic.second"],
    )
    turn = make_turn(bench.runtime, temperature=0.3)
    answer = bench.runtime.run(turn)
    assert answer.ignored == ("temperature",)
    first, second = bench.transport.requests
    assert first["inferenceConfig"]["temperature"] == 0.3
    assert "temperature" not in second["inferenceConfig"]
    finished = [event for event in bench.recorder.events if isinstance(event, AttemptFinished)]
    assert [event.attempt.left_out for event in finished] == [(), ("temperature",)]
    account = TurnAccount()
    for event in finished:
        account.observe(event)
    assert account.left_out == ["temperature"]


def test_the_fallback_model_gets_what_it_accepts() -> None:
    """Cache points, thinking and a large max_tokens go to the first model as they are and are adapted for the next."""

    class Amend:
        @hookimpl
        def rom_model_request(self, request: dict[str, Any]) -> None:
            request["system"].append({"cachePoint": {"type": "default"}})
            request["additionalModelRequestFields"] = {"thinking": THINKING, "speed": 5}

    plain = {**MODELS[1], "prompt_caching": False, "max_tokens": 1000}
    able = {**MODELS[0], "thinking": "budget", "max_tokens": 50_000}
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
    assert first["additionalModelRequestFields"] == {"thinking": THINKING, "speed": 5}
    assert {"cachePoint": {"type": "default"}} in first["system"]
    assert second["inferenceConfig"]["maxTokens"] == 1000
    assert second["additionalModelRequestFields"] == {"speed": 5}
    assert second["system"] == [{"text": "You answer."}]


def test_what_a_client_brings_goes_to_the_model_that_it_asks_for_and_to_no_other() -> None:
    """A fallback would refuse what it did not sign; the model that is asked has it as it came."""
    bench = Bench(server_error(), says("ok"), plugins="fallback")
    earlier = {"role": "assistant", "content": [REASONING, SAID]}
    bench.runtime.run(bench.runtime.turn(ChatRequest((QUESTION, earlier, QUESTION), "conv-1")))
    first, second = bench.transport.requests
    assert first["messages"][1]["content"][0] is REASONING
    assert second["messages"][1]["content"] == [SAID]


def test_what_the_model_does_not_take_back_is_left_out() -> None:
    """Signed by another model or under another system prompt, which only the model can tell: asked again without it."""
    words = (
        "messages.1.content.0: Invalid `signature` in `thinking` block. The block is bound to a different conversation."
    )
    refused = ModelRefused(kind="ValidationException", http_status=400, upstream_message=words)
    earlier = {"role": "assistant", "content": [REASONING, SAID]}
    bench = Bench(refused, says("ok"))
    request = ChatRequest((QUESTION, earlier, QUESTION), "conv-1")
    assert bench.runtime.run(bench.runtime.turn(request)).reply == "ok"
    assert bench.transport.requests[1]["messages"][1]["content"] == [SAID]
    assert request.messages[1]["content"][0] is REASONING
    for other in (refused, ModelRefused(kind="ValidationException", upstream_message="thinking is wrong")):
        again = Bench(other)
        with pytest.raises(ModelRefused):
            again.runtime.run(again.runtime.turn(request))
        assert len(again.transport.requests) == (2 if other is refused else 1)


def test_a_model_that_may_think_unasked_does_not_where_a_tool_is_forced() -> None:
    """The two exclude each other; a choice of its own leaves it as it is."""
    adaptive = ModelCapabilities(max_tokens=100, thinking="adaptive")
    forced = normalise({"messages": [QUESTION], "toolConfig": {**TOOLS, "toolChoice": {"any": {}}}}, model=adaptive)
    assert forced["additionalModelRequestFields"] == {"thinking": {"type": "disabled"}}
    free = normalise({"messages": [QUESTION], "toolConfig": TOOLS}, model=adaptive)
    assert "additionalModelRequestFields" not in free
