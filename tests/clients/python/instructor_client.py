"""instructor, which wants an object and nothing else: its usual way, a tool that must be used."""

from __future__ import annotations

import anthropic
import instructor
import openai
import pydantic
from scenarios import KEY, MODEL, THROTTLED, URL, play, refused


class Town(pydantic.BaseModel):
    town: str
    people: int


def ask(text="Qual cidade?", name=MODEL):
    client = instructor.from_openai(openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY))
    return client.chat.completions.create(
        model=name, messages=[{"role": "user", "content": text}], response_model=Town, max_retries=1
    )


def structured():
    assert isinstance(ask(), Town)
    client = instructor.from_anthropic(anthropic.Anthropic(base_url=URL, api_key=KEY))
    messages = [{"role": "user", "content": "Qual cidade?"}]
    assert isinstance(client.messages.create(model=MODEL, max_tokens=500, messages=messages, response_model=Town), Town)


play(
    {
        "structured": structured,
        "refusal": lambda: refused(lambda: ask(name="gone"), "NotFoundError"),
        "throttled": lambda: refused(lambda: ask(THROTTLED), "RateLimitError"),
    }
)
