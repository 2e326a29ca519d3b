"""POST /api/chat on a real server process, over real sockets, against the local Bedrock."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from e2e.serving import BARE, RomServer, serving, until

from local_bedrock import LocalBedrock
from rom_core.runtime import RESERVED_THREADS

SERVER_SETTINGS = BARE | {"SSE_HEARTBEAT_SECONDS": 0.2}
NUMBER = "0001234-08.2023.8.26.0100"
QUESTION = f"O número {NUMBER} é válido?"


def places(number: int) -> dict[str, Any]:
    """Settings with which the core itself admits `number` turns, and nobody queues."""
    return {
        "HTTP_THREADS": RESERVED_THREADS + number,
        "MAX_CONCURRENT_REQUESTS": number,
        "MAX_QUEUE_SIZE": 0,
        "BOTTLENECK_LIMITER_ENABLED": "false",
    }


def test_an_answer_in_which_a_tool_was_really_used(server: RomServer) -> None:
    """The whole answer has the shape of the contract, and the tool's facts in it."""
    response = server.chat(QUESTION, conversation_id="case-1")
    answer = response.json()
    assert response.status_code == 200
    assert list(answer) == [
        "id",
        "conversation_id",
        "reply",
        "stop_reason",
        "model",
        "degraded",
        "iterations",
        "tool_calls",
        "usage",
        "trace_id",
        "request_id",
        "stand_in",
    ]
    assert (answer["conversation_id"], answer["stop_reason"], answer["iterations"]) == ("case-1", "end_turn", 2)
    assert answer["model"] == "anthropic.claude-sonnet-4-5"
    assert [(call["name"], call["status"]) for call in answer["tool_calls"]] == [("numero_processo", "success")]
    assert "TJSP" in answer["reply"]
    assert answer["usage"]["input_tokens"] > 0
    assert response.headers["X-Trace-Id"] == answer["trace_id"]
    assert response.headers["X-Request-Id"] == response.headers["request-id"] == answer["request_id"]


def test_a_streamed_answer_is_the_same_one(server: RomServer) -> None:
    """start, tool_call, tool_result, deltas, done: the deltas together are the reply, done is the whole answer."""
    whole = server.chat(QUESTION).json()
    stream = server.stream(QUESTION)
    events = list(stream.events())
    stream.close()
    names = [name for name, _ in events]
    assert names[:3] == ["start", "tool_call", "tool_result"]
    assert names[-1] == "done"
    assert set(names[3:-1]) == {"delta"}
    assert "".join(data["text"] for name, data in events if name == "delta") == events[-1][1]["reply"]
    assert events[-1][1]["reply"] == whole["reply"]
    assert events[0][1]["id"] == events[-1][1]["id"]
    assert stream.head[1]["content-type"] == "text/event-stream; charset=utf-8"
    assert stream.head[1]["cache-control"] == "no-store"


def test_deltas_arrive_while_the_model_is_still_talking(server: RomServer, bedrock: LocalBedrock) -> None:
    """Each piece is handed on when it comes, not collected."""
    stream = server.stream("[[length=1000]] [[delay=0.1]] conte")
    pieces = (name for name, _ in stream.events() if name == "delta")
    for _ in range(3):
        assert next(pieces)
        assert bedrock.active == 1, "it has said all it had to say"
    stream.close()
    assert until(lambda: bedrock.active == 0)


def test_the_earlier_conversation_goes_to_the_model(server: RomServer, bedrock: LocalBedrock) -> None:
    """`messages` then `message`, in order; `system` is appended to ours."""
    response = server.chat(
        "terceira",
        messages=[{"role": "user", "content": "primeira"}, {"role": "assistant", "content": "segunda"}],
        system="Seja breve.",
        temperature=0.5,
        max_tokens=100,
    )
    assert response.status_code == 200, response.text
    body = bedrock.requests[-1].body
    assert [(m["role"], m["content"][0]["text"]) for m in body["messages"]] == [
        ("user", "primeira"),
        ("assistant", "segunda"),
        ("user", "terceira"),
    ]
    assert len(body["system"]) == 2
    assert body["system"][1] == {"text": "Seja breve."}
    assert body["inferenceConfig"] == {"maxTokens": 100, "temperature": 0.5}


