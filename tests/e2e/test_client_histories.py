"""What clients really send with tools of their own: helpers of the official client, histories of frameworks, noise."""

from __future__ import annotations

import json
from typing import Any

import openai
import pydantic
import pytest
import requests
from e2e.serving import KEY, WITH_KEY, RomServer

from local_bedrock import LocalBedrock
from rom_core.agent.client_tools import NONE_NOW

SERVER_SETTINGS = WITH_KEY | {"GUARDRAILS_ENABLED": True}
HEADERS = {"Authorization": f"Bearer {KEY}"}
MODEL = "anthropic.claude-sonnet-4-5"
QUESTION = '[[tool=weather]] [[input={"city": "Recife"}]] Que tempo faz?'
SECRET_NAME = "ficha_da_dona_maria"


class Weather(pydantic.BaseModel):
    """The weather of a city."""

    city: str


TOOL = openai.pydantic_function_tool(Weather, name="weather")


def post(server: RomServer, **body: Any) -> requests.Response:
    """One request as it is, without a client that would mend it."""
    return requests.post(f"{server.url}/v1/chat/completions", json=body, headers=HEADERS, timeout=60)


def call(number: int, city: str = "Recife") -> dict[str, Any]:
    """A call as it was handed out."""
    function = {"name": "weather", "arguments": json.dumps({"city": city})}
    return {"id": f"call_{number}", "type": "function", "function": function}


def result(number: int, content: Any = "29 graus") -> dict[str, Any]:
    """What came of it."""
    return {"role": "tool", "tool_call_id": f"call_{number}", "content": content}


def test_the_streaming_helper_of_the_official_client(openai_client: openai.OpenAI) -> None:
    """`chat.completions.stream` puts the call together and parses its arguments; there was no text."""
    with openai_client.chat.completions.stream(
        model=MODEL, messages=[{"role": "user", "content": QUESTION}], tools=[TOOL]
    ) as stream:
        kinds = [event.type for event in stream]
        message = stream.get_final_completion().choices[0].message
    assert "tool_calls.function.arguments.done" in kinds
    assert message.content is None
    assert message.tool_calls
    assert message.tool_calls[0].function.parsed_arguments == Weather(city="Recife")


