"""The official OpenAI client, unchanged, against a real server process."""

from __future__ import annotations

from typing import Any

import openai
import pytest
import requests
from e2e.serving import KEY, WITH_KEY, RomServer

from local_bedrock import LocalBedrock
from local_bedrock.behaviour import Behaviour, fault
from rom_core.settings import texts

SERVER_SETTINGS = WITH_KEY
MODEL = "anthropic.claude-sonnet-4-5"
LONG = "context_length_exceeded"
QUESTION = "O número 0001234-08.2023.8.26.0100 é válido?"


def ask(client: openai.OpenAI, content: Any, **options: Any) -> Any:
    """One question."""
    return client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": content}], **options)


def told(error: openai.APIError) -> str:
    """The text for the person, where the official client keeps what it does not know."""
    assert isinstance(error.body, dict)
    return str(error.body["user_message"])


def test_an_answer_with_our_tools_inside(openai_client: openai.OpenAI) -> None:
    """The tool runs on the server; the client sees one finished answer, what it cost and which model gave it."""
    completion = ask(openai_client, QUESTION)
    choice = completion.choices[0]
    assert "TJSP" in choice.message.content
    assert (choice.finish_reason, choice.message.role, completion.model) == ("stop", "assistant", MODEL)
    assert choice.message.tool_calls is None
    usage = completion.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens > 0
    assert completion.rom["tool_calls"][0]["name"] == "numero_processo"
    assert completion._request_id == completion.rom["request_id"]
    assert completion.rom["stand_in"] is True, "the bundled stand-in answered, and says so"


