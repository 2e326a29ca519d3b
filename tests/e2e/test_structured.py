"""Structured answers over HTTP, on a real server process: the official client's parse, streams, and /api/chat."""

from __future__ import annotations

import json
from typing import Any

import openai
import pydantic
import pytest
import requests
from e2e.serving import BARE, RomServer, Stream

from local_bedrock import LocalBedrock, fault, reply

SERVER_SETTINGS = BARE | {"LEGAL_TOOLS_ENABLED": False, "SSE_HEARTBEAT_SECONDS": 0.1}
SONNET = "anthropic.claude-sonnet-4-5"
MODELS = {
    SONNET: "native",
    "anthropic.claude-haiku-4-5": "native",
    "anthropic.claude-sonnet-5-5": "native",
    "anthropic.claude-opus-5-5": "native",
}
QUESTION = 'O prazo de "contestação" é de 15 dias.'
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"ato": {"type": "string"}, "dias": {"type": "integer", "minimum": 1}},
    "required": ["ato", "dias"],
}
FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "prazo", "schema": SCHEMA}}
# One that structured outputs do not take: its members have any names.
MAP = {"type": "object", "additionalProperties": {"type": "integer"}}


class Prazo(pydantic.BaseModel):
    """What a client wants to have."""

    ato: str
    dias: int


def said(text: str = QUESTION) -> Any:
    """The messages of a question."""
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize("model", MODELS)
def test_the_official_client_parses_the_answer(openai_client: openai.OpenAI, model: str) -> None:
    """Into its own class, and is told how the model was asked."""
    completion: Any = openai_client.chat.completions.parse(model=model, messages=said(), response_format=Prazo)
    assert completion.choices[0].message.parsed == Prazo(ato="contestação", dias=15)
    assert completion.choices[0].finish_reason == "stop"
    assert completion.rom["structured"] == MODELS[model]


def test_the_official_client_parses_a_stream(openai_client: openai.OpenAI) -> None:
    """The whole answer comes in one piece, once it is valid."""
    with openai_client.chat.completions.stream(model=SONNET, messages=said(), response_format=Prazo) as stream:
        pieces = [event.delta for event in stream if event.type == "content.delta"]
        assert stream.get_final_completion().choices[0].message.parsed == Prazo(ato="contestação", dias=15)
    assert [piece for piece in pieces if piece] == ['{"ato": "contestação", "dias": 15}']


@pytest.mark.parametrize(("model", "way"), [(SONNET, "tool"), ("anthropic.claude-sonnet-5-5", "instruction")])
def test_what_the_model_does_not_take_as_a_schema_is_asked_for_otherwise(
    server: RomServer, model: str, way: str
) -> None:
    """Through a tool where one can be forced, else in words; on /api/chat as on /v1."""
    given = {"type": "json_schema", "json_schema": {"name": "a", "schema": MAP}}
    answer = server.chat('[[say={"a": 1}]] Conte.', model=model, response_format=given).json()
    assert (answer["reply"], answer["structured"]) == ('{"a": 1}', way)


def test_any_object_will_do(server: RomServer, openai_client: openai.OpenAI) -> None:
    """json_object on both routes."""
    answer = server.chat(QUESTION, response_format={"type": "json_object"}).json()
    assert isinstance(json.loads(answer["reply"]), dict)
    assert answer["structured"] == "instruction"
    completion = openai_client.chat.completions.create(
        model=SONNET, messages=said(), response_format={"type": "json_object"}
    )
    assert isinstance(json.loads(completion.choices[0].message.content or ""), dict)


def test_text_is_text(server: RomServer) -> None:
    """And the answer then says nothing of a form."""
    assert "structured" not in server.chat(QUESTION, response_format={"type": "text"}).json()


def test_what_never_becomes_valid_is_502(
    server: RomServer, openai_client: openai.OpenAI, bedrock: LocalBedrock
) -> None:
    """On both routes, after two requests, and no client is told to repeat it."""
    before = len(bedrock.requests)
    answer = server.chat('[[say={"dias": 0}]] Prazo?', response_format=FORMAT)
    assert (answer.status_code, answer.json()["code"]) == (502, "invalid_output")
    assert answer.headers["x-should-retry"] == "false"
    assert len(bedrock.requests) == before + 2
    with pytest.raises(openai.InternalServerError) as caught:
        openai_client.chat.completions.create(
            model=SONNET, messages=said('[[say={"dias": 0}]] Prazo?'), response_format=FORMAT
        )
    assert caught.value.code == "invalid_output"


