"""The loop that everybody writes at home around boto3: what ROM Agent is compared with, in speed and to the byte."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config

MODEL = "global.anthropic.claude-sonnet-4-5-20250929-v1:0"
SYSTEM = "You answer."
MAX_ROUNDS = 200


def make_client(endpoint: str, connections: int = 64) -> Any:
    """A boto3 client for the local Bedrock at `endpoint`, without retries."""
    return boto3.Session().client(
        "bedrock-runtime",
        region_name="us-west-2",
        endpoint_url=endpoint,
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"total_max_attempts": 1}, max_pool_connections=connections),
    )


def converse(client: Any, messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> Any:
    """One streamed request; its events."""
    extra = {"toolConfig": {"tools": tools}} if tools else {}
    return client.converse_stream(
        messages=messages,
        system=[{"text": SYSTEM}],
        inferenceConfig={"maxTokens": 4096},
        modelId=MODEL,
        **extra,
    )["stream"]


def loop(
    client: Any, message: str, tools: list[dict[str, Any]], run: Callable[[dict[str, Any]], str]
) -> tuple[str, int]:
    """Ask and run tools until there is an answer: the text of all replies, and how many there were."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": [{"text": message}]}]
    said: list[str] = []
    for number in range(1, MAX_ROUNDS):
        stream = converse(client, messages, tools)
        try:
            content, stop = collect(stream)
        except BaseException:
            stream.close()
            raise
        messages.append({"role": "assistant", "content": content})
        said.append("".join(block.get("text", "") for block in content))
        if stop != "tool_use":
            return "\n\n".join(text for text in said if text), number
        uses = [block["toolUse"] for block in content if "toolUse" in block]
        messages.append({"role": "user", "content": [_result(use, run(use["input"])) for use in uses]})
    raise RuntimeError("the model never answered")


def collect(stream: Any) -> tuple[list[dict[str, Any]], str]:
    """The content blocks and the stop reason of a stream."""
    blocks: dict[int, dict[str, Any]] = {}
    stop = ""
    for event in stream:
        if "contentBlockStart" in event:
            use = event["contentBlockStart"]["start"]["toolUse"]
            blocks[event["contentBlockStart"]["contentBlockIndex"]] = {"toolUse": {**use, "input": ""}}
        elif "contentBlockDelta" in event:
            delta = event["contentBlockDelta"]["delta"]
            index = event["contentBlockDelta"]["contentBlockIndex"]
            if "text" in delta:
                blocks.setdefault(index, {"text": ""})["text"] += delta["text"]
            else:
                blocks[index]["toolUse"]["input"] += delta["toolUse"]["input"]
        elif "messageStop" in event:
            stop = event["messageStop"]["stopReason"]
    for block in blocks.values():
        if "toolUse" in block:
            use = block["toolUse"]
            arguments = json.loads(use["input"] or "{}")
            block["toolUse"] = {"toolUseId": use["toolUseId"], "name": use["name"], "input": arguments}
    return [blocks[index] for index in sorted(blocks)], stop


def _result(use: dict[str, Any], text: str) -> dict[str, Any]:
    return {"toolResult": {"toolUseId": use["toolUseId"], "content": [{"text": text}], "status": "success"}}
