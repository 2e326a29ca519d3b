"""Conversations under test: blocks and messages in short, and the request that the local Bedrock accepts."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

from local_bedrock.rules import check_conversation
from local_bedrock.validation import check_request
from rom_core.conversation import Block, Message, ModelCapabilities, normalise

MODEL = ModelCapabilities(max_tokens=8192, prompt_caching=True, alias="primary")

POINT: Block = {"cachePoint": {"type": "default"}}

PNG: Block = {"image": {"format": "png", "source": {"bytes": b"\x89PNG"}}}


def user(*content: Any, **notes: Any) -> Message:
    """A user's message; a str stands for its text block."""
    return {"role": "user", "content": _blocks(content), **notes}


def assistant(*content: Any, **notes: Any) -> Message:
    """An assistant's message; a str stands for its text block."""
    return {"role": "assistant", "content": _blocks(content), **notes}


def use(tool_use_id: Any = "t1", name: Any = "search", **given: Any) -> Block:
    """A toolUse with `given` as its input."""
    return {"toolUse": {"toolUseId": tool_use_id, "name": name, "input": given}}


def result(tool_use_id: Any = "t1", *content: Any, **more: Any) -> Block:
    """A toolResult; a str stands for its text block."""
    return {"toolResult": {"toolUseId": tool_use_id, "content": _blocks(content or ("found",)), **more}}


def reasoning(text: str = "think", signature: str = "signed") -> Block:
    """Signed reasoning."""
    return {"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}}


def spec(name: Any = "search", schema: Any = None) -> Block:
    """A tool of toolConfig."""
    schema = {"type": "object", "properties": {}} if schema is None else schema
    return {"toolSpec": {"name": name, "description": "Searches.", "inputSchema": {"json": schema}}}


def sent(*messages: Any, model: ModelCapabilities = MODEL, **request: Any) -> dict[str, Any]:
    """The normalised request, which the local Bedrock accepts."""
    normalised = normalise({"messages": list(messages), **request}, model=model)
    assert_accepted(normalised)
    return normalised


def messages(*given: Any, model: ModelCapabilities = MODEL, **request: Any) -> list[Message]:
    """The messages of the normalised request, without its tools."""
    normalised: list[Message] = sent(*given, model=model, **request)["messages"]
    return normalised


def assert_accepted(request: dict[str, Any]) -> None:
    """Fail with the messages of botocore, or else of the service, if either would refuse the request.

    botocore is asked first and of the objects themselves: JSON does not tell a tuple from a list, or a text from bytes.
    """
    assert ParamValidator().validate({"modelId": "m", **request}, arguments_shape()).generate_report() == ""
    body = as_body(request)
    assert check_request("ConverseStream", body) == []
    assert check_conversation(body) == []


@cache
def arguments_shape() -> Any:
    """The arguments of `converse_stream`, as botocore describes them."""
    model = botocore.session.Session().get_service_model("bedrock-runtime")
    return model.operation_model("ConverseStream").input_shape


def as_body(request: dict[str, Any]) -> dict[str, Any]:
    """The JSON body that boto3 makes of the request."""
    blobs = {bytes: lambda _: "AAAA"}
    text = json.dumps(request, allow_nan=False, default=lambda value: blobs[type(value)](value))
    body: dict[str, Any] = json.loads(text)
    body.pop("modelId", None)
    return body


def _blocks(content: tuple[Any, ...]) -> list[Any]:
    return [{"text": block} if isinstance(block, str) else block for block in content]
