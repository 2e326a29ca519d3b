"""The blocks of a streamed message: what is thought, said and asked for, each in a block that ends before the next."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support import Toolkit, make_runtime, tool

from rom_core.http.routes.messages import MessagesDialect
from rom_core.turn import Turn
from rom_core.turn_values import ChatRequest, ClientTools

SPEC = {"toolSpec": {"name": "look", "inputSchema": {"json": {"type": "object"}}}}
USE = {"id": "t1", "name": "look", "input": {"a": 1}}


def turn_of(*, ours: bool = False, theirs: bool = False, shows: bool = True, **more: Any) -> Turn:
    """A turn with the server's own tools, the client's, or none."""
    kit = {"kit": Toolkit(tool("search", lambda value, context: value))} if ours else {}
    runtime, _ = make_runtime(plugins=kit)
    clients = ClientTools((SPEC,)) if theirs else None
    messages = ({"role": "user", "content": [{"text": "oi"}]},)
    return runtime.turn(ChatRequest(messages, "conv", client_tools=clients, show_thinking=shows, **more))


def written(turn: Turn, *events: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The data of what the dialect makes of these events, without pings."""
    dialect = MessagesDialect()
    raw = b"".join(dialect.event(turn, name, data) for name, data in events).decode()
    data = [json.loads(line[6:]) for line in raw.split("\n") if line.startswith("data: ")]
    return [one for one in data if one["type"] != "ping"]


def told(events: list[dict[str, Any]]) -> list[str]:
    """Each event in a word."""
    names = []
    for event in events:
        inner = event.get("content_block") or event.get("delta") or {}
        names.append(f"{event['type'].removeprefix('content_block_')} {inner.get('type', '')}".strip())
    return names


THOUGHT: list[tuple[str, dict[str, Any]]] = [
    ("thinking", {}),
    ("thinking", {"text": "hm"}),
    ("thinking", {"signature": "s"}),
]


def test_each_block_ends_before_the_next_begins() -> None:
    """Thinking, text and calls have indexes of their own, in their order."""
    done = ("done", turn_of().result("tool_use").as_dict() | {"tool_uses": [USE]})
    events = written(turn_of(theirs=True), *THOUGHT, ("delta", {"text": "a"}), ("delta", {"text": "b"}), done)
    assert told(events) == [
        "start thinking",
        "delta thinking_delta",
        "delta signature_delta",
        "stop",
        "start text",
        "delta text_delta",
        "delta text_delta",
        "stop",
        "start tool_use",
        "delta input_json_delta",
        "stop",
        "message_delta",
        "message_stop",
    ]
    assert [event["index"] for event in events if "index" in event] == [0] * 4 + [1] * 4 + [2] * 3
    assert events[9]["delta"]["partial_json"] == '{"a": 1}'
    assert events[-2]["delta"]["stop_reason"] == "tool_use"


def test_thinking_that_begins_anew_is_another_block() -> None:
    """An attempt failed after it had shown some: its thoughts are not signed by the next one."""
    events = written(turn_of(), ("thinking", {}), ("thinking", {"text": "x"}), *THOUGHT)
    assert told(events)[:4] == ["start thinking", "delta thinking_delta", "stop", "start thinking"]
    assert told(events)[-2:] == ["delta signature_delta", "stop"]


@pytest.mark.parametrize(("ours", "theirs", "signed"), [(False, False, True), (True, True, True), (True, False, False)])
def test_what_the_server_did_in_between_is_not_signed_for(ours: bool, theirs: bool, signed: bool) -> None:
    """The signature holds for a conversation that the client does not have, once the server's tools ran in it."""
    turn = turn_of(ours=ours, theirs=theirs)
    events = written(turn, *THOUGHT, ("thinking", {"redactedContent": b"secret"}), ("delta", {"text": "a"}))
    assert ("delta signature_delta" in told(events)) is signed
    assert ("start redacted_thinking" in told(events)) is signed
    turn.messages = [
        *turn.request.messages,
        {"role": "assistant", "content": [{"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}}]},
    ]
    [thought] = MessagesDialect().whole(turn, turn.result("end_turn"))["content"]
    assert (thought["thinking"], thought["signature"]) == ("hm", "s" if signed else "")


def test_nobody_is_shown_what_nobody_asked_for() -> None:
    """Without `thinking` in the request there are pings and no blocks."""
    assert written(turn_of(shows=False), *THOUGHT) == []


@pytest.mark.parametrize(("stops", "named"), [((), None), (("fim",), "fim"), (("fim", "x"), None)])
def test_the_sequence_that_ended_an_answer(stops: tuple[str, ...], named: str | None) -> None:
    """Where there is no doubt which one it was."""
    turn = turn_of(stop_sequences=stops)
    [last, _] = written(turn, ("done", turn.result("stop_sequence").as_dict()))
    assert (last["delta"]["stop_reason"], last["delta"]["stop_sequence"]) == ("stop_sequence", named)


def test_a_filter_is_a_refusal() -> None:
    """With the details that the API has for it."""
    turn = turn_of()
    [last, _] = written(turn, ("done", turn.result("content_filtered").as_dict()))
    assert last["delta"]["stop_reason"] == "refusal"
    assert last["delta"]["stop_details"]["type"] == "refusal"
