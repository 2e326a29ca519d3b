"""LiteLLM as a client, of the route that is named on the command line."""

from __future__ import annotations

import json
import sys

import litellm
import pydantic
from scenarios import KEY, MODEL, QUESTION, SYSTEM, THROTTLED, TOOL_QUESTION, URL, WEATHER, play, refused, weather

DIALECT = sys.argv.pop(1)
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": WEATHER}}]


class Town(pydantic.BaseModel):
    town: str
    people: int


def ask(*messages, model=MODEL, **options):
    base = f"{URL}/v1" if DIALECT == "openai" else URL
    return litellm.completion(
        model=f"{DIALECT}/{model}", messages=list(messages), api_base=base, api_key=KEY, max_tokens=500, **options
    )


def user(text):
    return {"role": "user", "content": text}


def stream():
    assert "".join(chunk.choices[0].delta.content or "" for chunk in ask(user(QUESTION), stream=True))


def turns():
    first = ask(user(QUESTION)).choices[0].message
    assert ask({"role": "system", "content": SYSTEM}, user(QUESTION), first.model_dump(), user("E depois?")).choices


def tools():
    asked = ask(user(TOOL_QUESTION), tools=TOOLS).choices[0].message
    [call] = asked.tool_calls
    result = {"role": "tool", "tool_call_id": call.id, "content": weather(**json.loads(call.function.arguments))}
    assert ask(user(TOOL_QUESTION), asked.model_dump(), result, tools=TOOLS).choices[0].message.content


def structured():
    Town.model_validate_json(ask(user("Qual cidade?"), response_format=Town).choices[0].message.content)


play(
    {
        "chat": lambda: ask(user(QUESTION)).choices[0].message.content,
        "stream": stream,
        "turns": turns,
        "tools": tools,
        "structured": structured,
        "refusal": lambda: refused(lambda: ask(user("oi"), model="gone"), "NotFoundError"),
        "throttled": lambda: refused(lambda: ask(user(THROTTLED)), "RateLimitError"),
    }
)
