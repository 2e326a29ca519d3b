"""The shape of a request, against botocore's description of the service."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from local_bedrock import LocalBedrock
from local_bedrock.validation import check_request, validate

SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
HELLO = [{"role": "user", "content": [{"text": "Olá"}]}]


def tool(**spec: Any) -> dict[str, Any]:
    """A toolConfig with one tool."""
    return {"tools": [{"toolSpec": {"name": "t", "inputSchema": {"json": {"type": "object"}}} | spec}]}


@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ("topK", 5, "extraneous key [topK] is not permitted"),
        ("modelId", SONNET, "extraneous key [modelId] is not permitted"),
        ("inferenceConfig", {"topK": 5}, "#/inferenceConfig: extraneous key [topK]"),
        ("inferenceConfig", {"temperature": 5.0}, "Value '5.0' at 'inferenceConfig.temperature' failed to satisfy"),
        ("inferenceConfig", {"temperature": -0.1}, "greater than or equal to 0"),
        ("inferenceConfig", {"temperature": "NaN"}, "Member must be a number"),
        ("inferenceConfig", {"topP": "-Infinity"}, "greater than or equal to 0"),
        ("inferenceConfig", {"temperature": True}, "TRUE_VALUE at 'inferenceConfig.temperature' can not be converted"),
        ("inferenceConfig", {"temperature": "1"}, "STRING_VALUE at 'inferenceConfig.temperature' can not"),
        ("inferenceConfig", {"maxTokens": 0}, "greater than or equal to 1"),
        ("inferenceConfig", {"maxTokens": 1.0}, "DECIMAL_VALUE at 'inferenceConfig.maxTokens' can not be converted"),
        ("inferenceConfig", {"maxTokens": True}, "can not be converted to an Integer"),
        ("inferenceConfig", {"stopSequences": ["x"] * 2501}, "length less than or equal to 2500"),
        ("inferenceConfig", {"stopSequences": [""]}, "length greater than or equal to 1"),
        ("inferenceConfig", [], "START_ARRAY at 'inferenceConfig' can not be converted to an Object"),
        ("messages", {}, "START_OBJECT at 'messages' can not be converted to a List"),
        ("messages", [{"role": "user"}], "Value null at 'messages.1.member.content'"),
        ("messages", [{"role": "bogus", "content": [{"text": "x"}]}], "enum value set: [user, assistant, system]"),
        ("messages", [{"role": "user", "content": [{}]}], "Exactly one member of"),
        ("messages", [{"role": "user", "content": [{"text": "x", "image": {}}]}], "found 2"),
        ("messages", [{"role": "user", "content": [{"text": "\ud800"}]}], "lone surrogate"),
        ("messages", [{"role": "user", "content": [{"text": 1}]}], "can not be converted to a String"),
        (
            "messages",
            [{"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": "não"}}}]}],
            "can not be converted to a Blob",
        ),
        ("system", [{"text": ""}], "length greater than or equal to 1"),
        ("toolConfig", {}, "Value null at 'toolConfig.tools'"),
        ("toolConfig", {"tools": []}, "length greater than or equal to 1"),
        ("toolConfig", tool(name="com espaço"), "regular expression pattern: [a-zA-Z0-9_-]+"),
        ("toolConfig", tool(name="n" * 65), "length less than or equal to 64"),
        ("toolConfig", tool(strict=1), "can not be converted to a Boolean"),
        ("toolConfig", tool(inputSchema={"json": {"a": float("inf")}}), "is not a JSON number"),
        ("toolConfig", tool(inputSchema={"json": {"\ud800": 1}}), "lone surrogate"),
        ("toolConfig", tool() | {"toolChoice": {"none": {}}}, "extraneous key [none]"),
        ("toolConfig", tool() | {"toolChoice": {"any": {}, "auto": {}}}, "found 2"),
        ("performanceConfig", {"latency": "zippy"}, "enum value set: [standard, optimized]"),
        ("requestMetadata", {f"k{n}": "v" for n in range(17)}, "length less than or equal to 16"),
        ("requestMetadata", {"k": "v" * 257}, "length less than or equal to 256"),
        ("requestMetadata", {"k": 1}, "can not be converted to a String"),
        ("requestMetadata", [], "can not be converted to a Map"),
        ("guardrailConfig", {"guardrailVersion": "novo"}, "regular expression pattern"),
    ],
)
def test_shape_is_checked(member: str, value: Any, message: str) -> None:
    """What the service's description forbids is refused, also what the SDK would let through."""
    problems = check_request("ConverseStream", {"messages": HELLO} | {member: value})
    assert any(message in problem for problem in problems), problems


@pytest.mark.parametrize("body", [None, [], "text", 1])
def test_body_must_be_an_object(body: Any) -> None:
    """Any other JSON value is a serialization error."""
    refusal = validate(SONNET, "Converse", body)
    assert refusal is not None
    assert refusal[:2] == (400, "SerializationException")


def test_null_members_count_as_absent() -> None:
    """REST-JSON ignores a member that is null."""
    assert check_request("Converse", {"messages": HELLO, "system": None, "inferenceConfig": {"topP": None}}) == []


def test_operations_differ_in_the_guardrail_mode() -> None:
    """Only ConverseStream knows streamProcessingMode."""
    body = {"messages": HELLO, "guardrailConfig": {"streamProcessingMode": "sync"}}
    assert check_request("ConverseStream", body) == []
    assert "extraneous key [streamProcessingMode]" in check_request("Converse", body)[0]


def test_all_violations_are_told_at_once() -> None:
    """The message counts them, as AWS does; content is not repeated at length."""
    body = {"messages": HELLO, "inferenceConfig": {"temperature": 2, "topP": 3}, "toolConfig": tool(name="é" * 500)}
    refusal = validate(SONNET, "Converse", body)
    assert refusal is not None
    assert refusal.message.startswith("4 validation errors detected: ")
    assert len(refusal.message) < 1000


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["messages", "system", "toolConfig", "inferenceConfig", "x"]), _json))
def test_any_json_gets_a_verdict(body: dict[str, Any]) -> None:
    """No request, however wrong, makes the checks fail themselves."""
    refusal = validate(SONNET, "Converse", body)
    assert refusal is None or refusal.status == 400


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b'{"messages": NaN}',
        b"\xff",
        b"[" * 5000 + b"]" * 5000,
        b'{"additionalModelRequestFields": {"x": 1e999}}',
    ],
)
def test_unreadable_body_is_a_serialization_error(bedrock_local: LocalBedrock, raw: bytes) -> None:
    """What is not JSON gets 400 with the AWS error header and a request id, and is recorded."""
    host, _, port = bedrock_local.url.removeprefix("http://").partition(":")
    connection = HTTPConnection(host, int(port), timeout=60)
    try:
        connection.request("POST", f"/model/{SONNET}/converse", raw)
        response = connection.getresponse()
        assert response.status == 400
        assert response.getheader("x-amzn-ErrorType") == "SerializationException"
        assert response.getheader("x-amzn-RequestId")
        assert json.loads(response.read())["message"]
    finally:
        connection.close()
    assert len(bedrock_local.requests) == 1


def test_sdk_sees_what_it_does_not_check_itself(client: Any) -> None:
    """A temperature of 5 passes boto3 and is refused by the server, with both texts that users know."""
    with pytest.raises(ClientError, match="1 validation error detected"):
        client.converse(inferenceConfig={"temperature": 5.0})
    with pytest.raises(ClientError, match="lone surrogate"):
        client.converse("\ud800")