def test_the_parsing_helper_of_the_official_client(openai_client: openai.OpenAI) -> None:
    """`chat.completions.parse`; that arguments are not held to the schema by the model is named."""
    completion = openai_client.chat.completions.parse(
        model=MODEL, messages=[{"role": "user", "content": QUESTION}], tools=[TOOL]
    )
    calls = completion.choices[0].message.tool_calls
    assert calls
    assert calls[0].function.parsed_arguments == Weather(city="Recife")
    assert completion.rom["ignored"] == ["tools.function.strict"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("before", [{"content": None}, {"content": ""}, {}, {"content": []}, {"content": "Vejo já."}])
@pytest.mark.parametrize(
    "results",
    [
        pytest.param([result(1), result(2)], id="in order"),
        pytest.param([result(2), result(1)], id="out of order"),
        pytest.param([result(1), result(1, "30 graus"), result(2)], id="doubled"),
        pytest.param([result(1), result(2), result(9, "de quem?")], id="orphaned"),
        pytest.param([result(1)], id="missing"),
        pytest.param([result(1, [{"type": "text", "text": "29 graus"}]), result(2, [])], id="parts"),
        pytest.param([result(1, "29 graus"), result(2, " ")], id="blank"),
        pytest.param([result(1), {"role": "user", "content": "e agora?"}], id="a person between"),
    ],
)
def test_histories_of_frameworks_are_answered(
    server: RomServer, bedrock: LocalBedrock, before: dict[str, Any], results: list[dict[str, Any]]
) -> None:
    """Whatever a framework makes of an assistant's message and its results, the model reads what there is."""
    history = [{"role": "user", "content": QUESTION}, {"role": "assistant", **before, "tool_calls": [call(1), call(2)]}]
    response = post(server, model=MODEL, messages=[*history, *results], tools=[TOOL])
    assert response.status_code == 200, response.text
    assert response.json()["choices"][0]["finish_reason"] in ("stop", "tool_calls")
    assert "29 graus" in str(bedrock.requests[-1].body["messages"])


def test_a_history_with_tools_and_a_request_without(server: RomServer) -> None:
    """As to have a conversation summed up: the calls of then stay what they were."""
    history = [
        {"role": "user", "content": "[[tools=0]] Que tempo faz?"},
        {"role": "assistant", "tool_calls": [call(1)]},
    ]
    response = post(server, messages=[*history, result(1)])
    assert response.status_code == 200, response.text
    assert response.json()["choices"][0]["finish_reason"] == "stop"


def test_no_tool_with_a_history_of_calls_is_an_answer(server: RomServer, bedrock: LocalBedrock) -> None:
    """`tool_choice: none`: a model that asks for a tool all the same is asked again, for an answer."""
    history = [{"role": "user", "content": "[[tools=2]] [[tool=weather]] Que tempo faz?"}]
    history += [{"role": "assistant", "tool_calls": [call(1)]}, result(1)]  # type: ignore[dict-item]
    answer = post(server, messages=history, tools=[TOOL], tool_choice="none").json()
    message = answer["choices"][0]["message"]
    assert (answer["choices"][0]["finish_reason"], "tool_calls" in message) == ("stop", False)
    assert message["content"]
    assert answer["rom"]["degraded"] is False
    assert NONE_NOW in str(bedrock.requests[-1].body["messages"][-1])


def test_as_many_tools_as_openai_takes(server: RomServer, bedrock: LocalBedrock) -> None:
    """128, however large their schemas are within the largest body; one more is refused."""
    schema = {"type": "object", "properties": {f"field_{n}": {"type": "string"} for n in range(100)}}
    tools = [{"type": "function", "function": {"name": f"tool_{n}", "parameters": schema}} for n in range(129)]
    messages = [{"role": "user", "content": "[[tools=0]] oi"}]
    assert post(server, messages=messages, tools=tools[:128]).status_code == 200
    assert len(bedrock.requests[-1].body["toolConfig"]["tools"]) == 128
    response = post(server, messages=messages, tools=tools)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "tools")