@pytest.mark.parametrize(
    ("directive", "status", "code"),
    [
        ("[[fault=429]]", 503, "upstream_throttled"),
        ("[[fault=500]]", 502, "upstream_unavailable"),
        ("[[fault=400]]", 502, "upstream_refused"),
        ("[[fault=408]]", 504, "upstream_timeout"),
        ("[[fault=reset]]", 502, "upstream_unavailable"),
        ("[[fault=no_stop]] [[after=0]]", 502, "upstream_unavailable"),
        ("[[fault=exception:throttlingException]] [[after=0]]", 503, "upstream_throttled"),
    ],
)
def test_a_failure_before_the_first_event_is_an_http_error(
    server: RomServer, directive: str, status: int, code: str
) -> None:
    """Streamed or not, the status line waits until it is known: problem+json with both ids and the error object."""
    plain = server.chat(f"{directive} conte")
    stream = server.stream(f"{directive} conte")
    assert stream.head[0] == plain.status_code == status
    assert stream.head[1]["content-type"] == plain.headers["content-type"] == "application/problem+json"
    stream.close()
    problem = plain.json()
    assert (problem["code"], problem["status"], problem["error"]["code"]) == (code, status, code)
    assert problem["trace_id"] == plain.headers["X-Trace-Id"]
    assert ("Retry-After" in plain.headers) == (status == 503)


@pytest.mark.parametrize("fault", ["no_stop", "cut", "crc", "exception:internalServerException", "cut_chunked"])
def test_a_failure_after_the_first_event_is_an_error_event(server: RomServer, fault: str) -> None:
    """What was said stays said, and exactly one `error` ends the stream: half an answer never looks whole."""
    stream = server.stream(f"[[fault={fault}]] [[after=3]] [[length=20]] conte")
    events = list(stream.events())
    stream.close()
    names = [name for name, _ in events]
    assert names == ["start", "delta", "delta", "delta", "error"]
    assert events[-1][1]["code"] == "upstream_unavailable"
    assert server.chat(f"[[fault={fault}]] [[after=3]] [[length=20]] conte").status_code == 502


def test_heartbeats_keep_a_silent_stream_open(server: RomServer) -> None:
    """While nothing is said, comments are."""
    stream = server.stream("[[length=2]] [[delay=2]] conte")
    assert [name for name, _ in stream.events()][-1] == "done"
    assert stream.comments >= 1
    stream.close()


def test_the_deadline_holds_when_the_model_says_nothing(bedrock: LocalBedrock) -> None:
    """An upstream that accepts and then is silent, before its headers or in the stream, costs the deadline, no more."""
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url, TURN_DEADLINE_SECONDS=1) as server:
        for fault in ("hang", "hang_stream"):
            began = time.monotonic()
            response = server.chat(f"[[fault={fault}]] conte")
            assert response.status_code == 504
            assert response.json()["code"] == "deadline_exceeded"
            assert time.monotonic() - began > 0.9

        def broke_off() -> bool:
            # On a busy machine the deadline may pass before the first delta: then it is asked again.
            stream = server.stream("[[fault=hang_stream]] [[after=2]] conte")
            try:
                if stream.head[0] != 200:
                    assert stream.head[0] == 504
                    return False
                assert [name for name, _ in stream.events()][-1] == "error"
            finally:
                stream.close()
            return True

        assert until(broke_off)


@pytest.mark.parametrize("streamed", [True, False])
def test_a_client_that_leaves_stops_the_upstream(bedrock: LocalBedrock, streamed: bool) -> None:
    """The place is free again and the model's stream is closed, though nobody told the server goodbye."""
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url, **places(1)) as server:
        aborted = bedrock.aborted
        stream = server.stream("[[length=20000]] [[delay=0.05]] conte", stream=streamed)
        if streamed:
            next(stream.events())
        else:
            assert until(lambda: bedrock.active)
        stream.close()
        assert until(lambda: bedrock.aborted > aborted)
        assert until(lambda: server.chat("oi").status_code == 200), "the only place is not free"


