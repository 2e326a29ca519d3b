"""The official Anthropic client, unchanged, against a real server process."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest
import requests
from e2e.serving import KEY, WITH_KEY, RomServer, Stream, serving

from local_bedrock import LocalBedrock
from rom_core.settings import texts

SERVER_SETTINGS = WITH_KEY
MODEL = "anthropic.claude-sonnet-4-5"
QUESTION = "O número 0001234-08.2023.8.26.0100 é válido?"


def ask(client: anthropic.Anthropic, content: Any, **options: Any) -> Any:
    """One question."""
    given: dict[str, Any] = {"model": MODEL, "max_tokens": 500, "messages": [{"role": "user", "content": content}]}
    return client.messages.create(**(given | options))


def post(server: RomServer, body: dict[str, Any], **headers: str) -> requests.Response:
    """One request without the client, which hides what it does not know."""
    sent = {"x-api-key": KEY, "anthropic-version": "2023-06-01"} | {k.replace("_", "-"): v for k, v in headers.items()}
    return requests.post(f"{server.url}/v1/messages", json=body, headers=sent, timeout=60)


BODY: dict[str, Any] = {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": "oi"}]}


def test_an_answer_with_our_tools_inside(anthropic_client: anthropic.Anthropic) -> None:
    """The tool runs on the server; the client sees one finished message, what it cost and which model gave it."""
    message = ask(anthropic_client, QUESTION)
    assert [block.type for block in message.content] == ["text"]
    assert "TJSP" in message.content[0].text
    assert (message.type, message.role, message.model) == ("message", "assistant", MODEL)
    assert (message.stop_reason, message.stop_sequence, message.stop_details) == ("end_turn", None, None)
    assert message.id.startswith("msg_")
    assert message.usage.input_tokens > 0 < message.usage.output_tokens
    assert message.rom["tool_calls"][0]["name"] == "numero_processo"
    assert message.rom["stand_in"] is True
    assert message._request_id == message.rom["request_id"]


def test_a_stream_of_the_official_client_is_the_same_message(anthropic_client: anthropic.Anthropic) -> None:
    """Its helper puts the events together to what the answer in one piece is, usage included."""
    whole = ask(anthropic_client, QUESTION)
    with anthropic_client.messages.stream(
        model=MODEL, max_tokens=500, messages=[{"role": "user", "content": QUESTION}]
    ) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    assert text == whole.content[0].text == message.content[0].text  # type: ignore[union-attr]
    assert message.stop_reason == "end_turn"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (
        whole.usage.input_tokens,
        whole.usage.output_tokens,
    )


def test_the_order_of_the_events(server: RomServer) -> None:
    """message_start, ping, the block's start, deltas and stop, message_delta with the usage, message_stop."""
    response = post(server, BODY | {"stream": True})
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    events = [event.split("\n") for event in response.text.strip().split("\n\n") if not event.startswith(":")]
    names = [lines[0].removeprefix("event: ") for lines in events]
    data = [json.loads(lines[1].removeprefix("data: ")) for lines in events]
    assert names == [one["type"] for one in data]
    assert names[:3] == ["message_start", "ping", "content_block_start"]
    assert names[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(names[3:-3]) == {"content_block_delta"}
    message = data[0]["message"]
    assert (message["content"], message["stop_reason"], message["usage"]["output_tokens"]) == ([], None, 0)
    assert data[2] == {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "text", "text": "", "citations": None},
    }
    assert set(data[3]) == {"type", "index", "delta"}
    assert data[3]["delta"]["type"] == "text_delta"
    assert data[-2]["delta"].pop("stop_reason") == "end_turn"
    assert data[-2]["delta"] == {"stop_sequence": None, "stop_details": None, "container": None}
    assert data[-2]["usage"]["output_tokens"] > 0 < data[-2]["usage"]["input_tokens"]
    assert data[-1] == {"type": "message_stop"}