@pytest.mark.parametrize(
    ("function", "field"),
    [
        ({"name": "a b"}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x", "parameters": {"type": "array"}}, "parameters.type"),
        ({"name": "x", "parameters": {"type": None}}, "parameters.type"),
    ],
)
def test_a_tool_that_the_service_would_refuse_is_refused_by_its_field(
    server: RomServer, function: dict[str, Any], field: str
) -> None:
    """A name that Bedrock does not take, parameters that are no object: changed in silence they would mislead."""
    tools = [{"type": "function", "function": function}]
    response = post(server, messages=[{"role": "user", "content": "oi"}], tools=tools)
    assert (response.status_code, response.json()["error"]["param"]) == (400, f"tools.0.function.{field}")


def test_every_problem_is_told_at_once_whatever_its_kind(server: RomServer) -> None:
    """What a field may not hold, and what contradicts another field, in one answer."""
    messages = [{"role": "user", "content": "oi"}, {"role": "assistant", "content": "olá"}]
    choice = {"type": "function", "function": {"name": "x"}}
    limits = {"max_tokens": 1, "max_completion_tokens": 1}
    response = post(server, n=2, messages=messages, tools=[TOOL, TOOL], tool_choice=choice, **limits)
    assert {one["name"] for one in response.json()["errors"]} == {
        "n",
        "messages",
        "tools.1.function.name",
        "tool_choice",
        "max_tokens",
    }
    response = post(server, messages=[], tools=[{"type": "web_search"}], tool_choice="required")
    assert {one["name"].partition(".")[0] for one in response.json()["errors"]} == {"messages", "tools"}


def test_noise_of_other_servers_is_named_and_not_refused(server: RomServer) -> None:
    """A seed of 0, a choice without tools, and what other servers put into the messages that clients send back."""
    history = [
        {"role": "user", "content": "[[tools=0]] oi", "name": "ana"},
        {"role": "assistant", "content": "olá", "reasoning": "hm", "provider_specific_fields": {"a": 1}},
        {"role": "assistant", "tool_calls": [{**call(1), "extra_content": {"google": {}}, "index": 0}]},
        result(1),
    ]
    response = post(
        server, messages=history, seed=0, tool_choice="auto", parallel_tool_calls=False, top_p=0, store=False
    )
    assert response.status_code == 200, response.text
    named = [
        *("seed", "tool_choice", "parallel_tool_calls", "messages.name"),
        *("messages.provider_specific_fields", "messages.reasoning", "messages.tool_calls.extra_content"),
    ]
    assert response.headers["X-Rom-Ignored"] == ", ".join(named)
    assert response.json()["rom"]["ignored"] == named


def test_a_stream_names_what_it_ignored(openai_client: openai.OpenAI) -> None:
    """The header before the first byte what the request says, the last chunk what the model left out, too."""
    raw = openai_client.chat.completions.with_raw_response.create(
        model="anthropic.claude-haiku-5-5",
        messages=[{"role": "user", "content": "[[say=oi]]"}],
        stream=True,
        seed=0,
        temperature=0.5,
        tools=[TOOL],
    )
    assert raw.headers["x-rom-ignored"] == "seed, tools.function.strict"
    *_, last = raw.parse()
    assert last.rom["ignored"] == ["seed", "tools.function.strict", "temperature"]  # type: ignore[attr-defined]


def test_no_name_that_a_client_chose_is_a_label(server: RomServer) -> None:
    """Nor does the log tell it where nobody offers such a tool."""
    tools = [{"name": SECRET_NAME, "input_schema": {"type": "object"}}]
    body = {"message": f"[[tool={SECRET_NAME}]] oi", "tools": tools, "server_tools": True}
    answer = requests.post(f"{server.url}/api/chat", json=body, headers=HEADERS, timeout=60).json()
    assert [use["name"] for use in answer["tool_uses"]] == [SECRET_NAME]
    requests.post(f"{server.url}/api/chat", json={"message": body["message"]}, headers=HEADERS, timeout=60)
    metrics = server.get("/metrics").text
    assert 'tool="unknown"' in metrics
    assert SECRET_NAME not in metrics
    assert not any(SECRET_NAME in line for line in server.lines)


def test_results_on_our_own_route_are_text_or_json(server: RomServer, bedrock: LocalBedrock) -> None:
    """A client cannot have the model read what the server's own rights reach, and one call at a time is served."""
    document = {"name": "a", "format": "pdf", "source": {"s3Location": {"uri": "s3://somebody-elses/file"}}}
    results = [{"id": "t1", "content": [{"document": document}]}]
    body: dict[str, Any] = {"messages": [{"role": "user", "tool_results": results}]}
    response = requests.post(f"{server.url}/api/chat", json=body, headers=HEADERS, timeout=60)
    assert response.status_code == 422
    assert response.json()["error"]["param"] == "messages.0.tool_results.0.content.0.document"
    results[0]["content"] = [{"text": "a"}, {"json": [1]}]
    assert requests.post(f"{server.url}/api/chat", json=body, headers=HEADERS, timeout=60).status_code == 200
    body = {"message": "[[parallel=2]] [[tool=x]] oi", "tools": [{"name": "x"}], "parallel_tool_calls": False}
    answer = requests.post(f"{server.url}/api/chat", json=body, headers=HEADERS, timeout=60).json()
    assert len(answer["tool_uses"]) == 1
