"""Every rule of a conversation: one request that breaks it, and the message it is refused with."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_bedrock import LocalBedrock
from local_bedrock.rules import check_conversation
from local_bedrock.validation import check_request, validate

SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
POINT = {"cachePoint": {"type": "default"}}
Body = dict[str, Any]


def use(tool_use_id: str, **more: Any) -> Body:
    """A toolUse block."""
    return {"toolUse": {"toolUseId": tool_use_id, "name": "buscar", "input": {"q": "x"}} | more}


def result(tool_use_id: str, content: list[Body] | None = None) -> Body:
    """A toolResult block."""
    return {"toolResult": {"toolUseId": tool_use_id, "content": [{"text": "ok"}] if content is None else content}}


def spec(name: str = "buscar", schema: Any = None) -> Body:
    """A tool."""
    return {"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object"} if schema is None else schema}}}


VALID: Body = {
    "system": [{"text": "Responda."}, POINT],
    "messages": [
        {"role": "user", "content": [{"text": "Busque."}]},
        {"role": "assistant", "content": [{"text": "Sim."}, use("a"), use("b")]},
        {"role": "user", "content": [result("b"), result("a", [{"json": {"n": 1}}]), POINT]},
        {"role": "assistant", "content": [{"text": "Pronto."}]},
        {"role": "user", "content": [{"text": "Obrigado."}]},
    ],
    "toolConfig": {"tools": [spec(), POINT], "toolChoice": {"auto": {}}},
    "inferenceConfig": {"maxTokens": 100, "temperature": 0.5},
}
_BROKEN: dict[str, tuple[Callable[[Body], object], str]] = {
    "no messages": (lambda b: b.pop("messages"), "A conversation must start with a user message"),
    "starts with assistant": (lambda b: b["messages"].pop(0), "A conversation must start with a user message"),
    "two user turns": (lambda b: b["messages"].pop(3), "A conversation must alternate between user and assistant"),
    "ends with assistant": (lambda b: b["messages"].pop(), "The conversation must end with a user message."),
    "system role": (lambda b: b["messages"][4].update(role="system"), "doesn't support the system role"),
    "missing result": (
        lambda b: b["messages"][2]["content"].pop(0),
        "Expected toolResult blocks at messages.2.content for the following Ids: b",
    ),
    "no result at all": (
        lambda b: b["messages"][2].update(content=[{"text": "Deixe."}]),
        "Expected toolResult blocks at messages.2.content for the following Ids: a, b",
    ),
    "open tool use at the end": (
        lambda b: b["messages"].__setitem__(slice(2, None), []),
        "Expected toolResult blocks at messages.2.content for the following Ids: a, b",
    ),
    "duplicate result": (
        lambda b: b["messages"][2]["content"].insert(0, result("a")),
        "The number of toolResult blocks at messages.2.content exceeds the number of toolUse blocks of previous turn.",
    ),
    "result without use": (
        lambda b: b["messages"][4].update(content=[result("a")]),
        "The number of toolResult blocks at messages.4.content exceeds",
    ),
    "result for another id": (
        lambda b: b["messages"][2]["content"].__setitem__(0, result("z")),
        "unexpected `tool_use_id` found in `tool_result` blocks: z.",
    ),
    "no toolConfig": (
        lambda b: b.pop("toolConfig"),
        "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
    ),
    "tool use by the user": (
        lambda b: b["messages"][4]["content"].append(use("c")),
        "User messages cannot contain tool uses.",
    ),
    "tool result by the assistant": (
        lambda b: b["messages"][3]["content"].append(result("a")),
        "Assistant messages cannot contain tool results.",
    ),
    "reasoning by the user": (
        lambda b: b["messages"][4]["content"].append({"reasoningContent": {"reasoningText": {"text": "hm"}}}),
        "User messages cannot contain reasoning content.",
    ),
    "image by the assistant": (
        lambda b: b["messages"][3]["content"].append({"image": {"format": "png", "source": {"bytes": "AAAA"}}}),
        "Assistant messages cannot contain images.",
    ),
    "empty content": (
        lambda b: b["messages"][3].update(content=[]),
        "The content field in the Message object at messages.3 is empty.",
    ),
    "blank text": (
        lambda b: b["messages"][4].update(content=[{"text": " \n"}]),
        "The text field in the ContentBlock object at messages.4.content.0 is blank.",
    ),
    "blank guarded text": (
        lambda b: b["messages"][4].update(content=[{"guardContent": {"text": {"text": " "}}}]),
        "at messages.4.content.0.guardContent is blank.",
    ),
    "blank reasoning": (
        lambda b: b["messages"][3]["content"].insert(0, {"reasoningContent": {"reasoningText": {"text": ""}}}),
        "at messages.3.content.0.reasoningContent is blank.",
    ),
    "blank system": (lambda b: b["system"][0].update(text=" "), "at system.0 is blank."),
    "empty tool result": (
        lambda b: b["messages"][2]["content"][0]["toolResult"].update(content=[]),
        "The content field in the ToolResultBlock object at messages.2.content.0.toolResult is empty.",
    ),
    "blank tool result": (
        lambda b: b["messages"][2]["content"][0]["toolResult"].update(content=[{"text": ""}]),
        "at messages.2.content.0.toolResult.content.0 is blank.",
    ),
    "text beside results": (
        lambda b: b["messages"][2]["content"].append({"text": "Atenção."}),
        "Conversation blocks and tool result blocks cannot be provided in the same turn.",
    ),
    "repeated tool use id": (
        lambda b: b["messages"].extend(
            [{"role": "assistant", "content": [use("a")]}, {"role": "user", "content": [result("a")]}]
        ),
        "messages.5.content: `tool_use` ids must be unique",
    ),
    "tool use id with a dot": (
        lambda b: (
            b["messages"][1]["content"].__setitem__(2, use("b.1")),
            b["messages"][2]["content"].__setitem__(0, result("b.1")),
        ),
        "messages.1.content.2.toolUse.toolUseId: String should match pattern",
    ),
    "input not an object": (
        lambda b: b["messages"][1]["content"][1]["toolUse"].update(input=[1]),
        "The format of the value at messages.1.content.1.toolUse.input is invalid.",
    ),
    "result json not an object": (
        lambda b: b["messages"][2]["content"][1]["toolResult"].update(content=[{"json": []}]),
        "The format of the value at messages.2.content.1.toolResult.content.0.json is invalid.",
    ),
    "five cache points": (
        lambda b: b["messages"][4]["content"].extend([POINT, POINT]),
        "A maximum of 4 blocks with cache_control may be provided. Found 5.",
    ),
    "cache point first": (
        lambda b: b["messages"][4]["content"].insert(0, POINT),
        "messages.4.content.0: a cachePoint must follow the block that it caches.",
    ),
    "cache point behind a text document": (
        lambda b: b["messages"][4]["content"].extend(
            [{"document": {"name": "d", "format": "txt", "source": {"bytes": "eA=="}}}, POINT]
        ),
        "messages.4.content: a cachePoint cannot follow reasoning or a document that is not a PDF.",
    ),
    "cache point first in system": (lambda b: b["system"].pop(0), "system.0: a cachePoint must follow"),
    "choice not offered": (
        lambda b: b["toolConfig"].update(toolChoice={"tool": {"name": "outra"}}),
        "tool_choice: Tool 'outra' not found in provided tools.",
    ),
    "tool offered twice": (lambda b: b["toolConfig"]["tools"].append(spec()), "tools: Tool names must be unique."),
    "schema not an object": (
        lambda b: b["toolConfig"]["tools"].append(spec("b", [1])),
        "The format of the value at toolConfig.tools.2.toolSpec.inputSchema.json is invalid.",
    ),
    "schema of another type": (
        lambda b: b["toolConfig"]["tools"].append(spec("b", {"type": "string"})),
        "inputSchema.json.type must be one of the following: object.",
    ),
}


def broken(name: str) -> Body:
    """The valid request with one rule broken."""
    body = copy.deepcopy(VALID)
    _BROKEN[name][0](body)
    return body


def test_valid_conversation_is_accepted() -> None:
    """A conversation with tools, caching and JSON results breaks no rule."""
    assert check_request("Converse", VALID) == []
    assert check_conversation(VALID) == []
    assert validate(SONNET, "Converse", VALID) is None


@pytest.mark.parametrize("name", _BROKEN)
def test_broken_rule_is_named(name: str) -> None:
    """Each rule, broken alone in an otherwise valid request of the right shape, is refused in AWS's words."""
    body = broken(name)
    assert check_request("Converse", body) == []
    assert any(_BROKEN[name][1] in message for message in check_conversation(body))
    refusal = validate("global.anthropic.claude-sonnet-4-6", "Converse", body)
    assert refusal is not None
    assert refusal[:2] == (400, "ValidationException")