def test_a_failure_in_mid_stream_raises_in_the_client(anthropic_client: anthropic.Anthropic) -> None:
    """What came before it was delivered, and then `event: error` with the envelope of the API."""
    events: list[Any] = []
    stream = ask(anthropic_client, "[[fault=no_stop]] [[after=3]] [[length=20]] conte", stream=True)
    with pytest.raises(anthropic.APIStatusError) as caught:
        events.extend(stream)
    assert len([event for event in events if event.type == "content_block_delta"]) == 3
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["type"] == "error"
    assert caught.value.body["error"]["type"] == "api_error"
    assert caught.value.body["rom"]["code"] == "upstream_unavailable"


@pytest.mark.parametrize("version", ["2023-06-01", "2026-10-21", ""])
@pytest.mark.parametrize("key", ["x-api-key", "authorization", "both"])
def test_both_versions_and_both_key_headers(server: RomServer, version: str, key: str) -> None:
    """A client says its key in either header, and x-api-key wins; unknown betas change nothing."""
    headers = {"anthropic-version": version, "anthropic-beta": "to-come-2027-01-01,another-2026-12-01"}
    if key != "authorization":
        headers["x-api-key"] = KEY
    if key != "x-api-key":
        headers["authorization"] = "Bearer wrong-0123456789" if key == "both" else f"Bearer {KEY}"
    headers = {name: value for name, value in headers.items() if value}
    response = requests.post(f"{server.url}/v1/messages?beta=true", json=BODY, headers=headers, timeout=60)
    assert response.status_code == 200, response.text


def test_an_error_has_the_envelope_of_the_api(server: RomServer) -> None:
    """`type: error` at the top, `error` with type and message, the request's id; ours stands under `rom`."""
    response = post(server, BODY | {"max_tokens": 0})
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-should-retry"] == "false"
    body = response.json()
    assert set(body) == {"type", "error", "request_id", "rom"}
    assert set(body["error"]) == {"type", "message"}
    assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
    assert body["error"]["message"].startswith("max_tokens: ")
    assert body["request_id"] == response.headers["request-id"]
    assert body["rom"]["user_message"] == texts.ERRORS["invalid_request"]


@pytest.mark.parametrize(
    ("change", "headers", "status", "kind"),
    [
        ({"model": "gpt-6"}, {}, 404, "not_found_error"),
        ({"colour": "red"}, {}, 400, "invalid_request_error"),
        ({}, {"x_api_key": "wrong-0123456789ab"}, 401, "authentication_error"),
        ({}, {"anthropic_version": "2031-01-01"}, 400, "invalid_request_error"),
        ({"temperature": 0.5}, {"anthropic_version": "2026-10-21"}, 400, "invalid_request_error"),
        ({"messages": [{"role": "user", "content": "[[fault=429]] oi"}]}, {}, 429, "rate_limit_error"),
        ({"messages": [{"role": "user", "content": "[[fault=403]] oi"}]}, {}, 403, "permission_error"),
        ({"messages": [{"role": "user", "content": "[[fault=503]] oi"}]}, {}, 502, "api_error"),
        ({"messages": [{"role": "assistant", "content": "oi"}]}, {}, 400, "invalid_request_error"),
        ({"messages": [{"role": "user", "content": " "}]}, {}, 400, "invalid_request_error"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]},
            {},
            400,
            "invalid_request_error",
        ),
    ],
)
def test_statuses_and_types_are_those_of_the_api(
    server: RomServer, change: dict[str, Any], headers: dict[str, str], status: int, kind: str
) -> None:
    """Every refusal has the status and the `error.type` that Anthropic documents for it."""
    response = post(server, BODY | change, **headers)
    assert (response.status_code, response.json()["error"]["type"]) == (status, kind)