def test_leaving_while_the_model_has_not_answered_frees_the_place(bedrock: LocalBedrock) -> None:
    """Waiting for response headers cannot be interrupted; the place is free all the same."""
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url, **places(1)) as server:
        active = bedrock.active
        stream = server.stream("[[fault=hang]] conte", stream=False)
        assert until(lambda: bedrock.active > active)
        stream.close()
        assert until(lambda: server.chat("oi").status_code == 200)


def test_chats_never_take_the_threads_of_health_and_readiness(bedrock: LocalBedrock) -> None:
    """With every place taken further chats are refused at once, and /health and /ready answer at once."""
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url, **places(2)) as server:
        streams = [server.stream("[[length=20000]] [[delay=0.05]] conte") for _ in range(2)]
        for stream in streams:
            next(stream.events())
        refused = server.chat("oi")
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        statuses: list[int] = []
        threads = [threading.Thread(target=lambda: statuses.append(server.chat("oi").status_code)) for _ in range(40)]
        for thread in threads:
            thread.start()
        assert server.get("/health").json()["status"] == "ok"
        assert server.get("/ready").json()["status"] == "ready"
        for thread in threads:
            thread.join()
        assert statuses == [503] * 40
        for stream in streams:
            stream.close()


def test_ids_are_taken_over_when_they_are_well_formed(server: RomServer) -> None:
    """traceparent and X-Request-Id come back; what is not short and plain is replaced. Errors carry them too."""
    trace = "0af7651916cd43dd8448eb211c80319c"
    given = {"traceparent": f"00-{trace}-b7ad6b7169203331-01", "X-Request-Id": "abc-1"}
    response = server.chat("oi", headers=given)
    assert (response.headers["X-Trace-Id"], response.headers["X-Request-Id"]) == (trace, "abc-1")
    odd = {"traceparent": f"00-{'0' * 32}-b7ad6b7169203331-01", "X-Request-Id": "a b"}
    response = server.chat("oi", headers=odd)
    assert response.headers["X-Trace-Id"] != "0" * 32
    assert response.headers["X-Request-Id"].startswith("req-")


@pytest.mark.parametrize("streamed", [False, True])
def test_the_answer_of_a_stand_in_says_so(server: RomServer, streamed: bool) -> None:
    """`stand_in: true`, whole and streamed: nobody takes the bundled local Bedrock for a model."""
    answer = list(server.stream("oi").events())[-1][1] if streamed else server.chat("oi").json()
    assert answer["stand_in"] is True


@pytest.mark.parametrize("content", ["", None, "  ", []])
@pytest.mark.parametrize("role", ["user", "assistant"])
def test_an_earlier_message_without_text_is_passed_over(
    server: RomServer, bedrock: LocalBedrock, role: str, content: str | list[object] | None
) -> None:
    """The conversation goes on, and the model sees what was said."""
    earlier = [{"role": "user", "content": "antes"}, {"role": role, "content": content}]
    assert server.chat("e agora?", messages=earlier).status_code == 200
    said = [part["text"] for m in bedrock.requests[-1].body["messages"] for part in m["content"]]
    assert said == ["antes", "e agora?"]


def test_the_kill_switch_answers_503(bedrock: LocalBedrock) -> None:
    """BEDROCK_ENABLED=false: no request on the wire, 503 bedrock_disabled."""
    seen = len(bedrock.requests)
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url, BEDROCK_ENABLED="false") as server:
        response = server.chat("oi")
    assert (response.status_code, response.json()["code"]) == (503, "bedrock_disabled")
    assert response.headers["x-should-retry"] == "false"
    assert len(bedrock.requests) == seen


@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_cut_in_the_middle_of_a_tool_use_is_no_empty_reply(server: RomServer, streamed: bool) -> None:
    """max_tokens inside a toolUse: the tool does not run, the person reads why, and the conversation can go on."""
    message = "[[tool=numero_processo]] [[stop=max_tokens]] [[cut_tool_use]] 0001234-08.2023.8.26.0100"
    answer = list(server.stream(message).events())[-1][1] if streamed else server.chat(message).json()
    assert (answer["stop_reason"], answer["tool_calls"], answer["degraded"]) == ("max_tokens", [], True)
    assert answer["reply"].strip()
    earlier = [{"role": "user", "content": "antes"}, {"role": "assistant", "content": answer["reply"]}]
    assert server.chat("e agora?", messages=earlier).status_code == 200
