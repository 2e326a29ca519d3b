"""The official OpenAI client."""

from __future__ import annotations

import json

import openai
import pydantic
from scenarios import KEY, MODEL, QUESTION, SYSTEM, THROTTLED, TOOL_QUESTION, URL, WEATHER, play, refused, weather

client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY)
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": WEATHER}}]


class Town(pydantic.BaseModel):
    town: str
    people: int


def ask(*messages, model=MODEL, **options):
    return client.chat.completions.create(model=model, messages=messages, **options)


def user(text):
    return {"role": "user", "content": text}


def chat():
    assert ask(user(QUESTION)).choices[0].message.content


def stream():
    chunks = list(ask(user(QUESTION), stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert chunks[-1].usage.total_tokens


def turns():
    first = ask(user(QUESTION)).choices[0].message
    assert ask({"role": "system", "content": SYSTEM}, user(QUESTION), first, user("E depois?")).choices


def tools():
    asked = ask(user(TOOL_QUESTION), tools=TOOLS).choices[0].message
    [call] = asked.tool_calls
    result = {"role": "tool", "tool_call_id": call.id, "content": weather(**json.loads(call.function.arguments))}
    assert ask(user(TOOL_QUESTION), asked, result, tools=TOOLS).choices[0].message.content


def structured():
    parsed = client.chat.completions.parse(model=MODEL, messages=[user("Qual cidade?")], response_format=Town)
    assert isinstance(parsed.choices[0].message.parsed, Town)


play(
    {
        "chat": chat,
        "stream": stream,
        "turns": turns,
        "tools": tools,
        "structured": structured,
        "refusal": lambda: refused(lambda: ask(user("oi"), model="gone"), "NotFoundError"),
        "throttled": lambda: refused(lambda: ask(user(THROTTLED)), "RateLimitError"),
    }
)
