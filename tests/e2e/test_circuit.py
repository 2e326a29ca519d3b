"""A server whose model fails: the circuit as a client, an operator and Prometheus see it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from e2e.serving import RomServer, serving, until
from resilience import served

from local_bedrock import LocalBedrock
from plugins.breaker import Breaker
from rom_core import hookspecs
from rom_core.agent.model_call import Transport
from rom_core.concurrency.clock import FakeClock
from rom_core.plugin.catalogue import Catalogue
from rom_core.turn import Attempt
from rom_core.turn_values import ModelReply

MODEL, OTHER = "anthropic.claude-sonnet-4-5", "anthropic.claude-haiku-4-5"
FAILING = "[[fault=503]] conte"
TOKEN = "open-sesame-0123456789"
AS_ANA = {"Authorization": f"Bearer {TOKEN}"}
PLUGINS = {"RETRY_ENABLED": "true", "RETRY_MAX_RETRIES": 1, "RETRY_BACKOFF_SECONDS": "[0]"}
BREAKER = {"CIRCUIT_BREAKER_ENABLED": "true", "BREAKER_FAILURES": 2, "BREAKER_OPEN_SECONDS": 600}


def circuits(server: RomServer) -> dict[str, Any]:
    """The breaker's part of GET /admin/status."""
    response = requests.get(f"{server.url}/admin/status", headers=AS_ANA, timeout=60)
    parts = {plugin["name"]: plugin.get("status", {}) for plugin in response.json()["plugins"]}
    return dict(parts["breaker"]["models"])


def force(server: RomServer, state: str) -> requests.Response:
    """POST /admin/breaker as curl sends it."""
    headers = AS_ANA | {"X-Rom-Reason": "incident 12"}
    return requests.post(
        f"{server.url}/admin/breaker", data={"model": MODEL, "state": state}, headers=headers, timeout=60
    )


@pytest.mark.parametrize("fallback", [False, True], ids=["alone", "with a fallback"])
def test_an_outage_as_everybody_sees_it(bedrock_local: LocalBedrock, fallback: bool) -> None:
    """Two calls that failed after their retries open the circuit: 503 `circuit_open` with the time until the probe, and
    nothing on the wire any more; status, metrics and log say so. Forced shut, requests go out again."""
    switch = {"FALLBACK_ENABLED": str(fallback).lower(), "MODEL_FALLBACKS": f'["{OTHER}"]'}
    with serving(
        BEDROCK_ENABLED="true",
        BEDROCK_ENDPOINT_URL=bedrock_local.url,
        ADMIN_TOKEN=f"ana={TOKEN}",
        **PLUGINS,
        **BREAKER,
        **switch,
    ) as server:
        for _ in range(2):
            assert server.chat(FAILING).status_code == 502
        sent = len(bedrock_local.requests)
        assert sent == (8 if fallback else 4)
        refused = server.chat("conte")
        assert (refused.status_code, refused.json()["code"]) == (503, "circuit_open")
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        assert refused.headers["x-should-retry"] == "false"
        assert "anthropic" not in refused.text
        assert len(bedrock_local.requests) == sent
        shown = circuits(server)[MODEL]
        assert (shown["state"], shown["forced"], shown["recent_failures"]) == ("open", False, 2)
        assert 500 < shown["seconds_to_probe"] <= 600
        figures = server.get("/metrics").text
        assert f'rom_circuit_state{{model="{MODEL}"}} 2.0' in figures
        assert f'rom_circuit_transitions_total{{model="{MODEL}",to="open"}} 1.0' in figures
        assert force(server, "closed").json()["state"] == "closed"
        answer = server.chat("conte")
        assert (answer.status_code, answer.json()["model"], answer.json()["degraded"]) == (200, MODEL, False)
        assert until(lambda: server.events("circuit.closed"))
        opened, (closed,) = server.events("circuit.opened", 1 + fallback), server.events("circuit.closed")
        told = [(line["model"], line["reason"], line["failures"], line["level"]) for line in opened]
        assert told == [(model, "failures", 2, "error") for model in ((MODEL, OTHER) if fallback else (MODEL,))]
        assert (closed["model"], closed["reason"], closed["by"], closed["why"]) == (
            MODEL,
            "forced",
            "ana",
            "incident 12",
        )
        exhausted = server.events("fallback.exhausted", 3 * fallback)
        stories = [[tuple(attempt) for attempt in line["attempts"]] for line in exhausted]
        failed = [(model, "server_error", "ServiceUnavailableException") for model in (MODEL, MODEL, OTHER, OTHER)]
        unasked = [(model, "refused", "circuit_open") for model in (MODEL, OTHER)]
        assert stories == ([failed, failed, unasked] if fallback else [])


class _Held:
    """A wire on which the requests wait in line until they are let go, once `holding`."""

    def __init__(self, wire: Transport) -> None:
        self._wire = wire
        self.holding = False
        self.arrived = threading.Semaphore(0)
        self.go = threading.Event()

    def converse(self, attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        """Send it, after waiting."""
        if self.holding:
            self.arrived.release()
            assert self.go.wait(60)
        return self._wire.converse(attempt, request)


def test_one_probe_however_many_users_ask_at_once(bedrock_local: LocalBedrock) -> None:
    """Half-open, nine users who come while the probe is out get 503 `circuit_open`; the service sees one
    request, and its answer closes the circuit for everybody."""
    clock, breaker, held = FakeClock(), Breaker(), []

    def hold(wire: Transport) -> Transport:
        held.append(_Held(wire))
        return held[0]

    catalogue = Catalogue.of(hookspecs, breaker=breaker)
    values = {"CIRCUIT_BREAKER_ENABLED": True, "HTTP_THREADS": 22}
    with served(catalogue, bedrock_local.url, clock, around=hold, **values) as server, ThreadPoolExecutor(10) as users:

        def ask(message: str) -> tuple[int, str]:
            answer = requests.post(f"{server.url}/api/chat", json={"message": message}, timeout=60)
            return answer.status_code, answer.json().get("code", "")

        assert [ask(FAILING) for _ in range(5)] == [(502, "upstream_unavailable")] * 5
        assert ask("conte") == (503, "circuit_open")
        clock.advance(30)
        held[0].holding = True
        probe = users.submit(ask, "conte")
        assert held[0].arrived.acquire(timeout=60)
        assert list(users.map(ask, ["conte"] * 9)) == [(503, "circuit_open")] * 9
        assert breaker.status_of(MODEL)["state"] == "half_open"
        held[0].go.set()
        assert probe.result(60) == (200, "")
        assert len(bedrock_local.requests) == 6
        assert list(users.map(ask, ["conte"] * 10)) == [(200, "")] * 10
        assert breaker.status_of(MODEL)["state"] == "closed"
