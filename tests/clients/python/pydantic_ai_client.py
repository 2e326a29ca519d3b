"""pydantic-ai, on both routes: its model for chat completions, and the one for Anthropic."""

from __future__ import annotations

import sys

import pydantic
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider
from scenarios import KEY, MODEL, QUESTION, SYSTEM, THROTTLED, TOOL_QUESTION, URL, play, refused, weather

DIALECT = sys.argv.pop(1)


def model(name=MODEL):
    if DIALECT == "openai":
        return OpenAIChatModel(name, provider=OpenAIProvider(base_url=f"{URL}/v1", api_key=KEY))
    return AnthropicModel(name, provider=AnthropicProvider(base_url=URL, api_key=KEY))


class Town(pydantic.BaseModel):
    town: str
    people: int


def stream():
    result = Agent(model()).run_stream_sync(QUESTION)
    assert "".join(result.stream_text(delta=True))


def turns():
    agent = Agent(model(), system_prompt=SYSTEM)
    first = agent.run_sync(QUESTION)
    assert agent.run_sync("E depois?", message_history=first.all_messages()).output


def tools():
    agent = Agent(model(), tools=[weather])
    assert agent.run_sync(TOOL_QUESTION).output


def structured():
    from pydantic_ai import NativeOutput

    assert isinstance(Agent(model(), output_type=NativeOutput(Town)).run_sync("Qual cidade?").output, Town)


play(
    {
        "chat": lambda: Agent(model()).run_sync(QUESTION).output,
        "stream": stream,
        "turns": turns,
        "tools": tools,
        "structured": structured,
        "refusal": lambda: refused(lambda: Agent(model("gone")).run_sync("oi"), "NotFoundError"),
        "throttled": lambda: refused(lambda: Agent(model()).run_sync(THROTTLED), "RateLimitError"),
    }
)
