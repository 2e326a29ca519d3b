"""Guardrails over real sockets: a loop that would never end ends with 200, a reason and an answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from e2e.serving import RomServer, serving

from local_bedrock import LocalBedrock
from rom_core.settings.texts import CLOSING_INSTRUCTION, CUT_SHORT

SERVER_SETTINGS: dict[str, Any] = {}
FOREVER = "[[tools=99]] [[tool=numero_processo]]"


def test_a_loop_without_end_is_stopped_at_the_hard_limit(server: RomServer, bedrock: LocalBedrock) -> None:
    """25 iterations, the 25th without its tools, one closing request that Bedrock accepts; 200, degraded; log, metrics.

    The local Bedrock asks for tools again when it may not have them, so the configured text is the answer.
    """
    seen = len(bedrock.requests)
    response = server.chat(FOREVER + ' [[input={"numero": "$n"}]] conte')
    answer = response.json()
    assert response.status_code == 200, answer
    assert (answer["stop_reason"], answer["degraded"]) == ("guardrail_hard_limit", True)
    assert len(answer["tool_calls"]) == 24
    assert answer["reply"].strip()
    assert len(bedrock.requests) - seen == 26
    closing = bedrock.requests[-1].body
    assert closing["toolConfig"]
    (open_request,) = [block["toolUse"] for block in closing["messages"][-2]["content"] if "toolUse" in block]
    (block,) = closing["messages"][-1]["content"]
    assert block["toolResult"]["toolUseId"] == open_request["toolUseId"]
    assert (block["toolResult"]["status"], block["toolResult"]["content"]) == ("error", [{"text": CLOSING_INSTRUCTION}])
    assert "[Aviso]" in json.dumps(bedrock.requests[-2].body["messages"][-1], ensure_ascii=False)
    (tripped,) = server.events("guardrail.tripped")
    assert tripped["reason"] == "guardrail_hard_limit"
    assert len(tripped["tools"]) == 25
    assert '"numero":' not in json.dumps(tripped)
    assert [line["iterations"] for line in server.events("guardrail.warned")] == [12]
    counted = server.get("/metrics").text.splitlines()
    assert 'rom_guardrail_trips_total{reason="guardrail_hard_limit"} 1.0' in counted
    assert "rom_guardrail_warnings_total 1.0" in counted


@pytest.mark.parametrize("streamed", [False, True])
def test_repetition_ends_in_the_same_way_streamed_or_not(server: RomServer, streamed: bool) -> None:
    """The same question to the same tool three times: two runs, then the end, with `done` in a stream."""
    message = FOREVER + ' [[input={"numero": "1"}]] conte'
    if streamed:
        stream = server.stream(message)
        *_, (name, answer) = stream.events()
        stream.close()
        assert name == "done"
    else:
        answer = server.chat(message).json()
    assert (answer["stop_reason"], answer["degraded"], len(answer["tool_calls"])) == ("guardrail_repetition", True, 2)
    assert answer["reply"].strip()


PARALLEL = '[[tools=9]] [[tool=numero_processo]] [[parallel=3]] [[input={"numero": "1"}]] conte'
NUMBERED = '[[tools=9]] [[tool=numero_processo]] [[input={"numero": "$n"}]] conte'
# A tool that does not exist is not declared repeatable: by its name alone it is the same, whatever the input.
NOT_REPEATABLE = '[[tools=9]] [[tool=outra]] [[input={"numero": "$n"}]] conte'
CYCLE = '[[tools=9]] [[tool=numero_processo,prazo_processual]] [[input={"numero": "1"}]] conte'


@pytest.mark.parametrize(
    ("settings", "message", "reason", "tools"),
    [
        ({}, PARALLEL, "guardrail_repetition", 6),
        ({}, NOT_REPEATABLE, "guardrail_repetition", 2),
        ({"GUARDRAILS_REPETITION_MATCH": "call"}, FOREVER + ' [[input={"numero": "1"}]]', "guardrail_repetition", 2),
        ({}, CYCLE, "guardrail_cycle", 3),
        ({"GUARDRAILS_TOKEN_BUDGET": 1, "GUARDRAILS_REPETITION_LIMIT": 0}, NUMBERED, "guardrail_budget", 0),
    ],
)
def test_every_kind_of_loop_is_stopped(
    bedrock: LocalBedrock, settings: dict[str, Any], message: str, reason: str, tools: int
) -> None:
    """Parallel calls, the same name, the same call, a cycle, the budget: 200, the reason, and what ran before."""
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url, **settings) as server:
        response = server.chat(message)
        answer = response.json()
        assert (response.status_code, answer["stop_reason"], answer["degraded"]) == (200, reason, True)
        assert len(answer["tool_calls"]) == tools


@pytest.mark.parametrize("streamed", [False, True])
def test_the_model_closes_a_stopped_turn_by_itself(server: RomServer, streamed: bool) -> None:
    """When it answers the closing request its own words are the answer, and the reason is the guardrail's."""
    message = '[[tools=3]] [[tool=numero_processo]] [[input={"numero": "1"}]] uma pergunta'
    if streamed:
        stream = server.stream(message)
        *_, (name, answer) = stream.events()
        assert name == "done"
        stream.close()
    else:
        answer = server.chat(message).json()
    assert (answer["stop_reason"], answer["degraded"], len(answer["tool_calls"])) == ("guardrail_repetition", True, 2)
    assert answer["reply"].strip()
    assert CUT_SHORT not in answer["reply"]


def test_a_closing_answer_that_breaks_off_in_the_stream_ends_with_done(server: RomServer) -> None:
    """The client keeps what it has, reads the configured text as the next paragraph, and gets no error event."""
    message = (
        '[[tools=3]] [[tool=numero_processo]] [[input={"numero": "1"}]] [[fault=no_stop]] [[after=2]] [[at=4]] conte'
    )
    stream = server.stream(message)
    *_, (name, answer) = stream.events()
    stream.close()
    assert (name, answer["stop_reason"], answer["degraded"]) == ("done", "guardrail_repetition", True)
    before, _, text = answer["reply"].rpartition("\n\n")
    assert before.strip()
    assert text == CUT_SHORT


def test_the_conversation_goes_on_afterwards(server: RomServer) -> None:
    """What was answered is a valid earlier conversation for the next turn."""
    message = FOREVER + ' [[input={"numero": "1"}]] conte'
    answer = server.chat(message).json()
    earlier = [{"role": "user", "content": message}, {"role": "assistant", "content": answer["reply"]}]
    later = server.chat("[[say=certo]] e agora?", messages=earlier)
    assert (later.status_code, later.json()["reply"]) == (200, "certo")
