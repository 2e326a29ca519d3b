"""Tools that the client runs, inside the turn: what is handed out, what is refused, and what is run here."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from guardrail_support import Loop
from resilience import FIRST, SECOND, Bench, fail, run
from support import MODELS, Recorder, Toolkit, asks, make_runtime, make_turn, says, tool

from local_bedrock.rules import check_conversation
from plugins.guardrails import REPETITION
from rom_core.agent.client_tools import NONE_NOW, loop_start
from rom_core.errors import InvalidRequest
from rom_core.events import GuardrailTripped
from rom_core.tools import ToolResult
from rom_core.turn_values import ClientTools, Message, ModelReply

READ = ClientTools(({"toolSpec": {"name": "read", "inputSchema": {"json": {"type": "object"}}}},))
PERSON: Message = {"role": "user", "content": [{"text": "what is in them?"}]}


def called(*uses: tuple[str, dict[str, Any]], first: int = 1) -> Message:
    """An assistant's message that asks for these tools, with ids from t<first> on."""
    return {
        "role": "assistant",
        "content": [
            {"toolUse": {"toolUseId": f"t{number}", "name": name, "input": given}}
            for number, (name, given) in enumerate(uses, first)
        ],
    }


def returned(*texts: str, first: int = 1) -> Message:
    """The results of those."""
    return {
        "role": "user",
        "content": [
            {"toolResult": {"toolUseId": f"t{number}", "content": [{"text": text}]}}
            for number, text in enumerate(texts, first)
        ],
    }


def rounds(*inputs: Any) -> tuple[Message, ...]:
    """A person's message, and one round of `read` for each input."""
    messages = [PERSON]
    for number, given in enumerate(inputs, 1):
        messages += [called(("read", {"path": given}), first=number), returned(f"text {number}", first=number)]
    return tuple(messages)


def test_two_calls_with_one_id_are_told_apart() -> None:
    """A client finds a call by its id: no two have the same, in one answer or in the whole conversation."""
    reply = asks(("read", {"n": 1}), ("read", {"n": 2}), ("read", {"n": 3}))
    same = tuple({"toolUse": {**block["toolUse"], "toolUseId": "t1"}} for block in reply.content if "toolUse" in block)
    runtime, _ = make_runtime(replace(reply, content=same))
    result = runtime.run(make_turn(runtime, client_tools=READ, messages=rounds("a")))
    ids = [use["id"] for use in result.tool_uses]
    assert len({*ids, "t1"}) == 4
    assert [use["input"]["n"] for use in result.tool_uses] == [1, 2, 3]


def test_an_invented_name_can_be_sent_back() -> None:
    """Each route takes back what it has handed out, and the answer says of calls only where there are any."""
    runtime, _ = make_runtime(asks(("read file.now", {}), ("", {})))
    result = runtime.run(make_turn(runtime, client_tools=READ))
    assert [use["name"] for use in result.tool_uses] == ["read_file_now", "tool"]
    runtime, _ = make_runtime(asks(("read", {})), asks(("read", {})))
    result = runtime.run(make_turn(runtime, client_tools=replace(READ, offered=False)))
    assert (result.stop_reason, result.tool_uses) == ("end_turn", ())


def test_an_input_that_is_no_object_is_handed_out_as_one() -> None:
    """Arguments are an object for every client, and what the model sees of them again is the same."""
    use = {"toolUse": {"toolUseId": "t1", "name": "read", "input": ["a"]}}
    runtime, _ = make_runtime(ModelReply((use,), "tool_use", FIRST))
    (handed,) = runtime.run(make_turn(runtime, client_tools=READ)).tool_uses
    assert handed["input"] == {"value": ["a"]}


