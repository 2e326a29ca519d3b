"""Models that think by themselves, on a real server process: what they signed goes back, and nobody sees it unasked."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from e2e.serving import RomServer, Stream

from local_bedrock import LocalBedrock

QUESTION = "O número 0001234-08.2023.8.26.0100 é válido?"
ALWAYS = "anthropic.claude-sonnet-5-5"
NEWEST = [ALWAYS, "anthropic.claude-haiku-5-5", "anthropic.claude-opus-5-5"]


def reasoning_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The reasoning blocks of a message."""
    return [block["reasoningContent"] for block in message["content"] if "reasoningContent" in block]


@pytest.mark.parametrize("model", NEWEST)
def test_a_tool_loop_of_a_model_that_thinks(server: RomServer, bedrock: LocalBedrock, model: str) -> None:
    """Its signed block goes back as it came, or the model, which binds it, would refuse the second request."""
    answer = server.chat(QUESTION, model=model, temperature=0.2).json()
    assert (answer["model"], answer["iterations"], answer["degraded"]) == (model, 2, False)
    assert "TJSP" in answer["reply"]
    assert "thinking" not in answer
    assert answer["ignored"] == ["temperature"]
    (thought,) = reasoning_of(bedrock.requests[-1].body["messages"][1])
    assert thought["reasoningText"]["text"] == ""
    assert thought["reasoningText"]["signature"]


def test_a_stream_says_that_the_model_thinks(server: RomServer) -> None:
    """Before the first text and again before that of the next iteration, without a word of what it thinks."""
    stream = server.stream(QUESTION, model=ALWAYS)
    events = list(stream.events())
    names = [name for name, _ in events]
    assert names[:3] == ["start", "thinking", "tool_call"]
    assert names.count("thinking") == 2
    assert names.index("thinking") < names.index("delta")
    assert all(data == {} for name, data in events if name == "thinking")
    assert names[-1] == "done"


def test_a_model_that_does_not_think_says_nothing_of_it(server: RomServer) -> None:
    """Claude Sonnet 4.5 without a budget."""
    assert "thinking" not in [name for name, _ in server.stream("Olá").events()]


def test_thinking_is_shown_to_who_asks_for_it(server: RomServer) -> None:
    """In the events of a stream, and in the answer."""
    answer = server.chat("Olá", model=ALWAYS, show_thinking=True).json()
    assert "Vou considerar" in answer["thinking"]
    assert "Vou considerar" not in answer["reply"]
    events = list(server.stream("Olá", model=ALWAYS, show_thinking=True).events())
    shown = "".join(data.get("text", "") for name, data in events if name == "thinking")
    assert shown == answer["thinking"] == events[-1][1]["thinking"]


def test_the_official_client_hears_a_comment(server: RomServer) -> None:
    """It passes comments over, and has its answer."""
    body = {"model": ALWAYS, "stream": True, "messages": [{"role": "user", "content": "Olá"}]}
    stream = Stream(server.url, body, path="/v1/chat/completions")
    raw = "\n".join(stream._lines()) if stream.head[0] == 200 else ""
    assert ": thinking" in raw
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
        chunks = list(
            client.chat.completions.create(model=ALWAYS, stream=True, messages=[{"role": "user", "content": "Olá"}])
        )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
