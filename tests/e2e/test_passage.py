"""All plugins off: what goes on the wire and what comes back is what a plain boto3 loop gives, to the byte."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
from e2e.serving import serving, until

from rom_core.bedrock.local import LocalBedrock
from rom_core.catalogue import Catalogue

MODEL = "global.anthropic.claude-sonnet-4-5-20250929-v1:0"
SYSTEM = "You answer."
TOOL = {
    "toolSpec": {
        "name": "weather",
        "description": "the weather of a city",
        "inputSchema": {"json": {"type": "object", "properties": {"city": {"type": "string"}}}},
    }
}
# A distribution as pip would install it: a module, and an entry point in the group that the project reads.
THIRD_PARTY = """
from rom_core.hookspecs import hookimpl
from rom_core.tools import Tool

class Weather:
    @hookimpl
    def rom_tools(self):
        schema = {"type": "object", "properties": {"city": {"type": "string"}}}
        return [Tool("weather", "the weather of a city", schema, lambda value, context: f"sun in {value['city']}")]
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder to put on the import path, with a third party's plugin installed in it."""
    (tmp_path / "sunny.py").write_text(THIRD_PARTY)
    info = tmp_path / "sunny-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sunny\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rom.plugins]\nsunny = sunny:Weather\n")
    return tmp_path


def plain_loop(url: str, message: str, tools: list[dict[str, Any]]) -> tuple[str, int]:
    """The loop everybody writes at home: the text of all answers, and how many there were."""
    client = boto3.Session().client(
        "bedrock-runtime",
        region_name="us-west-2",
        endpoint_url=url,
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    messages: list[dict[str, Any]] = [{"role": "user", "content": [{"text": message}]}]
    said: list[str] = []
    for round_number in range(1, 10):
        extra = {"toolConfig": {"tools": tools}} if tools else {}
        stream = client.converse_stream(
            messages=messages,
            system=[{"text": SYSTEM}],
            inferenceConfig={"maxTokens": 4096},
            modelId=MODEL,
            **extra,
        )["stream"]
        content, stop = collect(stream)
        messages.append({"role": "assistant", "content": content})
        said += ["".join(block.get("text", "") for block in content)]
        if stop != "tool_use":
            client.close()
            return "\n\n".join(text for text in said if text), round_number
        results = [
            {
                "toolResult": {
                    "toolUseId": block["toolUse"]["toolUseId"],
                    "content": [{"text": f"sun in {block['toolUse']['input']['city']}"}],
                    "status": "success",
                }
            }
            for block in content
            if "toolUse" in block
        ]
        messages.append({"role": "user", "content": results})
    raise AssertionError("no end")


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
            block["toolUse"] = {
                "toolUseId": block["toolUse"]["toolUseId"],
                "name": block["toolUse"]["name"],
                "input": json.loads(block["toolUse"]["input"] or "{}"),
            }
    return [blocks[index] for index in sorted(blocks)], stop


def switches_off() -> dict[str, str]:
    """Every installed plugin switched off."""
    return {plugin.switch: "false" for plugin in Catalogue.installed().plugins.values()}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    "message", ["[[length=30]] conte", "[[tools=3]] [[parallel=2]] the weather of the city 'Recife'"]
)
def test_a_third_partys_tools_and_nothing_else(message: str, streamed: bool, site: Path) -> None:
    """Requests and answer equal those of a plain loop, streamed or not; the plugin came by its entry point alone."""
    tools = [TOOL] if "tools" in message else []
    with LocalBedrock() as bedrock:
        text, rounds = plain_loop(bedrock.url, message, tools)
        expected = [request.body for request in bedrock.requests]
        bedrock.reset()
        environ = switches_off() | {"SUNNY_ENABLED": "true" if tools else "false"}
        with serving(
            BEDROCK_ENDPOINT_URL=bedrock.url, SYSTEM_PROMPT=SYSTEM, LOG_LEVEL="INFO", PYTHONPATH=site, **environ
        ) as server:
            whole = not streamed
            answer = server.chat(message).json() if whole else list(server.stream(message).events())[-1][1]
        assert until(lambda: not bedrock.active)
        sent = [request.body for request in bedrock.requests]
    assert [json.dumps(body) for body in sent] == [json.dumps(body) for body in expected]
    assert (answer["reply"], answer["iterations"], answer["degraded"]) == (text, rounds, False)
    assert len(answer["tool_calls"]) == (6 if tools else 0)


def test_a_third_partys_plugin_is_off_until_it_is_switched_on(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The core declares `<NAME>_ENABLED`, off, for a plugin that declares no switch of its own."""
    monkeypatch.syspath_prepend(str(site))
    try:
        plugin = Catalogue.installed().plugins["sunny"]
    finally:
        sys.modules.pop("sunny", None)
    assert (plugin.switch, plugin.settings[0].default) == ("SUNNY_ENABLED", False)
    assert "sunny 1.0" in plugin.origin
