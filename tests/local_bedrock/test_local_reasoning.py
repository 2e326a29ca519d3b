"""What the newest models refuse, and what the ones before them do: one request for each rule."""

from __future__ import annotations

import copy
from typing import Any

import boto3
import pytest

from local_bedrock import LocalBedrock
from local_bedrock.models import resolve_model
from local_bedrock.validation import validate

NEWEST = "global.anthropic.claude-sonnet-5-5"
BEFORE = "global.anthropic.claude-sonnet-4-5-20250929-v1:0"
SIGNED: dict[str, Any] = {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}}
USE: dict[str, Any] = {"toolUse": {"toolUseId": "a", "name": "buscar", "input": {}}}
BODY: dict[str, Any] = {
    "system": [{"text": "Responda."}],
    "messages": [
        {"role": "user", "content": [{"text": "Busque."}]},
        {"role": "assistant", "content": [{"text": "Sim."}, USE]},
        {"role": "user", "content": [{"toolResult": {"toolUseId": "a", "content": [{"text": "ok"}]}}]},
    ],
    "toolConfig": {"tools": [{"toolSpec": {"name": "buscar", "inputSchema": {"json": {"type": "object"}}}}]},
}


def refused(model_id: str, *, said: list[dict[str, Any]] | None = None, **change: Any) -> str:
    """The message with which this model refuses BODY so changed, "" if it takes it."""
    body = copy.deepcopy(BODY) | change
    if said is not None:
        body["messages"][1]["content"] = said
    refusal = validate(model_id, "ConverseStream", body)
    return refusal.message if refusal else ""


def thinking(**setting: Any) -> dict[str, Any]:
    """A thinking setting as a member of the body."""
    return {"additionalModelRequestFields": {"thinking": setting}}


def test_both_take_the_plain_request() -> None:
    """So that what follows is refused for its own sake."""
    assert refused(NEWEST) == refused(BEFORE) == ""


@pytest.mark.parametrize(
    "change",
    [
        {"inferenceConfig": {"temperature": 1}},
        {"inferenceConfig": {"topP": 0.99}},
        {"additionalModelRequestFields": {"top_k": 5}},
        {"toolConfig": {**BODY["toolConfig"], "toolChoice": {"any": {}}}},
        {"toolConfig": {**BODY["toolConfig"], "toolChoice": {"tool": {"name": "buscar"}}}},
        thinking(type="disabled"),
    ],
)
def test_only_the_newest_refuse_sampling_forced_tools_and_no_thinking(change: dict[str, Any]) -> None:
    """Each by itself."""
    assert refused(NEWEST, **change)
    assert refused(BEFORE, **change) == ""


@pytest.mark.parametrize("kind", ["enabled", "adaptive", "between_tools"])
def test_each_kind_takes_its_own_types_of_thinking(kind: str) -> None:
    """A budget before, adaptive thinking now."""
    setting = {"type": kind, "budget_tokens": 1024} if kind == "enabled" else {"type": kind}
    said = [SIGNED, USE]
    assert ("not supported" in refused(BEFORE, said=said, **thinking(**setting))) is (kind != "enabled")
    assert ("not supported" in refused(NEWEST, **thinking(**setting))) is (kind == "enabled")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "must start with a thinking block"),
        ({"said": [SIGNED, USE], "inferenceConfig": {"temperature": 0.5}}, "`temperature` may only be set to 1"),
        ({"said": [SIGNED, USE], "inferenceConfig": {"topP": 0.5}}, "`top_p` must be"),
        ({"said": [SIGNED, USE], "inferenceConfig": {"maxTokens": 1024}}, "must be greater than"),
        (
            {"said": [SIGNED, USE], "toolConfig": {**BODY["toolConfig"], "toolChoice": {"any": {}}}},
            "forces tool use",
        ),
    ],
)
def test_a_budget_has_rules_of_its_own(change: dict[str, Any], words: str) -> None:
    """With thinking enabled sampling is fixed, no tool is forced, and a tool loop begins with reasoning."""
    setting = thinking(type="enabled", budget_tokens=1024)
    assert refused(BEFORE, said=[SIGNED, USE], **setting) == ""
    assert words in refused(BEFORE, **change, **setting)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ([{"text": "Sim."}, SIGNED, USE], "the first block must be"),
        ([SIGNED, USE, SIGNED], "The final block in an assistant message cannot be"),
        ([{"reasoningContent": {"reasoningText": {"text": "hm"}}}, USE], "signature: Field required"),
        ([USE, {"text": "Sim."}], "without `tool_result` blocks immediately after"),
    ],
)
def test_the_order_of_blocks_is_checked_for_every_model(said: list[dict[str, Any]], words: str) -> None:
    """Reasoning first and never last, signed; nothing between a tool use and its result."""
    assert words in refused(BEFORE, said=said)
    assert words in refused(NEWEST, said=said)


def test_a_message_of_reasoning_alone_is_taken_for_an_answer_that_was_begun() -> None:
    """Even with a user's message after it."""
    messages = [
        {"role": "user", "content": [{"text": "a"}]},
        {"role": "assistant", "content": [SIGNED]},
        {"role": "user", "content": [{"text": "b"}]},
    ]
    assert "prefill" in refused(NEWEST, messages=messages)


def test_what_the_newest_sign_is_hidden_and_bound(bedrock_local: LocalBedrock) -> None:
    """It comes with an empty text, is taken back as it came, and by nobody else, nor after another beginning."""
    client = boto3.Session().client(
        "bedrock-runtime",
        region_name="us-west-2",
        endpoint_url=bedrock_local.url,
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    first = [{"role": "user", "content": [{"text": "[[reasoning]] [[tool=buscar]] Busque."}]}]
    asked: dict[str, Any] = {"system": BODY["system"], "toolConfig": BODY["toolConfig"], "messages": first}
    said = client.converse(modelId=NEWEST, **asked)["output"]["message"]["content"]
    shown = client.converse(
        modelId=NEWEST, **asked, additionalModelRequestFields={"thinking": {"type": "adaptive", "display": "full"}}
    )
    client.close()
    assert said[0]["reasoningContent"]["reasoningText"]["text"] == ""
    assert shown["output"]["message"]["content"][0]["reasoningContent"]["reasoningText"]["text"]
    use = said[1]["toolUse"]["toolUseId"]
    result = {"toolResult": {"toolUseId": use, "content": [{"text": "ok"}]}}
    body = {
        **asked,
        "messages": [*first, {"role": "assistant", "content": said}, {"role": "user", "content": [result]}],
    }
    assert refused(NEWEST, **body) == ""
    assert "different model" in refused("global.anthropic.claude-opus-5-5", **body)
    assert "different conversation" in refused(NEWEST, **{**body, "system": [{"text": "Outra coisa."}]})
    point = {"cachePoint": {"type": "default"}}
    assert refused(NEWEST, **{**body, "system": [*BODY["system"], point]}) == ""


def test_an_opaque_profile_takes_what_models_took_before() -> None:
    """Nobody knows what stands behind an application inference profile."""
    arn = "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/abc"
    assert getattr(resolve_model(arn), "sampling", None) is True
