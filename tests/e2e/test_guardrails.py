"""Guardrails over real sockets: a loop that would never end ends with 200, a reason and an answer."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from e2e.serving import RomServer, serving

from rom_core.bedrock.local import LocalBedrock

FOREVER = "[[tools=99]] [[tool=numero_processo]]"


@pytest.fixture(scope="module")
def bedrock() -> Iterator[LocalBedrock]:
    """A local Bedrock in this process, which refuses what Bedrock refuses."""
    with LocalBedrock() as local:
        yield local


@pytest.fixture(scope="module")
def server(bedrock: LocalBedrock) -> Iterator[RomServer]:
    """One server for all tests."""
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url) as running:
        yield running


def test_a_loop_without_end_is_stopped_at_the_hard_limit(server: RomServer, bedrock: LocalBedrock) -> None:
    """25 iterations, the 25th without its tools, one closing request that Bedrock accepts; 200, degraded; one log line.

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
    assert "[Aviso]" in json.dumps(bedrock.requests[-2].body["messages"][-1], ensure_ascii=False)
    (tripped,) = server.events("guardrail.tripped")
    assert tripped["reason"] == "guardrail_hard_limit"
    assert len(tripped["tools"]) == 25
    assert '"numero":' not in json.dumps(tripped)
    assert [line["iterations"] for line in server.events("guardrail.warned")] == [12]


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


def test_the_conversation_goes_on_afterwards(server: RomServer) -> None:
    """What was answered is a valid earlier conversation for the next turn."""
    message = FOREVER + ' [[input={"numero": "1"}]] conte'
    answer = server.chat(message).json()
    earlier = [{"role": "user", "content": message}, {"role": "assistant", "content": answer["reply"]}]
    later = server.chat("[[say=certo]] e agora?", messages=earlier)
    assert (later.status_code, later.json()["reply"]) == (200, "certo")
