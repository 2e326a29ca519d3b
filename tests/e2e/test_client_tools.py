"""Tools that the client runs, with the official OpenAI client against a real server process."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
import requests
from e2e.serving import KEY, WITH_KEY, RomServer

from local_bedrock import LocalBedrock

SERVER_SETTINGS = WITH_KEY | {"GUARDRAILS_ENABLED": True, "MAX_LOOPS_SOFT": 3, "MAX_LOOPS_HARD": 4}
MODEL = "anthropic.claude-sonnet-4-5"
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CLOCK = {"type": "function", "function": {"name": "clock", "description": "The time.", "parameters": None}}
CASE = "O número 0001234-08.2023.8.26.0100 é válido?"


def ask(client: openai.OpenAI, *messages: Any, **options: Any) -> Any:
    """One question, with both tools."""
    given: Any = [{"role": "user", "content": message} if isinstance(message, str) else message for message in messages]
    options.setdefault("tools", [WEATHER, CLOCK])
    return client.chat.completions.create(model=MODEL, messages=given, **options)


def chat(server: RomServer, **body: Any) -> requests.Response:
    """One request to /api/chat."""
    headers = {"Authorization": f"Bearer {KEY}"}
    return requests.post(f"{server.url}/api/chat", json=body, headers=headers, timeout=60)


def test_a_call_is_handed_out_and_its_result_is_answered(openai_client: openai.OpenAI, bedrock: LocalBedrock) -> None:
    """The model asks, the client runs the tool, the model answers with what came of it; no tool of ours is offered."""
    question = '[[tool=weather]] [[input={"city": "Recife"}]] Que tempo faz?'
    first = ask(openai_client, question)
    choice = first.choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    call = choice.message.tool_calls[0]
    assert (call.type, call.function.name, json.loads(call.function.arguments)) == (
        "function",
        "weather",
        {"city": "Recife"},
    )
    assert [tool["toolSpec"]["name"] for tool in bedrock.requests[-1].body["toolConfig"]["tools"]] == [
        "weather",
        "clock",
    ]
    result = {"role": "tool", "tool_call_id": call.id, "content": "29 graus"}
    second = ask(openai_client, question, choice.message, result)
    assert second.choices[0].finish_reason == "stop"
    assert "29 graus" in second.choices[0].message.content
    assert second.rom["tool_calls"] == []


def test_a_streamed_call_is_put_together_by_the_client(openai_client: openai.OpenAI) -> None:
    """Chunks of tool calls by index, then the finish reason; parallel calls each have their own."""
    names: dict[int, str] = {}
    arguments: dict[int, str] = {}
    reasons = []
    stream = ask(openai_client, '[[parallel=2]] [[tool=weather]] [[input={"city": "$n"}]] e agora?', stream=True)
    for chunk in stream:
        choice = chunk.choices[0]
        reasons.append(choice.finish_reason)
        for part in choice.delta.tool_calls or ():
            if part.function.name:
                assert part.id
                names[part.index] = part.function.name
            arguments[part.index] = arguments.get(part.index, "") + part.function.arguments
    assert names == {0: "weather", 1: "weather"}
    assert [json.loads(text) for text in arguments.values()] == [{"city": "1"}, {"city": "2"}]
    assert [reason for reason in reasons if reason] == ["tool_calls"]


def test_one_call_at_a_time_if_the_client_wants_it_so(openai_client: openai.OpenAI) -> None:
    """`parallel_tool_calls: false` hands out the first only."""
    completion = ask(openai_client, "[[parallel=3]] [[tool=clock]] e agora?", parallel_tool_calls=False)
    assert len(completion.choices[0].message.tool_calls) == 1


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", {"auto": {}}),
        ("required", {"any": {}}),
        ({"type": "function", "function": {"name": "clock"}}, {"tool": {"name": "clock"}}),
    ],
)
def test_the_tool_choice_reaches_the_model(
    openai_client: openai.OpenAI, bedrock: LocalBedrock, choice: Any, sent: dict[str, Any]
) -> None:
    """Each in Converse's words."""
    ask(openai_client, "[[tool=clock]] que horas?", tool_choice=choice)
    assert bedrock.requests[-1].body["toolConfig"]["toolChoice"] == sent


def test_no_tool_is_called_if_the_client_wants_none(openai_client: openai.OpenAI) -> None:
    """`tool_choice: none`: what the model asks for all the same is not handed out, and the turn ends."""
    completion = ask(openai_client, "[[tool=clock]] que horas?", tool_choice="none")
    assert completion.choices[0].finish_reason == "stop"
    assert completion.choices[0].message.tool_calls is None
    assert completion.choices[0].message.content