def test_a_streamed_answer_is_the_same_one_and_says_its_usage(openai_client: openai.OpenAI) -> None:
    """Chunks of text, one with the finish reason, one with the usage and no choices; the rest have usage null."""
    whole = ask(openai_client, QUESTION)
    chunks = list(ask(openai_client, QUESTION, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert len(chunks) > 5
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-2:] == [None, "stop"]
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert chunks[0].choices[0].delta.role == "assistant"
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_stream_ends_with_done_and_without_usage_nobody_asked_for(server: RomServer) -> None:
    """`data: [DONE]` is the last line; chunks have no usage member."""
    body = {"messages": [{"role": "user", "content": "oi"}], "stream": True}
    headers = {"Authorization": f"Bearer {KEY}"}
    response = requests.post(f"{server.url}/v1/chat/completions", json=body, headers=headers, timeout=60)
    lines = [line for line in response.text.split("\n") if line]
    assert lines[-1] == "data: [DONE]"
    assert '"usage"' not in response.text
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"


def test_a_failure_in_mid_stream_raises_in_the_client(openai_client: openai.OpenAI) -> None:
    """What came before it was delivered, and then an error: a cut answer never reads as a whole one."""
    pieces: list[str] = []
    stream = ask(openai_client, "[[fault=no_stop]] [[after=3]] [[length=20]] conte", stream=True)
    with pytest.raises(openai.APIError) as caught:
        pieces.extend(chunk.choices[0].delta.content for chunk in stream)
    assert len([piece for piece in pieces if piece]) == 3
    assert (caught.value.code, caught.value.type) == ("upstream_unavailable", "api_error")
    assert told(caught.value) == texts.ERRORS["upstream_unavailable"]


def test_the_client_does_not_repeat_what_we_say_not_to_repeat(
    openai_client: openai.OpenAI, bedrock: LocalBedrock
) -> None:
    """x-should-retry: false is obeyed: one request of the client, one on the wire."""
    before = len(bedrock.requests)
    bedrock.script(fault(429, message="Too many tokens per day, please wait before trying again."))
    with pytest.raises(openai.RateLimitError) as caught:
        ask(openai_client, "conte")
    assert (caught.value.status_code, caught.value.code) == (429, "upstream_throttled")
    assert told(caught.value) == texts.ERRORS["upstream_throttled"]
    assert len(bedrock.requests) == before + 1


@pytest.mark.parametrize(
    ("ordered", "raised", "code", "reason"),
    [
        (fault(400, message="messages.0.content: bad"), openai.BadRequestError, "upstream_refused", "content: bad"),
        (fault(400, message="Input is too long for requested model."), openai.BadRequestError, LONG, "too long"),
        (fault(400, message="Value 'segredo' at 'messages.0.role'"), openai.BadRequestError, "upstream_refused", "'…'"),
        (fault(403), openai.PermissionDeniedError, "upstream_refused", ""),
        (fault(404), openai.NotFoundError, "upstream_refused", ""),
        (fault(400, message="The provided model identifier is invalid."), openai.NotFoundError, "upstream_refused", ""),
    ],
)
def test_a_refusal_of_bedrock_is_told_by_its_kind(
    openai_client: openai.OpenAI,
    bedrock: LocalBedrock,
    ordered: Behaviour,
    raised: type[openai.APIStatusError],
    code: str,
    reason: str,
) -> None:
    """As the API that is imitated would answer it, with Bedrock's reason and nothing of what that quotes."""
    bedrock.script(ordered)
    with pytest.raises(raised) as caught:
        ask(openai_client, "conte")
    assert caught.value.code == code
    assert reason.strip("'") in caught.value.message
    assert "segredo" not in caught.value.message


def test_the_conversation_goes_to_the_model(openai_client: openai.OpenAI, bedrock: LocalBedrock) -> None:
    """System and developer texts are appended to ours; text parts, options and the client's own last answer pass."""
    first = ask(openai_client, "primeira").choices[0].message
    openai_client.chat.completions.create(
        model="default",
        messages=[
            {"role": "system", "content": "Seja breve."},
            {"role": "developer", "content": "Cite a lei."},
            {"role": "user", "content": "primeira"},
            first,
            {"role": "user", "content": [{"type": "text", "text": "segunda"}, {"type": "text", "text": "parte"}]},
        ],
        max_completion_tokens=100,
        temperature=0.5,
        n=1,
        tools=[],
        user="ana",
    )
    body = bedrock.requests[-1].body
    assert [(m["role"], [part["text"] for part in m["content"]]) for m in body["messages"]] == [
        ("user", ["primeira"]),
        ("assistant", [first.content]),
        ("user", ["segunda", "parte"]),
    ]
    assert body["system"][1] == {"text": "Seja breve.\n\nCite a lei."}
    assert body["inferenceConfig"] == {"maxTokens": 100, "temperature": 0.5}


EMPTY: list[dict[str, Any]] = [
    {"role": "assistant", "content": ""},
    {"role": "assistant", "content": None},
    {"role": "assistant", "content": " \n"},
    {"role": "assistant", "content": []},
    {"role": "assistant", "content": [{"type": "text", "text": ""}]},
    {"role": "assistant"},
    {"role": "system", "content": ""},
    {"role": "system", "content": [{"type": "text", "text": " "}]},
    {"role": "developer", "content": ""},
    {"role": "user", "content": ""},
    {"role": "user", "content": []},
]


def said(*contents: list[dict[str, Any]]) -> list[str]:
    """The texts among blocks; a cache point is none."""
    return [block["text"] for blocks in contents for block in blocks if "cachePoint" not in block]


@pytest.mark.parametrize("message", EMPTY, ids=str)
def test_a_message_without_text_is_passed_over(
    openai_client: openai.OpenAI, bedrock: LocalBedrock, message: dict[str, Any]
) -> None:
    """What a client kept of an answer without text does not end the conversation: the model sees the rest of it."""
    before, after = {"role": "user", "content": "primeira"}, {"role": "user", "content": "segunda"}
    messages: Any = [message, before, message, after] + [message] * (message["role"] != "user")
    answer = openai_client.chat.completions.create(model=MODEL, messages=messages)
    body = bedrock.requests[-1].body
    assert said(*(m["content"] for m in body["messages"])) == ["primeira", "segunda"]
    assert len(said(body["system"])) == 1
    messages += [answer.choices[0].message, after]
    assert openai_client.chat.completions.create(model=MODEL, messages=messages).choices[0].message.content


def test_parts_without_text_are_passed_over(openai_client: openai.OpenAI, bedrock: LocalBedrock) -> None:
    """Of the last message too, as long as it says something; an assistant that refused has said its refusal."""
    parts = [{"type": "text", "text": text} for text in ("", "segunda", " ")]
    openai_client.chat.completions.create(
        model=MODEL,
        messages=[
            {"role": "user", "content": "primeira"},
            {"role": "assistant", "content": None, "refusal": "Não posso."},
            {"role": "user", "content": parts},  # type: ignore[misc, list-item]
        ],
    )
    assert said(*(m["content"] for m in bedrock.requests[-1].body["messages"])) == [
        "primeira",
        "Não posso.",
        "segunda",
    ]


TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
CALL = {"id": "call-1", "type": "function", "function": {"name": "look", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("options", "param", "reason"),
    [
        ({"functions": [TOOL["function"]]}, "functions", "send tools"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools.0", "type function"),
        ({"tool_choice": "required"}, "tool_choice", "needs tools"),
        ({"n": 2}, "n", "one answer"),
        ({"temperature": 1.5}, "temperature", "from 0 to 1"),
        ({"response_format": {"type": "xml"}}, "response_format.type", "must be one of"),
        ({"extra_body": {"colour": "red"}}, "colour", "unknown field"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "with stream: true"),
        ({"max_tokens": 5, "max_completion_tokens": 5}, "max_tokens", "either"),
        ({"model": "gpt-6"}, "model", MODEL),
        ({"messages": []}, "messages", "messages"),
        ({"messages": [{"role": "assistant", "content": "oi"}]}, "messages", "user's"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages.0.content", "not blank"),
        ({"messages": [{"role": "user", "content": []}]}, "messages.0.content", "not blank"),
        ({"messages": [{"role": "system", "content": ""}]}, "messages", "user's"),
        ({"messages": [{"role": "user", "content": "oi", "tool_calls": [CALL]}]}, "messages.0.tool_calls", "assistant"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.tool_call_id", "is required"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "messages.0.content.0.image_url.url",
            "not fetched",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(
    openai_client: openai.OpenAI, options: dict[str, Any], param: str, reason: str
) -> None:
    """400 (a model that is not known: 404) with the field in `param` and the reason in the message."""
    given = {"model": MODEL, "messages": [{"role": "user", "content": "oi"}]} | options
    with pytest.raises(openai.NotFoundError if param == "model" else openai.BadRequestError) as caught:
        openai_client.chat.completions.create(**given)
    assert caught.value.param is not None
    assert caught.value.param.startswith(param)
    assert reason in caught.value.message


def test_the_key_is_asked_for_as_everywhere(server: RomServer) -> None:
    """A wrong key is an AuthenticationError of the official client."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="wrong-0123456789ab") as stranger:
        with pytest.raises(openai.AuthenticationError):
            ask(stranger, "oi")
        with pytest.raises(openai.AuthenticationError):
            stranger.models.list()


def test_the_models_that_can_be_asked_for(openai_client: openai.OpenAI) -> None:
    """The aliases that are served, each also by itself; an unknown one is a NotFoundError."""
    listed = [model.id for model in openai_client.models.list()]
    newer = [f"anthropic.claude-{name}" for name in ("sonnet-4-6", "sonnet-5-5", "haiku-5-5", "opus-5-5")]
    assert listed == [MODEL, "anthropic.claude-haiku-4-5", *newer, "default"]
    assert openai_client.models.retrieve(MODEL).owned_by == "anthropic"
    with pytest.raises(openai.NotFoundError):
        openai_client.models.retrieve("gpt-6")
    with pytest.raises(openai.NotFoundError, match=r"nothing is served under /v1/responses; use POST /v1/chat/comp"):
        openai_client.responses.create(model=MODEL, input="oi")


def test_a_reply_cut_by_its_length_says_so(openai_client: openai.OpenAI) -> None:
    """finish_reason is `length` when max_tokens ended the answer."""
    assert ask(openai_client, "[[stop=max_tokens]] conte").choices[0].finish_reason == "length"