def test_one_invalid_answer_is_mended(server: RomServer, bedrock: LocalBedrock) -> None:
    """The model is told what was wrong, and only the second answer is seen."""
    bedrock.script(reply('{"ato": "x"}'), reply('{"ato": "x", "dias": 1}'))
    answer = server.chat("Prazo?", response_format=FORMAT).json()
    assert (json.loads(answer["reply"]), answer["iterations"]) == ({"ato": "x", "dias": 1}, 2)
    assert "'dias' is a required property" in json.dumps(bedrock.requests[-1].body["messages"][-1])


def test_a_stream_is_held_until_the_answer_is_valid(server: RomServer, bedrock: LocalBedrock) -> None:
    """Comments keep it alive meanwhile; nothing of the first answer, which was not valid, is ever sent."""
    bedrock.script('[[say={"ato": "errado, e longo"}]] [[delay=0.6]]', reply('{"ato": "x", "dias": 1}'))
    stream = server.stream("Prazo?", response_format=FORMAT)
    events = list(stream.events())
    assert [name for name, _ in events] == ["start", "delta", "done"]
    assert events[1][1]["text"] == '{"ato": "x", "dias": 1}' == events[2][1]["reply"]
    assert stream.comments > 1


def test_a_stream_is_alive_while_a_tool_takes_the_answer(server: RomServer) -> None:
    """No text comes from the model then; the client hears all the same that it is at work."""
    schema = {"type": "object", "properties": {"a": {"type": "object"}, "b": {"type": "string"}}, "required": ["b"]}
    given = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    stream = server.stream("[[delay=0.6]] Prazo?", response_format=given)
    events = list(stream.events())
    assert [name for name, _ in events] == ["start", "delta", "done"]
    assert events[-1][1]["structured"] == "tool"
    assert stream.comments > 1


def test_a_stream_that_never_becomes_valid_ends_with_an_error(server: RomServer) -> None:
    """The problem is the last event; no delta came before it."""
    events = list(server.stream('[[say={"dias": 0}]] Prazo?', response_format=FORMAT).events())
    assert [name for name, _ in events] == ["start", "error"]
    assert (events[-1][1]["code"], events[-1][1]["status"]) == ("invalid_output", 502)
    body = {"stream": True, "messages": said('[[say={"dias": 0}]] Prazo?'), "response_format": FORMAT}
    (_, first), (_, last) = Stream(server.url, body, path="/v1/chat/completions").events()
    assert first["choices"][0]["delta"]["content"] == ""
    assert last["error"]["code"] == "invalid_output"


def test_a_fault_of_the_model_is_still_that_fault(server: RomServer, bedrock: LocalBedrock) -> None:
    """Before anything is held, a stream that fails is an ordinary error answer."""
    bedrock.script(fault(400))
    stream = server.stream("Prazo?", response_format=FORMAT)
    assert stream.head[0] == 502
    stream.close()


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"type": "xml"}, "response_format.type"),
        ({"type": "json_schema"}, "response_format.json_schema"),
        ({"type": "json_schema", "json_schema": {"name": "a"}}, "response_format.json_schema.schema"),
        (
            {"type": "json_schema", "json_schema": {"name": "a", "schema": {"$ref": "http://127.0.0.1/a"}}},
            "response_format.json_schema.schema",
        ),
        (
            {"type": "json_schema", "json_schema": {"name": "a", "schema": {"pattern": "(?!a)"}}},
            "response_format.json_schema.schema",
        ),
    ],
)
@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
def test_what_cannot_be_asked_for_is_refused(server: RomServer, path: str, given: Any, param: str) -> None:
    """As the client's own mistake, with the field, and without a request to the model."""
    body = {"message": "a"} if path == "/api/chat" else {"messages": said("a")}
    answer = requests.post(server.url + path, json={**body, "response_format": given}, timeout=60)
    assert answer.status_code in (400, 422)
    assert answer.json()["error"]["param"] == param


def test_a_model_that_takes_no_schema_after_all(server: RomServer, bedrock: LocalBedrock) -> None:
    """Its row may be wrong: the service says so, and it is asked in another way within the same turn."""
    name = "anthropic.claude-haiku-4-5-20251001-v1:0"
    bedrock.change_model(name, structured_output=False)
    try:
        answer = server.chat(QUESTION, model="anthropic.claude-haiku-4-5", response_format=FORMAT).json()
    finally:
        bedrock.change_model(name, structured_output=True)
    assert (json.loads(answer["reply"]), answer["structured"]) == ({"ato": "contestação", "dias": 15}, "tool")
