"""Tools and thinking on /v1/messages, with the official Anthropic client against a real server process."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest
import requests
from e2e.serving import KEY, WITH_KEY, RomServer

from local_bedrock import LocalBedrock
from local_bedrock.behaviour import tool_use

SERVER_SETTINGS = WITH_KEY
MODEL = "anthropic.claude-sonnet-4-5"
NEWEST = "anthropic.claude-sonnet-5-5"
WEATHER: Any = {
    "name": "weather",
    "description": "The weather of a town.",
    "input_schema": {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]},
}
LOOK: Any = {"name": "look", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}
QUESTION: Any = {"role": "user", "content": '[[tools=1]] [[tool=weather]] [[input={"town": "Santos"}]] Como está?'}


def ask(client: anthropic.Anthropic, *messages: Any, **options: Any) -> Any:
    """One request with both tools."""
    given: dict[str, Any] = {"model": MODEL, "max_tokens": 2000, "messages": messages, "tools": [WEATHER, LOOK]}
    return client.messages.create(**(given | options))


def test_the_loop_of_a_client(anthropic_client: anthropic.Anthropic, bedrock: LocalBedrock) -> None:
    """The call is handed out with stop_reason tool_use; with its result the model answers."""
    asked = ask(anthropic_client, QUESTION)
    assert asked.stop_reason == "tool_use"
    call = asked.content[-1]
    assert (call.type, call.name, call.input) == ("tool_use", "weather", {"town": "Santos"})
    offered = bedrock.requests[-1].body["toolConfig"]["tools"]
    assert [tool["toolSpec"]["name"] for tool in offered if "toolSpec" in tool] == ["weather", "look"]
    result: Any = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "25 graus"}]}
    answer = ask(
        anthropic_client,
        QUESTION,
        {"role": "assistant", "content": asked.content},
        {"role": "user", "content": [result]},
    )
    assert answer.stop_reason == "end_turn"
    blocks = bedrock.requests[-1].body["messages"][-1]["content"]
    assert blocks[0]["toolResult"]["content"] == [{"text": "25 graus"}]
    assert asked.usage.output_tokens > 0


def test_a_stream_hands_out_whole_calls(anthropic_client: anthropic.Anthropic) -> None:
    """Parallel calls are blocks of their own, their input comes as JSON, and the helper puts them together."""
    question: Any = {"role": "user", "content": f"[[parallel=2]] {QUESTION['content']}"}
    with anthropic_client.messages.stream(model=MODEL, max_tokens=500, messages=[question], tools=[WEATHER]) as stream:
        events = list(stream)
        message = stream.get_final_message()
    calls = [block for block in message.content if block.type == "tool_use"]
    assert [call.input for call in calls] == [{"town": "Santos"}] * 2
    assert message.stop_reason == "tool_use"
    starts = [event for event in events if event.type == "content_block_start"]
    assert [start.index for start in starts] == list(range(len(message.content)))
    assert starts[-1].content_block.input == {}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ({"type": "auto"}, {"auto": {}}),
        ({"type": "any"}, {"any": {}}),
        ({"type": "tool", "name": "look"}, {"tool": {"name": "look"}}),
    ],
)
def test_the_choice_of_tools(
    anthropic_client: anthropic.Anthropic, bedrock: LocalBedrock, choice: dict[str, str], sent: dict[str, Any]
) -> None:
    """It goes to the model in Converse's words."""
    ask(anthropic_client, {"role": "user", "content": "oi"}, tool_choice=choice)
    body = bedrock.requests[-1].body
    assert body["toolConfig"].get("toolChoice", {"auto": {}}) == sent


def test_none_and_one_at_a_time(anthropic_client: anthropic.Anthropic, bedrock: LocalBedrock) -> None:
    """With `none` no call is handed out; without parallel use only the first of several."""
    question: Any = {"role": "user", "content": f"[[parallel=3]] {QUESTION['content']}"}
    one = ask(anthropic_client, question, tool_choice={"type": "auto", "disable_parallel_tool_use": True})
    assert len([block for block in one.content if block.type == "tool_use"]) == 1
    none = ask(anthropic_client, {"role": "user", "content": "oi"}, tool_choice={"type": "none"})
    assert [block.type for block in none.content] == ["text"]


def test_a_failed_call_and_one_without_content(anthropic_client: anthropic.Anthropic, bedrock: LocalBedrock) -> None:
    """is_error goes on as the status; a result that says nothing is one all the same."""
    call: Any = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    result: Any = {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": True}
    said: Any = {"type": "text", "text": "e agora?"}
    answer = ask(
        anthropic_client,
        {"role": "user", "content": "oi"},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result, said]},
    )
    assert answer.stop_reason == "end_turn"
    blocks = bedrock.requests[-1].body["messages"][-1]["content"]
    assert blocks[0]["toolResult"]["status"] == "error"


def test_a_cut_call_is_never_handed_out(anthropic_client: anthropic.Anthropic, bedrock: LocalBedrock) -> None:
    """What was cut by max_tokens is no call; the answer says why it ended."""
    bedrock.script(tool_use("weather", {"town": "Santos"}, cut=True))
    answer = ask(anthropic_client, {"role": "user", "content": "oi"})
    assert answer.stop_reason == "max_tokens"
    assert "tool_use" not in [block.type for block in answer.content]


