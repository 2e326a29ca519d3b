"""A server whose output nobody reads: turns end, the kill switch holds, SIGTERM is obeyed."""

from __future__ import annotations

import json

import requests
from e2e.serving import BARE, serving

from local_bedrock import LocalBedrock

ADMIN = "o" * 40
TURNS = 50


def test_a_reader_that_stops_stops_nothing(bedrock: LocalBedrock) -> None:
    """After the 64 KiB that a pipe takes: chats, their deadline, health, kill switch and the end of the process."""
    options = BARE | {"LOG_LEVEL": "DEBUG", "ADMIN_TOKEN": f"ops={ADMIN}", "TURN_DEADLINE_SECONDS": 10}
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url, **options) as server:
        server.reading.clear()
        assert {server.chat("oi", timeout=60).status_code for _ in range(TURNS)} == {200}
        assert server.chat("[[fault=hang]] conte", timeout=60).json()["code"] == "deadline_exceeded"
        switched = requests.post(
            f"{server.url}/admin/reload-flags",
            json={"BEDROCK_ENABLED": False},
            headers={"Authorization": f"Bearer {ADMIN}"},
            timeout=60,
        )
        assert switched.status_code == 200
        assert server.chat("oi", timeout=60).json()["code"] == "bedrock_disabled"
        assert server.get("/health", timeout=60).status_code == 200
        server.signal()
        assert server.process.wait(60) == 0
        server.wait()
    assert not server.events("server.stopped"), "the pipe was never full"


def test_a_reader_that_pauses_misses_nothing(bedrock: LocalBedrock) -> None:
    """What waited meanwhile is all there afterwards, in its order."""
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url, LOG_LEVEL="DEBUG", **BARE) as server:
        server.reading.clear()
        traces = [server.chat("oi", timeout=60).json()["trace_id"] for _ in range(TURNS)]
        server.reading.set()
        server.events("turn.finished", TURNS)
        server.signal()
        assert server.wait(60) == 0
    assert [line["trace_id"] for line in server.events("turn.finished")] == traces
    assert all(json.loads(line) for line in server.lines)