def test_a_cut_call_is_never_handed_out(openai_client: openai.OpenAI) -> None:
    """A call whose arguments end in the middle is no call: the answer was too long, and says so."""
    completion = ask(openai_client, "[[cut_tool_use]] [[tool=weather]] que tempo?")
    assert completion.choices[0].message.tool_calls is None
    assert completion.choices[0].finish_reason == "length"
    with pytest.raises(openai.InternalServerError):
        ask(openai_client, "[[cut_tool_use]] [[stop=tool_use]] [[tool=weather]] que tempo?")


def test_client_rounds_count_for_the_guardrails(openai_client: openai.OpenAI) -> None:
    """Each round is a request of its own; a loop that asks the same again and again ends with an answer."""
    messages: list[Any] = [{"role": "user", "content": "[[tools=9]] [[tool=clock]] que horas?"}]
    rounds = 0
    while rounds < 9:
        completion = ask(openai_client, *messages)
        message = completion.choices[0].message
        if completion.choices[0].finish_reason == "stop":
            break
        rounds += 1
        messages.append(message)
        messages += [{"role": "tool", "tool_call_id": call.id, "content": "12:00"} for call in message.tool_calls]
    assert completion.rom["stop_reason"] == "guardrail_repetition"
    assert rounds == 2
    assert message.content


def test_what_is_wrong_is_told_all_at_once(openai_client: openai.OpenAI) -> None:
    """Every problem of the request has its entry in `errors`."""
    with pytest.raises(openai.APIStatusError) as caught:
        ask(
            openai_client,
            "oi",
            n=2,
            logit_bias={"1": 5},
            tools=[WEATHER, {"type": "function", "function": {"name": "a b"}}],
        )
    assert {one["name"] for one in caught.value.body["errors"]} == {"n", "logit_bias", "tools.1.function.name"}  # type: ignore[index]
    with pytest.raises(openai.APIStatusError) as caught:
        ask(openai_client, "oi", tools=[WEATHER, WEATHER], tool_choice={"type": "function", "function": {"name": "x"}})
    assert {one["name"] for one in caught.value.body["errors"]} == {"tools.1.function.name", "tool_choice"}  # type: ignore[index]


def test_what_changes_nothing_is_named(openai_client: openai.OpenAI) -> None:
    """In the header and in the answer; it is not refused."""
    raw = openai_client.chat.completions.with_raw_response.create(
        model=MODEL,
        messages=[{"role": "user", "content": "oi", "name": "ana"}],
        seed=7,
        metadata={"case": "1"},
        reasoning_effort="low",
        store=False,
        logprobs=False,
        n=1,
    )
    assert raw.headers["x-rom-ignored"] == "metadata, seed, messages.name, reasoning_effort"
    assert raw.parse().rom["ignored"] == ["metadata", "seed", "messages.name", "reasoning_effort"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("effort", "sent", "thinking"),
    [("low", "low", None), ("minimal", "low", None), ("max", "max", None), ("none", None, {"type": "disabled"})],
)
def test_effort_reaches_a_model_that_takes_it(
    openai_client: openai.OpenAI, bedrock: LocalBedrock, effort: Any, sent: Any, thinking: Any
) -> None:
    """One that decides itself how much it thinks, and can be told not to."""
    completion = openai_client.chat.completions.create(
        model="anthropic.claude-haiku-5-5", messages=[{"role": "user", "content": "oi"}], reasoning_effort=effort
    )
    assert "ignored" not in completion.rom  # type: ignore[attr-defined]
    body = bedrock.requests[-1].body
    assert (body.get("outputConfig") or {}).get("effort") == sent
    assert (body.get("additionalModelRequestFields") or {}).get("thinking") == thinking


def test_sampling_reaches_the_model(openai_client: openai.OpenAI, bedrock: LocalBedrock) -> None:
    """`top_p` and `stop`, as one text or as several; blank stops cannot be sent, and are named."""
    completion = openai_client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "oi"}], top_p=0.5, stop=["FIM", "\n"]
    )
    inference = bedrock.requests[-1].body["inferenceConfig"]
    assert (inference["topP"], inference["stopSequences"]) == (0.5, ["FIM"])
    assert completion.rom["ignored"] == ["stop"]  # type: ignore[attr-defined]


