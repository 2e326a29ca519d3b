"""Logs and metrics of a real server: figures as clients saw them, one trail to follow, nothing said in it."""

from __future__ import annotations

import json
import re
import socket
import struct
from collections.abc import Iterator

import pytest
import requests
from e2e.serving import RomServer, serving, until
from prometheus_client.parser import text_string_to_metric_families

from local_bedrock import LocalBedrock

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPOKEN = "segredo de justiça"
KEY, ADMIN, SCRAPE = "k" * 24, "a" * 24, "m" * 24
AUTH = {"Authorization": f"Bearer {KEY}"}
CHAT = {"route": "/api/chat", "cohort": "stable"}
MODEL = {"model": "anthropic.claude-sonnet-4-5"}


@pytest.fixture(scope="module")
def server(bedrock: LocalBedrock) -> Iterator[RomServer]:
    """A server that retries at once and logs all it can."""
    with serving(
        BEDROCK_ENDPOINT_URL=bedrock.url,
        LOG_LEVEL="DEBUG",
        RETRY_BACKOFF_SECONDS="[0.01, 0.01, 0.01]",
        RETRY_ENABLED="true",
        FALLBACK_ENABLED="false",
        CIRCUIT_BREAKER_ENABLED="false",
        API_KEYS=f"ana={KEY}",
        ADMIN_TOKEN=f"ops={ADMIN}",
    ) as running:
        yield running


Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(server: RomServer) -> Samples:
    """Every sample of /metrics by name and labels."""
    text = server.get("/metrics").text
    families = text_string_to_metric_families(text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def grown(before: Samples, after: Samples, name: str, **labels: str) -> float:
    """By how much all samples of a name with these labels grew together."""

    def total(samples: Samples) -> float:
        return sum(value for (n, of), value in samples.items() if n == name and labels.items() <= dict(of).items())

    return total(after) - total(before)


def test_counters_agree_exactly_with_what_clients_saw(server: RomServer, bedrock: LocalBedrock) -> None:
    """Whole, streamed, retried, failed, invalid and cancelled turns: each once, tokens as the answers state them."""
    before = scrape(server)
    bedrock.reset()
    answers = [server.chat("[[say=um]] oi", headers=AUTH).json() for _ in range(3)]
    answers.append(server.chat("0001234-08.2023.8.26.0100 é válido?", headers=AUTH).json())
    answers.append(server.chat("[[fault=429]] [[times=2]] conte", headers=AUTH).json())
    assert server.chat("[[fault=403]] conte", headers=AUTH).status_code == 502
    assert server.chat(" ", headers=AUTH).status_code == 422
    assert server.chat("oi").status_code == 401
    streamed = requests.post(
        f"{server.url}/api/chat", json={"message": "[[say=dois]] oi", "stream": True}, headers=AUTH, timeout=60
    )
    events = [json.loads(line[6:]) for line in streamed.text.splitlines() if line.startswith("data: ")]
    answers.append(events[-1])
    leaves = requests.post(
        f"{server.url}/api/chat",
        json={"message": "[[length=500]] [[delay=0.05]] conte", "stream": True},
        headers=AUTH,
        timeout=60,
        stream=True,
    )
    next(leaves.iter_content(10))
    leaves.close()
    after = before

    def counted(name: str, **labels: str) -> float:
        return grown(before, after, name, **labels)

    def late() -> tuple[float, ...]:
        """What the thread of the turn that was left counts once it has noticed, by a scrape of now."""
        nonlocal after
        after = scrape(server)
        return (
            counted("rom_requests_total", **CHAT, status="cancelled"),
            counted("rom_requests_duration_seconds_count", **CHAT),
            counted("rom_model_attempts_total", **MODEL, outcome="cancelled"),
            counted("rom_bedrock_usage_unknown_total"),
            counted("rom_turn_iterations_count"),
            counted("rom_overhead_seconds_count"),
            after[("rom_active_requests", frozenset())],
        )

    until(lambda: late() == (1, 10, 1, 1, 8, 8, 0))
    assert counted("rom_requests_total", **CHAT, status="cancelled") == 1
    assert counted("rom_requests_total", **CHAT, status="ok") == len(answers) == 6
    assert counted("rom_requests_total", **CHAT, status="error") == 1
    assert counted("rom_requests_total", **CHAT, status="client_error") == 2
    assert counted("rom_requests_total", **CHAT) == counted("rom_requests_duration_seconds_count", **CHAT) == 10
    # One request more for the tool, two for the retries, one each for the refused and the cancelled turn.
    assert counted("rom_model_attempts_total") == len(bedrock.requests) == 6 + 1 + 2 + 2
    outcomes = {
        outcome: counted("rom_model_attempts_total", **MODEL, outcome=outcome) for outcome in ("ok", "throttled")
    }
    assert outcomes == {"ok": 7, "throttled": 2}
    assert counted("rom_model_attempts_total", **MODEL, outcome="cancelled") == 1
    assert counted("rom_retries_total", **MODEL, outcome="throttled") == 2
    for direction in ("input", "output", "cache_read", "cache_write"):
        told = sum(answer["usage"][f"{direction}_tokens"] for answer in answers)
        assert counted("rom_bedrock_tokens_total", **MODEL, direction=direction) == told
    assert counted("rom_bedrock_usage_unknown_total") == 1
    assert counted("rom_tool_calls_total", tool="numero_processo", outcome="success") == 1
    assert counted("rom_turn_iterations_count") == counted("rom_overhead_seconds_count") == 8
    assert counted("rom_observer_errors_total") == 0
    assert after[("rom_active_requests", frozenset())] == 0


def test_who_leaves_with_the_whole_answer_was_answered(server: RomServer) -> None:
    """A connection reset right after the last byte changes neither the turn's line nor the request's."""
    host, port = server.url.removeprefix("http://").split(":")
    body = json.dumps({"message": "[[say=ok]] oi", "stream": True}).encode()
    head = f"POST /api/chat HTTP/1.1\r\nHost: rom\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"
    ids = [f"leaves-{number}" for number in range(10)]
    for name in ids:
        with socket.create_connection((host, int(port)), timeout=60) as client:
            client.sendall(f"{head}X-Request-Id: {name}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = b""
            while b"event: done" not in answer:
                piece = client.recv(1 << 16)
                assert piece
                answer += piece
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def statuses(event: str) -> list[str]:
        return [line["status"] for line in server.events(event) if line["request_id"] in ids]

    assert until(lambda: len(statuses("request.finished")) == len(ids))
    assert statuses("request.finished") == statuses("turn.finished") == ["ok"] * len(ids)


def test_one_complaint_can_be_followed_through_the_log(server: RomServer) -> None:
    """The ids of the answer are on every line of its turn, also those of the threads of streams and tools."""
    headers = AUTH | {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "X-Request-Id": "complaint-7"}
    body = {"message": "0001234-08.2023.8.26.0100 é válido?", "stream": True}
    answer = requests.post(f"{server.url}/api/chat", json=body, headers=headers, timeout=60)
    assert (answer.headers["X-Trace-Id"], answer.headers["X-Request-Id"]) == (TRACE, "complaint-7")
    assert until(lambda: any(line.get("request_id") == "complaint-7" for line in server.events("request.finished")))
    trail = [json.loads(line) for line in server.lines if TRACE in line]
    names = [line["event"] for line in trail]
    assert names[-2:] == ["turn.finished", "request.finished"]
    for name in ("turn.started", "attempt.finished", "tool.finished", "iteration.finished"):
        assert name in names
    assert {line["request_id"] for line in trail} == {"complaint-7"}
    closing = trail[-2]
    assert (closing["status"], closing["iterations"], closing["tool_calls"], closing["api_key"]) == ("ok", 2, 1, "ana")
    assert closing["cost_usd"] > 0
    assert 0 < closing["first_delta"] < closing["duration"]


def test_errors_carry_ids_too(server: RomServer) -> None:
    """404, 405 and 415: the headers, the body and the log have the same ones."""
    for method, path, status in (("GET", "/none", 404), ("PUT", "/api/chat", 405), ("POST", "/api/chat", 415)):
        headers = AUTH | {"X-Request-Id": f"e-{status}", "Content-Type": "text/plain"}
        answer = requests.request(method, server.url + path, data="x", headers=headers, timeout=60)
        assert answer.status_code == status
        assert answer.headers["X-Request-Id"] == answer.headers["request-id"] == answer.json()["request_id"]
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Trace-Id"])
        assert until(lambda n=status: [x for x in server.events("request.finished") if x["request_id"] == f"e-{n}"])  # type: ignore[misc]


def test_what_is_said_and_what_is_secret_is_never_logged(server: RomServer) -> None:
    """Every line is one JSON object; at DEBUG too none holds a message, a tool's input, an answer, a key or a token."""
    for message in (f"{SPOKEN} 0001234-08.2023.8.26.0100", f"{SPOKEN} [[fault=400]]", f"[[say={SPOKEN}]]"):
        server.chat(message, system=SPOKEN, user=SPOKEN, headers=AUTH)
    server.chat(f'[[tool=numero_processo]] [[input={{"numero": "{SPOKEN}"}}]] x', headers=AUTH)
    server.chat(f"[[tool={SPOKEN.split()[0]}]] x", headers=AUTH)
    requests.post(f"{server.url}/api/chat", data=f'{{"message": "{SPOKEN}"'.encode(), headers=AUTH, timeout=60)
    requests.get(f"{server.url}/none?q={SPOKEN}", headers={"Authorization": f"Bearer {ADMIN}"}, timeout=60)
    assert until(lambda: len(server.events("request.finished")) > 6)
    for line in server.lines:
        parsed = json.loads(line)
        assert {"event", "level", "timestamp", "logger"} <= set(parsed)
        assert not any(word in line for word in (SPOKEN.split()[0], "0001234-08", KEY, ADMIN)), parsed["event"]


def test_a_token_closes_metrics_and_the_kill_switch_leaves_its_trace() -> None:
    """METRICS_TOKEN is asked for; the switch shows as a figure, in the counters and in the log."""
    with serving(METRICS_TOKEN=SCRAPE, BEDROCK_ENABLED="false") as server:
        assert server.chat("oi").status_code == 503
        assert server.get("/metrics").status_code == 401
        text = requests.get(f"{server.url}/metrics", headers={"Authorization": f"Bearer {SCRAPE}"}, timeout=60).text
        assert 'rom_flag_value{name="BEDROCK_ENABLED"} 0.0' in text
        assert 'rom_requests_total{cohort="stable",route="/api/chat",status="error"} 1.0' in text
        assert server.events("request.finished")[0]["code"] == "bedrock_disabled"
