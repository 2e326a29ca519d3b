"""The clients that are driven, the scenarios, and one client's run against a real server process."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.serving import RomServer, serving

from local_bedrock import LocalBedrock

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache/clients"
KEY = "sk-client-0123456789-abcdefghijklmnop"
MODEL = "anthropic.claude-sonnet-4-5"
SECONDS = 300
SCENARIOS: Mapping[str, str] = {
    "chat": "a question, answered whole",
    "stream": "a question, streamed",
    "turns": "a conversation with a system text",
    "tools": "a tool of the client's, run by it, and the answer from its result",
    "structured": "an object that satisfies a schema, in the client's own way",
    "refusal": "an unknown model raises the client's error for it, at once",
    "throttled": "a throttled model raises the client's error for it, and retries do not multiply",
}
MAX_REQUESTS = 8
"""MAX_MODEL_REQUESTS: what one throttled question may cost, and one more for each repetition of the client's."""
MAX_REPETITIONS = 3
NOT_OFFERED = "–"


@dataclass(frozen=True)
class Client:
    """A program of tests/clients, `arguments` behind its file."""

    name: str
    route: str
    file: str
    arguments: tuple[str, ...] = ()

    @property
    def command(self) -> list[str]:
        """How it is started."""
        folder = Path(__file__).parent
        if self.file.endswith(".mjs"):
            return ["node", str(CACHE / self.file), *self.arguments]
        return [str(CACHE / "venv/bin/python"), str(folder / "python" / self.file), *self.arguments]


_CHAT, _MESSAGES = "chat completions", "messages"
CLIENTS = (
    Client("openai (Python)", _CHAT, "openai_client.py"),
    Client("anthropic (Python)", _MESSAGES, "anthropic_client.py"),
    Client("LangChain, langchain-openai", _CHAT, "langchain_client.py", ("openai",)),
    Client("LangChain, langchain-anthropic", _MESSAGES, "langchain_client.py", ("anthropic",)),
    Client("pydantic-ai, OpenAIChatModel", _CHAT, "pydantic_ai_client.py", ("openai",)),
    Client("pydantic-ai, AnthropicModel", _MESSAGES, "pydantic_ai_client.py", ("anthropic",)),
    Client("instructor", "both", "instructor_client.py"),
    Client("strands-agents, OpenAIModel", _CHAT, "strands_client.py"),
    Client("smolagents, OpenAIModel", _CHAT, "smolagents_client.py"),
    Client("LiteLLM, openai/", _CHAT, "litellm_client.py", ("openai",)),
    Client("LiteLLM, anthropic/", _MESSAGES, "litellm_client.py", ("anthropic",)),
    Client("openai (Node)", _CHAT, "openai.mjs"),
    Client("@anthropic-ai/sdk (Node)", _MESSAGES, "anthropic.mjs"),
    Client("AI SDK, @ai-sdk/openai (chat)", _CHAT, "ai-sdk.mjs", ("openai",)),
    Client("AI SDK, @ai-sdk/anthropic", _MESSAGES, "ai-sdk.mjs", ("anthropic",)),
    Client("LangChain.js, @langchain/openai", _CHAT, "langchain.mjs", ("openai",)),
    Client("LangChain.js, @langchain/anthropic", _MESSAGES, "langchain.mjs", ("anthropic",)),
)


@dataclass(frozen=True)
class Outcome:
    """What came of a scenario: what went wrong, "" for nothing, and the requests that reached the model."""

    error: str
    requests: int


@contextmanager
def served() -> Iterator[tuple[RomServer, LocalBedrock]]:
    """A server with one key that retries and falls back without waiting, and the local Bedrock behind it."""
    settings: dict[str, Any] = {
        "CIRCUIT_BREAKER_ENABLED": False,
        "RETRY_BACKOFF_SECONDS": "[0.01]",
        "RETRY_BUDGET_PERCENT": 0,
    }
    with (
        LocalBedrock() as bedrock,
        serving(BEDROCK_ENDPOINT_URL=bedrock.url, API_KEYS=f"c={KEY}", **settings) as server,
    ):
        yield server, bedrock


def drive(client: Client, server: RomServer, bedrock: LocalBedrock) -> dict[str, Outcome]:
    """Run a client; what came of each of its scenarios. Raises AssertionError if it did not come to its end."""
    node = Path(__file__).parent / "node"
    for file in node.glob("*.mjs"):
        # Beside node_modules: packages are looked for from the file on.
        target = CACHE / file.name
        if not target.exists() or target.read_bytes() != file.read_bytes():
            target.write_bytes(file.read_bytes())
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(CACHE),
        "ROM_URL": server.url,
        "ROM_KEY": KEY,
        "ROM_MODEL": MODEL,
    }
    # So that no two of them ask the same: the second would be taken for a repetition.
    environ["ROM_CLIENT"] = client.name
    # What some of them would send to their makers, or ask for elsewhere, takes time without a network.
    environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LANGCHAIN_TRACING_V2": "false", "DO_NOT_TRACK": "1"}
    outcomes: dict[str, Outcome] = {}
    before = len(bedrock.requests)
    pipe = subprocess.PIPE
    process = subprocess.Popen(client.command, env=environ, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said = json.loads(line) if line.startswith("{") else {}
            if "begin" in said:
                before = len(bedrock.requests)
                # It waits for this: until then it asks nothing.
                with suppress(BrokenPipeError):
                    print(file=process.stdin, flush=True)
            elif "scenario" in said:
                outcomes[said["scenario"]] = Outcome(said["error"], len(bedrock.requests) - before)
        _, errors = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, f"{client.name} ended with {process.returncode}: {errors[-2000:]}"
    finally:
        process.kill()
        process.communicate()
    return outcomes


def row(client: Client, outcomes: Mapping[str, Outcome]) -> str:
    """The client's line of the table: of each scenario whether it passed."""
    cells = []
    for name in SCENARIOS:
        outcome = outcomes.get(name)
        if outcome is None:
            cells.append(NOT_OFFERED)
        elif outcome.error:
            cells.append("no")
        else:
            cells.append("yes")
    return f"| {client.name} | {client.route} | {' | '.join(cells)} |"


def conformance(form: str, server: RomServer) -> dict[str, str]:
    """What llm-comply says of the route that answers in this `form`, by the id of each of its tests."""
    command = [str(CACHE / "venv/bin/llm-comply"), "-u", f"{server.url}/v1", "-k", KEY, "-m", MODEL, "--format", form]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=SECONDS, check=False)
    return {result["id"]: result["status"] for result in json.loads(done.stdout)["results"]}
