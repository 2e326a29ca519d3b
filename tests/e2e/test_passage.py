"""All plugins off: what goes on the wire and what comes back is what a plain boto3 loop gives, to the byte."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from e2e.serving import serving, until

from bench.plain import SYSTEM, loop, make_client
from local_bedrock import LocalBedrock
from rom_core import hookspecs
from rom_core.plugin.catalogue import Catalogue

TOOL = {
    "toolSpec": {
        "name": "weather",
        "description": "the weather of a city",
        "inputSchema": {"json": {"type": "object", "properties": {"city": {"type": "string"}}}},
    }
}
# A distribution as pip would install it: a module, and an entry point in the group that the project reads.
THIRD_PARTY = """
from rom_core.markers import hookimpl
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


def switches_off() -> dict[str, str]:
    """Every installed plugin switched off."""
    return {plugin.switch: "false" for plugin in Catalogue.installed(hookspecs).plugins.values()}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    "message", ["[[length=30]] conte", "[[tools=3]] [[parallel=2]] the weather of the city 'Recife'"]
)
def test_a_third_partys_tools_and_nothing_else(message: str, streamed: bool, site: Path) -> None:
    """Requests and answer equal those of a plain loop, streamed or not; the plugin came by its entry point alone."""
    tools = [TOOL] if "tools" in message else []
    with LocalBedrock() as bedrock:
        client = make_client(bedrock.url)
        text, rounds = loop(client, message, tools, lambda value: f"sun in {value['city']}")
        client.close()
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


# What a plain loop gets from boto3, and the status that stands for it.
FAILURES = {
    "ThrottlingException": 503,
    "InternalServerException": 502,
    "ValidationException": 502,
    "ModelTimeoutException": 504,
    "ConnectionClosedError": 502,
    "EventStreamError": 503,
}


def test_a_failure_is_the_one_that_a_plain_loop_sees() -> None:
    """With all plugins off each exception of boto3 has its status, streamed or not, after one request each."""
    directives = ["429", "500", "400", "408", "reset", "exception:throttlingException]] [[after=0"]
    seen = {}
    with LocalBedrock() as bedrock:
        client = make_client(bedrock.url)
        for directive in directives:
            with pytest.raises((BotoCoreError, ClientError)) as raised:
                loop(client, f"[[fault={directive}]] conte", [], lambda value: "")
            seen[directive] = type(raised.value).__name__
        client.close()
        assert set(seen.values()) == set(FAILURES)
        bedrock.reset()
        with serving(BEDROCK_ENDPOINT_URL=bedrock.url, **switches_off()) as server:
            for directive, name in seen.items():
                message = f"[[fault={directive}]] conte"
                stream = server.stream(message)
                assert stream.head[0] == server.chat(message).status_code == FAILURES[name], directive
                stream.close()
        assert len(bedrock.requests) == 2 * len(directives)


def test_a_third_partys_plugin_is_off_until_it_is_switched_on(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The core declares `<NAME>_ENABLED`, off, for a plugin that declares no switch of its own."""
    monkeypatch.syspath_prepend(str(site))
    try:
        plugin = Catalogue.installed(hookspecs).plugins["sunny"]
    finally:
        sys.modules.pop("sunny", None)
    assert (plugin.switch, plugin.settings[0].default) == ("SUNNY_ENABLED", False)
    assert "sunny 1.0" in plugin.origin
