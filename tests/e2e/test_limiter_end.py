"""The limiter at SIGTERM: who waits is refused, who runs is answered, and the last counts can be scraped."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import pytest
import requests
from e2e.limiting import ADMIN, problem_of, waiting
from e2e.serving import serving, until

from local_bedrock import LocalBedrock


def test_sigterm_refuses_who_waits_and_loses_nothing(bedrock: LocalBedrock) -> None:
    """/ready 503, waiting and new turns get `draining`, the running one ends whole and is in the log, exit 0."""
    one: dict[str, Any] = {"MAX_CONCURRENT_REQUESTS": 1, "MAX_QUEUE_SIZE": 2, "ADMIN_TOKEN": ADMIN}
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url, **one) as server:
        running = server.stream("[[length=20]] [[delay=0.5]] conte")
        events = running.events()
        next(events)
        waiters = [server.stream("oi", stream=streamed) for streamed in (True, False)]
        assert waiting(server, 2)
        server.signal()
        for stream in waiters:
            assert (stream.head[0], problem_of(stream)["code"]) == (503, "draining")
            stream.close()
        assert (server.get("/ready").status_code, server.get("/health").status_code) == (503, 200)
        assert server.chat("oi").json()["code"] == "draining"
        assert "rom_requests_total" in server.get("/metrics").text
        assert [name for name, _ in events][-1] == "done"
        assert server.wait(60) == 0
        ends = server.events("turn.finished")
        assert sorted(line.get("code") or "ok" for line in ends) == ["draining", "draining", "ok"]
        assert [line["clean"] for line in server.events("server.stopped")] == [True]


@pytest.mark.parametrize(("scrapes", "linger"), [(True, 300), (False, 0.5)])
def test_the_metrics_of_the_last_turn_can_be_scraped(bedrock: LocalBedrock, scrapes: bool, linger: float) -> None:
    """After the last turn one more scrape is answered, which has it; nobody is waited for longer than agreed."""
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url, SHUTDOWN_LINGER_SECONDS=linger) as server:
        last = 'rom_requests_total{cohort="stable",route="/api/chat",status="ok"}'
        running = server.stream("[[length=8]] [[delay=0.1]] conte")
        events = running.events()
        next(events)
        server.signal()
        assert [name for name, _ in events][-1] == "done"
        if scrapes:
            time.sleep(0.5)  # Longer than a server that does not wait needs for its end.
            answers = [""]

            def ended() -> bool:
                with suppress(requests.RequestException):
                    answers.append(server.get("/metrics").text)
                return server.process.poll() is not None

            assert until(ended)
            assert f"{last} 1.0" in answers[-1]
        assert server.wait(60) == 0
        assert [line["scraped"] for line in server.events("server.stopped")] == [scrapes]
        assert [line["counters"][last] for line in server.events("metrics.final")] == [1.0]


def test_without_metrics_no_scrape_is_waited_for(bedrock: LocalBedrock) -> None:
    """Nobody counts, so nothing could be missed: the end comes at once."""
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url, SHUTDOWN_LINGER_SECONDS=300, METRICS_ENABLED=False) as server:
        assert server.chat("oi").status_code == 200
        server.signal()
        assert server.wait(60) == 0
        assert [line["scraped"] for line in server.events("server.stopped")] == [False]