def test_what_changes_nothing_is_named(server: RomServer) -> None:
    """In a header and under `rom`, also fields of betas that nobody here knows; without a beta those are refused."""
    body = {
        "model": MODEL,
        "max_tokens": 10,
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "oi", "cache_control": {"type": "ephemeral"}}]}
        ],
        "tools": [LOOK],
        "top_k": 5,
        "context_management": {"edits": []},
        "to_come": {"x": 1},
    }
    headers = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
    url = f"{server.url}/v1/messages"
    answer = requests.post(url, json=body, headers=headers | {"anthropic-beta": "to-come-2027"}, timeout=60)
    named = ["to_come", "context_management", "top_k", "messages.content.cache_control", "tools.cache_control"]
    assert answer.json()["rom"]["ignored"] == named
    assert answer.headers["x-rom-ignored"] == ", ".join(named)
    refused = requests.post(url, json=body, headers=headers, timeout=60)
    assert refused.status_code == 400
    assert refused.json()["rom"]["param"] == "to_come"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools.0"),
        ({"tools": [LOOK, LOOK]}, "tools.1.name"),
        ({"tool_choice": {"type": "tool", "name": "gone"}, "tools": [LOOK]}, "tool_choice.name"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"mcp_servers": [{"url": "https://x.example"}]}, "mcp_servers"),
        ({"inference_geo": "us"}, "inference_geo"),
        (
            {"messages": [{"role": "user", "content": [{"type": "document", "source": {}}]}]},
            "messages.0.content.0.source",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_use", "id": "a", "name": "look", "input": {}}]}]},
            "messages.0.content.0.type",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "tool_result", "tool_use_id": "a", "content": [{"type": "image"}]}],
                    }
                ]
            },
            "messages.0.content.0.content.0.source",
        ),
    ],
)
def test_what_would_change_the_meaning_is_refused_by_name(
    server: RomServer, change: dict[str, Any], param: str
) -> None:
    """400 with the field and the reason."""
    body = {"model": MODEL, "max_tokens": 10, "messages": [{"role": "user", "content": "oi"}]} | change
    answer = requests.post(f"{server.url}/v1/messages", json=body, headers={"x-api-key": KEY}, timeout=60)
    assert answer.status_code == 400
    assert answer.json()["rom"]["param"].startswith(param)


@pytest.mark.parametrize("stream", [False, True])
def test_signed_thinking_goes_back_as_it_came(
    anthropic_client: anthropic.Anthropic, bedrock: LocalBedrock, stream: bool
) -> None:
    """Asked for, it is shown with its signature, and sent back with the result of the tool it stands before."""
    question: Any = {"role": "user", "content": f"[[reasoning]] {QUESTION['content']}"}
    options: Any = {"model": NEWEST, "thinking": {"type": "adaptive", "display": "summarized"}}
    if stream:
        given: Any = {"max_tokens": 2000, "messages": [question], "tools": [WEATHER, LOOK], **options}
        with anthropic_client.messages.stream(**given) as events:
            asked: Any = events.get_final_message()
    else:
        asked = ask(anthropic_client, question, **options)
    thought = asked.content[0]
    assert thought.type == "thinking"
    assert thought.signature
    signed = bedrock.requests[-1]
    assert signed.body["additionalModelRequestFields"]["thinking"]["type"] == "adaptive"
    result: Any = {"type": "tool_result", "tool_use_id": asked.content[-1].id, "content": "25 graus"}
    said = [block.to_dict() for block in asked.content]
    ask(
        anthropic_client,
        question,
        {"role": "assistant", "content": said},
        {"role": "user", "content": [result]},
        **options,
    )
    back = bedrock.requests[-1].body["messages"][1]["content"][0]["reasoningContent"]["reasoningText"]
    assert (back["text"], back["signature"]) == (thought.thinking, thought.signature)


def test_thinking_that_nobody_asked_for_is_not_shown(server: RomServer, anthropic_client: anthropic.Anthropic) -> None:
    """The stream says that the model is at work, by pings, and shows no block of it."""
    question: Any = {"role": "user", "content": "[[reasoning]] oi"}
    answer = ask(anthropic_client, question, model=NEWEST)
    assert [block.type for block in answer.content] == ["text"]
    body = {"model": NEWEST, "max_tokens": 100, "messages": [question], "stream": True}
    raw = requests.post(f"{server.url}/v1/messages", json=body, headers={"x-api-key": KEY}, timeout=60).text
    kinds = [json.loads(line[6:])["type"] for line in raw.split("\n") if line.startswith("data: ")]
    assert kinds[:3] == ["message_start", "ping", "ping"]
    assert '"thinking"' not in raw


@pytest.mark.parametrize("model", [MODEL, NEWEST])
def test_an_answer_that_satisfies_a_schema(
    anthropic_client: anthropic.Anthropic, bedrock: LocalBedrock, model: str
) -> None:
    """output_config.format, as the official client has it: the text is JSON of that form."""
    schema = {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}
    asked: Any = {"format": {"type": "json_schema", "schema": schema}, "effort": "low"}
    answer = ask(anthropic_client, {"role": "user", "content": "Onde?"}, model=model, tools=[], output_config=asked)
    assert isinstance(json.loads(answer.content[0].text)["town"], str)
    assert answer.stop_reason == "end_turn"
    sent = bedrock.requests[-1].body.get("outputConfig", {})
    assert sent.get("effort") == ("low" if model == NEWEST else None)


def test_a_schema_that_cannot_be_used_is_refused_by_its_field(server: RomServer) -> None:
    """With the path that the client has written."""
    asked = {"format": {"type": "json_schema", "schema": {"$ref": "https://example.org/x"}}}
    body = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "oi"}], "output_config": asked}
    answer = requests.post(f"{server.url}/v1/messages", json=body, headers={"x-api-key": KEY}, timeout=60)
    assert (answer.status_code, answer.json()["rom"]["param"]) == (400, "output_config.format.schema")