def test_the_conversation_goes_to_the_model(anthropic_client: anthropic.Anthropic, bedrock: LocalBedrock) -> None:
    """System texts are appended to ours, in both forms; the client's own last answer passes; blank blocks do not."""
    first = ask(anthropic_client, "primeira").content
    ask(
        anthropic_client,
        "",
        system=[
            {"type": "text", "text": "Seja breve.", "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "Cite a lei."},
        ],
        messages=[
            {"role": "user", "content": "primeira"},
            {"role": "assistant", "content": first},
            {"role": "user", "content": [{"type": "text", "text": "segunda"}, {"type": "text", "text": " "}]},
        ],
        metadata={"user_id": "ana"},
    )
    body = bedrock.requests[-1].body
    said = [[part["text"] for part in message["content"] if "text" in part] for message in body["messages"]]
    assert said == [["primeira"], [first[0].text], ["segunda"]]
    assert body["system"][1] == {"text": "Seja breve.\n\nCite a lei."}
    assert body["inferenceConfig"] == {"maxTokens": 500}


def test_refusals_for_want_of_room_are_529(bedrock: LocalBedrock) -> None:
    """A server that drains is overloaded_error 529 here, with the time to come back, and 503 elsewhere."""
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url, MAX_CONCURRENT_REQUESTS=1, MAX_QUEUE_SIZE=0) as server:
        running = Stream(server.url, {"message": "[[length=400]] [[delay=20]] conte", "stream": True})
        events = running.events()
        next(events)
        response = requests.post(f"{server.url}/v1/messages", json=BODY, timeout=60)
        other = requests.post(f"{server.url}/v1/chat/completions", json={"messages": BODY["messages"]}, timeout=60)
        running.close()
    assert (response.status_code, response.json()["error"]["type"]) == (529, "overloaded_error")
    assert response.json()["rom"]["code"] == "queue_full"
    assert int(response.headers["retry-after"]) > 0
    assert (other.status_code, other.json()["code"]) == (503, "queue_full")


def test_tokens_are_counted_by_bedrock(anthropic_client: anthropic.Anthropic, bedrock: LocalBedrock) -> None:
    """What the usage of the same question says, our system text and tools included; the model, not its profile."""
    counted = anthropic_client.messages.count_tokens(
        model=MODEL, messages=[{"role": "user", "content": "Quanto custa?"}]
    )
    asked = bedrock.requests[-1]
    assert (asked.operation, asked.model_id) == ("CountTokens", "anthropic.claude-sonnet-4-5-20250929-v1:0")
    usage = ask(anthropic_client, "Quanto custa?").usage
    cached = usage.cache_creation_input_tokens + usage.cache_read_input_tokens
    assert counted.input_tokens == usage.input_tokens + cached
    assert counted.to_dict()["rom"] == {"estimated": False}


def test_an_estimate_says_that_it_is_one(bedrock: LocalBedrock) -> None:
    """For a model that Bedrock does not count for; and Bedrock is not asked again and again."""
    prices = {"price_input": 1.0, "price_output": 1.0}
    row = {"alias": "nova", "id": "us.amazon.nova-pro-v1:0", "max_tokens": 10000, "prompt_caching": False, **prices}
    with serving(
        BEDROCK_ENDPOINT_URL=bedrock.url, MODELS=json.dumps([row]), MODEL_PRIMARY="nova", MODEL_FALLBACKS="[]"
    ) as server:
        before = len(bedrock.requests)
        for _ in range(2):
            body = {"model": "nova", "messages": BODY["messages"], "system": "Seja breve."}
            answer = requests.post(f"{server.url}/v1/messages/count_tokens", json=body, timeout=60)
            assert answer.json()["rom"] == {"estimated": True}
            assert answer.headers["x-rom-estimated"] == "true"
            assert answer.json()["input_tokens"] > 100
        assert len(bedrock.requests) == before + 1


def test_the_models_that_can_be_asked_for(anthropic_client: anthropic.Anthropic) -> None:
    """The same list as OpenAI's client gets, with what this one looks for; an unknown one is a NotFoundError."""
    listed = [model.id for model in anthropic_client.models.list()]
    assert listed[0] == MODEL
    assert listed[-1] == "default"
    assert anthropic_client.models.retrieve(MODEL).type == "model"
    with pytest.raises(anthropic.NotFoundError):
        anthropic_client.models.retrieve("gone")