def test_a_client_that_wants_no_tool_gets_an_answer() -> None:
    """The model is told that no tool may be used, and asked once more; a second request is not handed out either."""
    none = replace(READ, offered=False)
    runtime, transport = make_runtime(asks(("read", {}), text="let me see"), says("from what I know"))
    result = runtime.run(make_turn(runtime, client_tools=none, messages=rounds("a")))
    assert (result.reply, result.stop_reason, result.tool_uses) == ("let me see\n\nfrom what I know", "end_turn", ())
    assert (result.degraded, result.tool_calls) == (False, ())
    (told,) = transport.requests[-1]["messages"][-1]["content"]
    assert told["toolResult"]["content"] == [{"text": NONE_NOW}]
    assert check_conversation(transport.requests[-1]) == []
    runtime, transport = make_runtime(asks(("read", {})), asks(("read", {})))
    result = runtime.run(make_turn(runtime, client_tools=none))
    assert (result.reply, result.tool_uses, len(transport.requests)) == (
        runtime.current.settings.TEXT_EMPTY_REPLY,
        (),
        2,
    )


def test_one_call_of_the_client_s_at_a_time_does_not_hold_up_the_server_s() -> None:
    """Without parallel calls the client gets one; what the server runs, runs."""
    both = replace(READ, parallel=False, with_server=True)
    runtime, _ = make_runtime(
        asks(("look", {}), ("read", {"n": 1}), ("look", {}), ("read", {"n": 2})), plugins={"kit": Toolkit(tool())}
    )
    result = runtime.run(make_turn(runtime, client_tools=both))
    assert [use["input"] for use in result.tool_uses] == [{"n": 1}]
    assert [call["name"] for call in result.tool_calls] == ["look", "look"]
    assert len(result.pending_results) == 2


def test_only_the_first_request_of_a_turn_is_forced() -> None:
    """A model that had to ask for a tool again and again would never answer."""
    forced = replace(READ, choice={"any": {}}, with_server=True)
    runtime, transport = make_runtime(asks(("look", {})), says("done"), plugins={"kit": Toolkit(tool())})
    runtime.run(make_turn(runtime, client_tools=forced))
    assert [request["toolConfig"].get("toolChoice") for request in transport.requests] == [{"any": {}}, None]


def test_a_fallback_that_refuses_to_be_forced_is_not() -> None:
    """The turn goes on, and its answer names what had no effect; asked for itself, that model refuses the request."""
    models = [row | ({"forced_tool_choice": False} if row["alias"] == SECOND else {}) for row in MODELS]
    forced = replace(READ, choice={"tool": {"name": "read"}})
    bench = Bench(fail, says("so"), plugins="fallback", MODELS=models, MODEL_PRIMARY=FIRST, MODEL_FALLBACKS=[SECOND])
    result = bench.runtime.run(make_turn(bench.runtime, client_tools=forced))
    assert [request["toolConfig"].get("toolChoice") for request in bench.transport.requests] == [
        {"tool": {"name": "read"}},
        None,
    ]
    assert (result.model, result.degraded, result.ignored) == (SECOND, True, ("tool_choice",))
    with pytest.raises(InvalidRequest):
        make_turn(bench.runtime, client_tools=forced, model=SECOND)
    assert run(bench, client_tools=READ, model=SECOND) == "ok"


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ({"json": {"a": {1}}}, [{"json": {"a": "{1}"}}]),
        ({"json": {"a": float("nan")}}, [{"text": "{'a': nan}"}]),
        ({"image": {"format": "png", "source": {"bytes": b"PNG"}}}, [{"text": "[image]"}]),
        ({"text": "so"}, [{"text": "so"}]),
    ],
)
def test_what_a_server_s_tool_returned_is_handed_out_as_json(content: dict[str, Any], shown: Any) -> None:
    """`pending_results` can always be written, whatever a plugin's tool returned."""
    kit = Toolkit(tool(run=lambda value, context: ToolResult((content,))))
    runtime, _ = make_runtime(asks(("look", {}), ("read", {})), plugins={"kit": kit})
    (pending,) = runtime.run(make_turn(runtime, client_tools=replace(READ, with_server=True))).pending_results
    assert pending["content"] == shown
    json.dumps(pending, allow_nan=False)


