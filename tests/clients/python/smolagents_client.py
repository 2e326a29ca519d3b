"""smolagents with its model for OpenAI's API."""

from __future__ import annotations

import json

from scenarios import KEY, MODEL, QUESTION, SYSTEM, THROTTLED, TOOL_QUESTION, URL, play, refused, weather
from smolagents import OpenAIModel, tool


def model(name=MODEL):
    return OpenAIModel(model_id=name, api_base=f"{URL}/v1", api_key=KEY, retry=False)


def said(role, text):
    return {"role": role, "content": [{"type": "text", "text": text}]}


def stream():
    assert "".join(delta.content or "" for delta in model().generate_stream([said("user", QUESTION)]))


def turns():
    first = model().generate([said("user", QUESTION)])
    messages = [
        said("system", SYSTEM),
        said("user", QUESTION),
        said("assistant", first.content),
        said("user", "E depois?"),
    ]
    assert model().generate(messages).content


def tools():
    asked = model().generate([said("user", TOOL_QUESTION)], tools_to_call_from=[tool(weather)])
    [call] = asked.tool_calls
    arguments = call.function.arguments
    assert weather(**(json.loads(arguments) if isinstance(arguments, str) else arguments))


play(
    {
        "chat": lambda: model().generate([said("user", QUESTION)]).content,
        "stream": stream,
        "turns": turns,
        "tools": tools,
        "refusal": lambda: refused(lambda: model("gone").generate([said("user", "oi")]), "NotFoundError"),
        "throttled": lambda: refused(lambda: model().generate([said("user", THROTTLED)]), "RateLimitError"),
    }
)
