"""The gen_ai.* metrics: names, units, bounds and attributes of the conventions v0.1.0, and the older names."""

from __future__ import annotations

from typing import Any

import pytest
from support import Toolkit, asks, failure, make_runtime, make_turn, says, tool
from telemetry_seen import Seen

from rom_core.errors import ModelThrottled
from rom_core.turn_values import ModelReply, Usage

MODEL = {"gen_ai.request.model": "global.anthropic.first-v1:0", "gen_ai.response.model": "global.anthropic.first-v1:0"}
SERVER = {"server.address": "bedrock-runtime.us-west-2.amazonaws.com", "server.port": 443}
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "aws.bedrock", **SERVER, **MODEL}
SECONDS = tuple(0.01 * 2**power for power in range(14))
OLD = {
    "gen_ai.client.operation.duration",
    "gen_ai.client.operation.time_to_first_chunk",
    "gen_ai.client.token.usage",
}


def only(seen: Seen, name: str) -> Any:
    """The one point of a metric."""
    (point,) = seen.points()[name]
    return point


def test_a_model_call_is_counted(seen: Seen) -> None:
    """Duration, first text and tokens; input includes what the cache had and got."""
    seen.run(ModelReply(({"text": "ok"},), "end_turn", "anthropic.first", Usage(10, 5, 100, 30)))
    points = seen.points()
    assert {name for name in points if name.startswith("gen_ai.client")} == {
        "gen_ai.client.inference.duration",
        "gen_ai.client.inference.time_to_first_chunk",
        "gen_ai.client.inference.usage.input_tokens",
        "gen_ai.client.inference.usage.output_tokens",
        "gen_ai.client.inference.usage.cache_read.input_tokens",
        "gen_ai.client.inference.usage.cache_write.input_tokens",
        "gen_ai.client.inference.operation.input_tokens",
        "gen_ai.client.inference.operation.output_tokens",
    }
    text = {**CHAT, "gen_ai.token.modality": "text"}
    for name, value in (
        ("input_tokens", 140),
        ("output_tokens", 5),
        ("cache_read.input_tokens", 100),
        ("cache_write.input_tokens", 30),
    ):
        (point,) = points[f"gen_ai.client.inference.usage.{name}"]
        assert (dict(point.attributes), point.value) == (text, value)
    for name, value in (("input_tokens", 140), ("output_tokens", 5)):
        (point,) = points[f"gen_ai.client.inference.operation.{name}"]
        assert (dict(point.attributes), point.sum) == (CHAT, value)
        assert point.explicit_bounds == tuple(4**power for power in range(14))
    (duration,) = points["gen_ai.client.inference.duration"]
    assert (dict(duration.attributes), duration.count) == (CHAT, 1)
    assert duration.explicit_bounds == pytest.approx(SECONDS)


def test_turns_and_tools_are_counted(seen: Seen) -> None:
    """Each turn with how many model calls and tools it had, failed ones included."""
    seen.run(asks(("look", {}), ("eu inventei", {})), asks(("look", {})), says("ok"), plugins={"kit": Toolkit(tool())})
    duration = only(seen, "gen_ai.invoke_agent.duration")
    assert dict(duration.attributes) == {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "rom-agent"}
    assert duration.explicit_bounds == pytest.approx(tuple(0.1 * 2**power for power in range(13)))
    for name, count in (("inference_calls", 3), ("tool_calls", 3)):
        point = only(seen, f"gen_ai.invoke_agent.{name}")
        assert (point.sum, dict(point.attributes)) == (count, {"gen_ai.agent.name": "rom-agent"})
        assert point.explicit_bounds == (1, 2, 4, 8, 16, 32, 64, 128)
    tools = {point.attributes["gen_ai.tool.name"]: point for point in seen.points()["gen_ai.execute_tool.duration"]}
    assert {name: (point.count, point.attributes.get("error.type")) for name, point in tools.items()} == {
        "look": (2, None),
        "unknown": (1, "unknown_tool"),
    }
    assert tools["look"].explicit_bounds == pytest.approx(SECONDS)


def test_a_failed_call_counts_no_tokens_and_has_its_kind(seen: Seen) -> None:
    """0 of an unknown modality, so that it is counted at all."""
    seen.run(failure(ModelThrottled, kind="throttled"))
    assert dict(only(seen, "gen_ai.client.inference.duration").attributes)["error.type"] == "throttled"
    point = only(seen, "gen_ai.client.inference.usage.input_tokens")
    assert (point.value, point.attributes["gen_ai.token.modality"]) == (0, "unknown")
    assert "gen_ai.client.inference.operation.input_tokens" not in seen.points()


def test_the_modality_of_a_picture_is_unknown(seen: Seen) -> None:
    """Bedrock does not say which tokens were the picture's; the answer is text."""
    picture = {"image": {"format": "png", "source": {"bytes": b"x"}}}
    seen.run(says("ok"), request={"messages": ({"role": "user", "content": [picture, {"text": "o quê?"}]},)})
    points = {name: only(seen, f"gen_ai.client.inference.usage.{name}_tokens") for name in ("input", "output")}
    assert {name: point.attributes["gen_ai.token.modality"] for name, point in points.items()} == {
        "input": "unknown",
        "output": "text",
    }


def test_older_names_are_sent_only_when_asked_for(seen: Seen) -> None:
    """Then beside the new ones, with the kind of tokens as an attribute."""
    seen.run(says("ok"))
    assert not OLD & seen.points().keys()
    seen.settings["TELEMETRY_OLD_METRIC_NAMES"] = True
    seen.run(says("ok"))
    assert seen.points().keys() >= OLD | {"gen_ai.client.inference.duration"}
    tokens = {point.attributes["gen_ai.token.type"]: point.sum for point in seen.points()["gen_ai.client.token.usage"]}
    assert tokens == {"input": 10, "output": 5}


def test_no_attribute_of_a_metric_takes_a_value_of_the_client(seen: Seen) -> None:
    """However many conversations, users and invented tools there are, the number of points is the same."""
    for number in range(5):
        runtime, _ = make_runtime(
            asks((f"tool-{number}", {})), says("ok"), plugins={"seen": seen, "kit": Toolkit(tool())}, clock=seen.clock
        )
        turn = make_turn(runtime, f"pergunta {number}", user=f"user-{number}", system=f"s {number}")
        runtime.run(turn)
    assert {name: len(points) for name, points in seen.points().items() if len(points) != 1} == {}