def test_an_address_with_a_slash_at_its_end(server: RomServer) -> None:
    """Clients come with base addresses of all kinds; only under /v1/."""
    headers = {"Authorization": f"Bearer {KEY}"}
    body = {"messages": [{"role": "user", "content": "oi"}]}
    assert (
        requests.post(f"{server.url}/v1/chat/completions/", json=body, headers=headers, timeout=60).status_code == 200
    )
    assert requests.get(f"{server.url}/v1/models/", headers=headers, timeout=60).status_code == 200
    assert requests.get(f"{server.url}/v1/models//", headers=headers, timeout=60).status_code == 404
    assert requests.get(f"{server.url}/health/", timeout=60).status_code == 404


def test_the_client_s_tools_on_our_own_route(server: RomServer) -> None:
    """/api/chat hands calls out as `tool_uses`, and takes results as `tool_results`."""
    tools = [{"name": "weather", "description": "Tempo.", "input_schema": {"type": "object"}}]
    question = '[[tool=weather]] [[input={"city": "Natal"}]] que tempo?'
    first = chat(server, message=question, tools=tools).json()
    assert (first["stop_reason"], first["reply"]) == ("tool_use", "")
    (use,) = first["tool_uses"]
    assert (use["name"], use["input"]) == ("weather", {"city": "Natal"})
    messages = [
        {"role": "user", "content": question},
        {"role": "assistant", "content": first["reply"], "tool_uses": first["tool_uses"]},
        {"role": "user", "tool_results": [{"id": use["id"], "content": "31 graus"}]},
    ]
    second = chat(server, messages=messages, tools=tools).json()
    assert second["stop_reason"] == "end_turn"
    assert "31 graus" in second["reply"]


def test_the_server_s_tools_beside_the_client_s(server: RomServer, bedrock: LocalBedrock) -> None:
    """`server_tools`: ours run first, and their results come back with the calls that the client is to run."""
    tools = [{"name": "weather", "description": "Tempo.", "input_schema": {"type": "object"}}]
    question = "[[parallel=2]] [[tool=numero_processo,weather]] [[input={}]] e então?"
    first = chat(server, message=question, tools=tools, server_tools=True).json()
    assert [use["name"] for use in first["tool_uses"]] == ["weather"]
    (pending,) = first["pending_results"]
    assert pending["name"] == "numero_processo"
    assert [call["name"] for call in first["tool_calls"]] == ["numero_processo"]
    messages = [
        {"role": "user", "content": question},
        {"role": "assistant", "content": first["reply"], "tool_uses": first["tool_uses"]},
        {
            "role": "user",
            "tool_results": [*first["pending_results"], {"id": first["tool_uses"][0]["id"], "content": "chuva"}],
        },
    ]
    second = chat(server, messages=messages, tools=tools, server_tools=True).json()
    assert second["stop_reason"] == "end_turn", second
    sent = bedrock.requests[-1].body["messages"]
    assert [block["toolUse"]["name"] for block in sent[1]["content"] if "toolUse" in block] == [
        "weather",
        "numero_processo",
    ]
    assert {block["toolResult"]["toolUseId"] for block in sent[2]["content"] if "toolResult" in block} == {
        block["toolUse"]["toolUseId"] for block in sent[1]["content"] if "toolUse" in block
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"tools": [{"name": "x"}, {"name": "x"}]}, "tools.1.name"),
        ({"tool_choice": {"name": "x"}}, "tool_choice"),
        ({"messages": [{"role": "user", "content": "a", "tool_uses": []}]}, "messages.0.tool_uses"),
    ],
)
def test_contradictions_on_our_own_route_are_refused(server: RomServer, body: dict[str, Any], field: str) -> None:
    """By the field that is wrong."""
    response = chat(server, message="oi", **body)
    assert response.status_code == 422
    assert field in {one["name"] for one in response.json()["errors"]}


def test_a_tool_with_a_name_of_ours_is_refused_beside_ours(server: RomServer) -> None:
    """Nobody could tell which one is meant."""
    response = chat(server, message="oi", tools=[{"name": "numero_processo"}], server_tools=True)
    assert (response.status_code, response.json()["error"]["param"]) == (422, "tools")
    assert chat(server, message="[[tools=0]] oi", tools=[{"name": "numero_processo"}]).status_code == 200


def test_a_request_without_a_message_is_refused(server: RomServer) -> None:
    """Unless it ends with results of tools."""
    response = chat(server, messages=[{"role": "user", "content": "a"}])
    assert (response.status_code, response.json()["error"]["param"]) == (422, "message")