@pytest.mark.parametrize(
    ("messages", "start"),
    [
        ((PERSON,), 1),
        (rounds("a", "b"), 1),
        ((*rounds("a"), {"role": "assistant", "content": [{"text": "so"}]}, PERSON), 5),
        ((PERSON, called(("read", {}))), 1),
        ((returned("orphaned"),), 0),
        ((), 0),
    ],
)
def test_where_the_loop_of_a_conversation_begins(messages: tuple[Message, ...], start: int) -> None:
    """After the last message that is no call and no result."""
    assert loop_start(messages) == start


def test_a_client_s_tool_may_be_asked_again_with_other_input() -> None:
    """Nobody says whether it is repeatable: reading a third file is no loop, reading the same one thrice is."""
    loop = Loop((("read", {"path": "c"}),))
    result = loop.run(client_tools=READ, messages=rounds("a", "b"))
    assert (result.stop_reason, len(result.tool_uses)) == ("tool_use", 1)
    loop = Loop((("read", {"path": "a"}),))
    assert loop.run(client_tools=READ, messages=rounds("a", "a")).stop_reason == REPETITION


def test_the_model_reads_the_notes_of_the_client_s_rounds() -> None:
    """In the client's results, as in the server's; each request of the loop has the same bytes before its end."""
    sent: list[list[Message]] = []
    for given in (("a", "a"), ("a", "a", "b")):
        loop = Loop(MAX_LOOPS_SOFT=5, MAX_LOOPS_HARD=9)
        loop.transport.steps[:] = [says("so")]
        loop.run(client_tools=READ, messages=rounds(*given))
        sent.append(loop.transport.requests[-1]["messages"])
    noted = sent[0][-1]["content"][0]["toolResult"]["content"]
    assert noted[0] == {"text": "text 2"}
    assert noted[1]["text"].startswith("[Aviso] Mais um pedido")
    assert sent[1][: len(sent[0])] == sent[0]
    assert len(sent[1][-1]["content"][0]["toolResult"]["content"]) == 1
    loop = Loop(MAX_LOOPS_SOFT=2, MAX_LOOPS_HARD=3)
    loop.transport.steps[:] = [says("so")]
    loop.run(client_tools=READ, messages=rounds("a", "b"))
    assert "encerra a pesquisa" in str(loop.transport.requests[-1]["messages"][-1])


def test_notes_find_their_results_whatever_a_client_sends() -> None:
    """A missing, doubled or orphaned result, and a round beyond the limit, disturb nobody."""
    messages = [*rounds("a", "a")]
    for tail in ([], [returned("twice", "twice", first=2)], [returned("whose?", first=9)]):
        loop = Loop(MAX_LOOPS_SOFT=5, MAX_LOOPS_HARD=9)
        loop.transport.steps[:] = [says("so")]
        assert loop.run(client_tools=READ, messages=(*messages[:-1], *tail, returned("x", first=7))).reply == "so"
        assert check_conversation(loop.transport.requests[-1]) == []
    loop = Loop(MAX_LOOPS_SOFT=2, MAX_LOOPS_HARD=3)
    loop.transport.steps[:] = [says("so")]
    assert loop.run(client_tools=READ, messages=rounds(*range(40))).reply == "so"


def test_names_that_nobody_offers_are_not_logged() -> None:
    """The event names tools of the server and of the client; what else stands in a history may be anything."""
    loop = Loop((("read", {"path": "a"}),))
    history = (PERSON, called(("Dona Maria's CPF", {})), returned("x"), *rounds("a", "a", "a")[1:])
    loop.run(client_tools=READ, messages=history)
    (tripped,) = loop.events(GuardrailTripped)
    assert tripped.tools[0] == ("unknown",)
    assert {name for step in tripped.tools[1:] for name in step} == {"read"}


def test_observers_hear_of_no_run_of_a_client_s_tool() -> None:
    """So that no name that a client chose becomes a label."""
    recorder = Recorder()
    runtime, _ = make_runtime(asks(("read", {})), plugins={"recorder": recorder})
    runtime.run(make_turn(runtime, client_tools=READ))
    assert not any(name.startswith("tool.") for name in recorder.names)
