"""The official Anthropic client."""

from __future__ import annotations

import json

import anthropic
from scenarios import (
    KEY,
    MODEL,
    QUESTION,
    SYSTEM,
    THROTTLED,
    TOOL_QUESTION,
    TOWN,
    URL,
    WEATHER,
    play,
    refused,
    weather,
)

client = anthropic.Anthropic(base_url=URL, api_key=KEY)
TOOLS = [{"name": "weather", "input_schema": WEATHER}]


def ask(*messages, model=MODEL, **options):
    return client.messages.create(model=model, messages=messages, max_tokens=500, **options)


def user(content):
    return {"role": "user", "content": content}


def chat():
    assert ask(user(QUESTION)).content[0].text


def stream():
    with client.messages.stream(model=MODEL, messages=[user(QUESTION)], max_tokens=500) as events:
        assert "".join(events.text_stream)
        assert events.get_final_message().usage.output_tokens


def turns():
    first = ask(user(QUESTION)).content
    assert ask(user(QUESTION), {"role": "assistant", "content": first}, user("E depois?"), system=SYSTEM).content


def tools():
    asked = ask(user(TOOL_QUESTION), tools=TOOLS).content
    call = asked[-1]
    result = {"type": "tool_result", "tool_use_id": call.id, "content": weather(**call.input)}
    said = {"role": "assistant", "content": asked}
    assert ask(user(TOOL_QUESTION), said, user([result]), tools=TOOLS).content[0].text


def structured():
    answer = ask(user("Qual cidade?"), output_config={"format": {"type": "json_schema", "schema": TOWN}})
    assert set(json.loads(answer.content[0].text)) == {"town", "people"}


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