@pytest.mark.parametrize("name", ["two user turns", "missing result", "no toolConfig", "blank text"])
@pytest.mark.parametrize("operation", ["converse", "converse_stream"])
def test_server_refuses(bedrock_local: LocalBedrock, client: Any, name: str, operation: str) -> None:
    """The SDK sees a broken rule as a ValidationException, for both operations."""
    with pytest.raises(client.boto.exceptions.ValidationException) as caught:
        getattr(client.boto, operation)(modelId=SONNET, **broken(name))
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert caught.value.response["Error"]["Message"] == check_conversation(broken(name))[0]
    assert bedrock_local.requests[0].body["messages"] == broken(name)["messages"]


def test_server_accepts_what_is_valid(client: Any) -> None:
    """The same request unbroken gets an answer."""
    assert client.boto.converse(modelId=SONNET, **VALID)["stopReason"] == "end_turn"


@pytest.mark.parametrize(
    ("model", "status", "error", "message"),
    [
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", 400, "ValidationException", "on-demand throughput isn\u2019t"),
        (
            "arn:aws:bedrock:us-west-2::foundation-model/anthropic.claude-sonnet-4-5-20250929-v1:0",
            400,
            "ValidationException",
            "on-demand throughput isn\u2019t supported",
        ),
        ("us.anthropic.claude-9", 400, "ValidationException", "The provided model identifier is invalid."),
        ("nem isto", 400, "ValidationException", "The provided model identifier is invalid."),
        (
            "arn:aws:bedrock:us-west-2:123456789012:inference-profile/us.anthropic.claude-9",
            404,
            "ResourceNotFoundException",
            "Could not resolve the foundation model",
        ),
        (
            "us.anthropic.claude-3-7-sonnet-20250219-v1:0",
            404,
            "ResourceNotFoundException",
            "This model version has reached the end of its life.",
        ),
    ],
)
def test_model_id_is_refused(client: Any, model: str, status: int, error: str, message: str) -> None:
    """Bare, unknown and retired model ids get the answer that AWS gives."""
    with pytest.raises(ClientError) as caught:
        client.converse(model=model)
    response = caught.value.response
    assert (response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]) == (status, error)
    assert message in response["Error"]["Message"]


