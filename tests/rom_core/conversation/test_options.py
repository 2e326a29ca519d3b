"""The rest of a request: tools, system, inference and additional fields within what Bedrock takes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from conversation_support import POINT, assistant, result, sent, spec, use, user

from rom_core.conversation import ModelCapabilities

# -- tools -------------------------------------------------------------------------------------------------------------


def test_tools_are_made_up_when_the_history_uses_some() -> None:
    """Tool blocks need a toolConfig, also when tools are withheld for a closing answer; a choice goes with them."""
    config = sent(user("a"), assistant(use()), user(result()), toolConfig={"tools": [], "toolChoice": {"any": {}}})
    assert [tool["toolSpec"]["name"] for tool in config["toolConfig"]["tools"]] == ["search"]
    assert "toolChoice" not in config["toolConfig"]


@pytest.mark.parametrize("config", [None, {}, {"tools": []}, {"tools": [POINT]}, {"tools": [{"toolSpec": None}]}, 3])
def test_no_tools_is_no_tool_config(config: Any) -> None:
    """An empty list of tools is refused; without tools there is no toolConfig."""
    assert "toolConfig" not in sent(user("a"), toolConfig=config)


@pytest.mark.parametrize(
    ("choice", "kept"),
    [
        ({"auto": {}}, {"auto": {}}),
        ({"any": {}}, {"any": {}}),
        ({"tool": {"name": "search"}}, {"tool": {"name": "search"}}),
        ({"tool": {"name": "other"}}, None),
        ({"none": {}}, None),
        ({}, None),
        ("auto", None),
    ],
)
def test_a_choice_that_does_not_exist_is_dropped(choice: Any, kept: Any) -> None:
    """toolChoice names one of the tools, or is auto or any."""
    assert sent(user("a"), toolConfig={"tools": [spec()], "toolChoice": choice})["toolConfig"].get("toolChoice") == kept


def test_tools_have_unique_names() -> None:
    """The second tool of a name is dropped, also when it has that name only after cleaning."""
    assert sent(user("a"), toolConfig={"tools": [spec("a_b"), spec("a b"), spec("a_b")]})["toolConfig"] == {
        "tools": [spec("a_b")]
    }


@pytest.mark.parametrize("schema", [{"type": "string"}, {"x": float("inf")}, {"enum": (1, 2)}])
def test_a_tool_takes_an_object(schema: dict[str, Any]) -> None:
    """An input schema is JSON, of type object."""
    (tool,) = sent(user("a"), toolConfig={"tools": [spec(schema=schema)]})["toolConfig"]["tools"]
    assert tool["toolSpec"]["inputSchema"]["json"]["type"] == "object"


def test_a_tool_has_a_valid_name_and_no_blank_description() -> None:
    """A tool's name is cleaned as in the history; a blank description is left out, `strict` stays."""
    blank = {"name": "a b", "description": " ", "strict": True, "inputSchema": {"json": {"type": "object"}}}
    (tool,) = sent(user("a"), toolConfig={"tools": [{"toolSpec": blank}]})["toolConfig"]["tools"]
    assert tool == {"toolSpec": {"name": "a_b", "strict": True, "inputSchema": {"json": {"type": "object"}}}}
    blank = {"name": "a_b", "description": " ", "inputSchema": {"json": {"type": "object"}}}
    (tool,) = sent(user("a"), toolConfig={"tools": [{"toolSpec": blank}]})["toolConfig"]["tools"]
    assert "description" not in tool["toolSpec"]
    (tool,) = sent(user("a"), toolConfig={"tools": [spec("a b")]})["toolConfig"]["tools"]
    assert tool == spec("a_b")


# -- system ------------------------------------------------------------------------------------------------------------


def test_blank_system_blocks_are_dropped() -> None:
    """Blank blocks of system are refused; what is left stays, a plain text becomes a block."""
    assert sent(user("a"), system=[{"text": " "}, {"text": "be brief"}, {}])["system"] == [{"text": "be brief"}]
    assert sent(user("a"), system="be brief")["system"] == [{"text": "be brief"}]


@pytest.mark.parametrize("system", [None, [], [{"text": " "}], "", [POINT]])
def test_an_empty_system_is_absent(system: Any) -> None:
    """No system prompt is no member, not an empty list."""
    assert "system" not in sent(user("a"), system=system)


# -- inference ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"maxTokens": 100_000}, {"maxTokens": 8192}),
        ({"maxTokens": 0}, {"maxTokens": 1}),
        ({"maxTokens": 10.9}, {"maxTokens": 10}),
        pytest.param({"maxTokens": 10**400, "topP": 10**400}, {"maxTokens": 8192, "topP": 1}, id="huge"),
        pytest.param({"stopSequences": ["x"] * 3000}, {"stopSequences": ["x"] * 2500}, id="many"),
        ({"temperature": Decimal("sNaN"), "topP": Decimal("1e999")}, {}),
        ({"maxTokens": True, "temperature": True, "topP": False}, {}),
        ({"maxTokens": float("nan"), "temperature": float("inf"), "topP": "0.5"}, {}),
        ({"maxTokens": None, "temperature": None, "stopSequences": None}, {}),
        ({"temperature": 1.5}, {"temperature": 1}),
        ({"temperature": -1}, {"temperature": 0}),
        ({"temperature": Decimal("0.5")}, {"temperature": 0.5}),
        ({"topP": 2}, {"topP": 1}),
        ({"temperature": 0.5, "topP": 0.5}, {"temperature": 0.5}),
        ({"stopSequences": ["END", "", " ", None]}, {"stopSequences": ["END"]}),
        ({"stopSequences": "END"}, {"stopSequences": ["END"]}),
        ({"topK": 5}, {}),
        ([], {}),
    ],
)
def test_inference_stays_within_its_limits(given: Any, kept: dict[str, Any]) -> None:
    """Numbers are clamped or dropped, never sent for Bedrock to refuse; Claude takes temperature or topP, not both."""
    assert sent(user("a"), inferenceConfig=given).get("inferenceConfig", {}) == kept


def test_a_model_may_take_temperature_with_top_p() -> None:
    """Models that take both get both."""
    both = {"temperature": 0.5, "topP": 0.5}
    model = ModelCapabilities(max_tokens=100, temperature_with_top_p=True)
    assert sent(user("a"), inferenceConfig=both, model=model)["inferenceConfig"] == both


@pytest.mark.parametrize("tokens", [0, -5])
def test_a_model_writes_at_least_a_token(tokens: int) -> None:
    """A model that could write nothing is a mistake in the MODELS table."""
    with pytest.raises(ValueError, match="max_tokens"):
        ModelCapabilities(max_tokens=tokens)


def test_additional_fields_are_json() -> None:
    """NaN in additionalModelRequestFields would be invalid JSON on the wire."""
    request = sent(user("a"), additionalModelRequestFields={"other": {"budget": float("nan")}})
    assert request["additionalModelRequestFields"] == {"other": {"budget": None}}
    assert "additionalModelRequestFields" not in sent(user("a"), additionalModelRequestFields={})
