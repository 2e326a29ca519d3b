"""Whatever a model says and tools do, what goes on the wire is a request that Bedrock accepts, and the turn ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import ScriptedTransport, Toolkit, make_runtime, make_turn, tool

from local_bedrock.rules import check_conversation
from local_bedrock.validation import check_request
from rom_core.concurrency.clock import SystemClock
from rom_core.errors import ModelServerError
from rom_core.runtime import Runtime
from rom_core.tools import ToolContext
from rom_core.turn_values import ModelReply, Usage

TEXT = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(["", " ", "\n", "sim"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
TOOL_USE = st.fixed_dictionaries(
    {
        "toolUseId": st.sampled_from(["t1", "t2", "", "id with space", "x" * 70]),
        "name": st.sampled_from(["good", "bad", "unknown", "no such tool!", ""]),
        "input": JSON,
    }
).map(lambda use: {"toolUse": use})
BLOCK = TEXT.map(lambda text: {"text": text}) | TOOL_USE
STOP = st.sampled_from(
    ["end_turn", "tool_use", "tool_use", "tool_use", "max_tokens", "stop_sequence", "content_filtered", "new_reason"]
)
REPLY = st.builds(
    lambda blocks, stop: ModelReply(tuple(blocks), stop, "anthropic.first", Usage(1, 1)),
    st.lists(BLOCK, max_size=4),
    STOP,
)
STEP = REPLY | st.just("error").map(lambda _: ModelServerError("", kind="500"))


def fails(value: dict[str, Any], context: ToolContext) -> Any:
    """A tool that always raises."""
    raise RuntimeError("bad")


@pytest.fixture(scope="module")
def model() -> Iterator[tuple[Runtime, ScriptedTransport, list[Any]]]:
    """A runtime for all examples, its scripted model, and a box with what the tool `good` returns."""
    answer: list[Any] = [None]
    kit = Toolkit(tool("good", lambda value, context: answer[0]), tool("bad", fails))
    runtime, transport = make_runtime(plugins={"kit": kit}, clock=SystemClock(), MAX_LOOPS_ABSOLUTE=3)
    yield runtime, transport, answer
    runtime.tool_pool.stop()


@settings(max_examples=300, deadline=None)
@given(st.lists(STEP, min_size=1, max_size=6), JSON)
def test_every_request_of_every_turn_is_accepted(
    model: tuple[Runtime, ScriptedTransport, list[Any]], steps: list[Any], answer: Any
) -> None:
    """No sequence of replies, tool failures and truncations makes a request that the validator refuses."""
    runtime, transport, box = model
    box[0] = answer
    transport.requests.clear()
    transport.steps = [*steps, ModelReply(({"text": "fim"},), "end_turn", "anthropic.first", Usage(1, 1))]
    try:
        result = runtime.run(make_turn(runtime))
        assert result.reply.strip()
    except ModelServerError:
        assert any(isinstance(step, ModelServerError) for step in steps)
    assert transport.requests
    for request in transport.requests:
        body = {name: value for name, value in request.items() if name != "modelId"}
        assert check_request("ConverseStream", body) == []
        assert check_conversation(body) == []