@pytest.mark.parametrize(
    "model",
    [
        "global.anthropic.claude-haiku-4-5-20251001-v1:0",
        "eu.anthropic.claude-sonnet-4-20250514-v1:0",
        "amazon.nova-pro-v1:0",
        "arn:aws:bedrock:us-west-2:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/abc123def456",
    ],
)
def test_model_id_is_served(bedrock_local: LocalBedrock, client: Any, model: str) -> None:
    """Profiles, on-demand models and ARNs (with a slash in the path) are served, and recorded as they were sent."""
    assert client.converse(model=model)["stopReason"] == "end_turn"
    assert bedrock_local.requests[0].model_id == model


def test_cache_point_needs_a_model_that_caches(client: Any) -> None:
    """A cachePoint for a model without caching is an AccessDeniedException, as on fallback to an older model."""
    content = [{"text": "Olá"}, POINT]
    with pytest.raises(client.boto.exceptions.AccessDeniedException, match="did not allow prompt caching"):
        client.boto.converse(modelId="mistral.mistral-large-2407-v1:0", messages=[{"role": "user", "content": content}])


def test_max_tokens_is_bounded_by_the_model(client: Any) -> None:
    """Asking for more tokens than the model has is refused, asking for as many is not."""
    assert client.converse(inferenceConfig={"maxTokens": 64000})
    with pytest.raises(client.boto.exceptions.ValidationException, match="exceeds the model limit of 64000"):
        client.converse(inferenceConfig={"maxTokens": 64001})
