"""Strands Agents with its model for OpenAI's API."""

from __future__ import annotations

import pydantic
from scenarios import KEY, MODEL, QUESTION, SYSTEM, THROTTLED, TOOL_QUESTION, URL, play, refused, weather
from strands import Agent, tool
from strands.models.openai import OpenAIModel


def agent(name=MODEL, **options):
    model = OpenAIModel(client_args={"base_url": f"{URL}/v1", "api_key": KEY}, model_id=name)
    return Agent(model=model, callback_handler=None, **options)


class Town(pydantic.BaseModel):
    """A town."""

    town: str
    people: int


def turns():
    one = agent(system_prompt=SYSTEM)
    assert str(one(QUESTION))
    assert str(one("E depois?"))


play(
    {
        "stream": lambda: str(agent()(QUESTION)).strip() or 1 / 0,
        "turns": turns,
        "tools": lambda: str(agent(tools=[tool(weather)])(TOOL_QUESTION)).strip() or 1 / 0,
        "structured": lambda: agent()("Qual cidade?", structured_output_model=Town).structured_output.town,
        "refusal": lambda: refused(lambda: agent("gone")("oi"), "NotFoundError"),
        "throttled": lambda: refused(
            lambda: agent(retry_strategy=None)(THROTTLED), "RateLimitError", "ModelThrottledException"
        ),
    }
)
