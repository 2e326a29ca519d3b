"""LangChain with its package for OpenAI or for Anthropic, as the argument says."""

from __future__ import annotations

import sys

import pydantic
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from scenarios import KEY, MODEL, QUESTION, SYSTEM, THROTTLED, TOOL_QUESTION, URL, play, refused, weather

DIALECT = sys.argv.pop(1)


def model(name=MODEL):
    if DIALECT == "openai":
        return ChatOpenAI(model=name, base_url=f"{URL}/v1", api_key=KEY)
    return ChatAnthropic(model=name, base_url=URL, api_key=KEY, max_tokens=500)


class Town(pydantic.BaseModel):
    """A town."""

    town: str
    people: int


def stream():
    assert "".join(chunk.text for chunk in model().stream(QUESTION))


def turns():
    first = model().invoke(QUESTION)
    messages = [SystemMessage(SYSTEM), HumanMessage(QUESTION), first, HumanMessage("E depois?")]
    assert model().invoke(messages).text


def tools():
    bound = model().bind_tools([tool(weather)])
    asked = bound.invoke(TOOL_QUESTION)
    [call] = asked.tool_calls
    result = tool(weather).invoke(call)
    assert bound.invoke([HumanMessage(TOOL_QUESTION), asked, result]).text


def structured():
    assert isinstance(model().with_structured_output(Town).invoke("Qual cidade?"), Town)


play(
    {
        "chat": lambda: model().invoke(QUESTION).text,
        "stream": stream,
        "turns": turns,
        "tools": tools,
        "structured": structured,
        "refusal": lambda: refused(lambda: model("gone").invoke("oi"), "NotFoundError"),
        "throttled": lambda: refused(lambda: model().invoke(THROTTLED), "RateLimitError"),
    }
)
