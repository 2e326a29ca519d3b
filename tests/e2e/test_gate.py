"""`rom gate` and scripts/ci-remote.sh against a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from e2e.serving import ROOT, RomServer, serving

from local_bedrock import LocalBedrock
from rom_core.concurrency.clock import FakeClock, SystemClock
from rom_core.gate import Outcome, Scrape, Thresholds, Window, watch
from rom_core.ops.gate_sources import scraper

KEY, SCRAPE, ADMIN = "k" * 24, "m" * 24, "a" * 24
AUTH = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture(scope="module")
def server() -> Iterator[RomServer]:
    """A server with a key and a metrics token, that makes one request for each turn."""
    with (
        LocalBedrock() as bedrock,
        serving(
            BEDROCK_ENDPOINT_URL=bedrock.url,
            API_KEYS=f"ana={KEY}",
            METRICS_TOKEN=SCRAPE,
            ADMIN_TOKEN=f"ana={ADMIN}",
            MEMORY_LIMIT_MB="4096",
            RETRY_ENABLED="false",
            FALLBACK_ENABLED="false",
            CIRCUIT_BREAKER_ENABLED="false",
        ) as running,
    ):
        yield running


def test_the_gate_understands_the_real_metrics(server: RomServer) -> None:
    """Sixty good turns pass, judged on what the server really exposes; a further one that fails is one of 61."""
    clock, looks = FakeClock(), iter([[], ["[[say=um]] oi"] * 60, ["[[fault=403]] oi"]])
    scrape = scraper(server.url, SystemClock(), token=SCRAPE)

    def look() -> Scrape:
        for message in next(looks):
            server.chat(message, headers=AUTH)
        return Scrape(clock.monotonic(), scrape().values)

    verdict = watch(
        look,
        clock,
        threading.Event(),
        window=60,
        interval=30,
        thresholds=Thresholds(error_share=0.05),
    )
    assert verdict.outcome is Outcome.PASS, verdict
    assert (verdict.figures.turns["ok"], verdict.figures.turns["error"]) == (60, 1)
    assert not verdict.figures.missing
    assert {check.name: check.cases for check in verdict.checks if check.name in ("errors", "p95", "throttled")} == {
        "errors": 61,
        "p95": 60,
        "throttled": 61,
    }


def test_a_pause_in_counting_is_seen(server: RomServer) -> None:
    """Switched off and on again between two looks: the time is not taken for watched."""
    clock = FakeClock()
    window, scrape = Window(30), scraper(server.url, SystemClock(), token=SCRAPE)

    def look() -> float:
        window.add(Scrape(clock.monotonic(), scrape().values))
        clock.advance(30)
        return window.figures.watched

    assert [look(), look()] == [0, 30]
    for value in ("false", "true"):
        server.chat("[[say=um]] oi", headers=AUTH)
        change = requests.post(
            f"{server.url}/admin/reload-flags",
            data={"METRICS_ENABLED": value},
            headers={"Authorization": f"Bearer {ADMIN}"},
            timeout=60,
        )
        assert change.status_code == 200, change.text
    assert [look(), look()] == [30, 60]


def test_a_restart_in_the_middle_is_counted_and_survived() -> None:
    """Another process at the same address and host: one restart, the same instance, and its totals from zero."""
    clock, window = FakeClock(), Window(30)

    def look(server: RomServer, turns: int) -> None:
        for _ in range(turns):
            assert server.chat("[[say=um]] oi").status_code == 200
        window.add(Scrape(clock.monotonic(), scraper(server.url, SystemClock())().values))
        clock.advance(30)

    with serving() as first:
        look(first, 3)
        look(first, 2)
        port = first.url.rsplit(":", 1)[1]
    with serving(PORT=port) as second:
        assert second.url == first.url
        look(second, 4)
    figures = window.figures
    assert (figures.restarts, figures.mixed, figures.turns["ok"], figures.watched) == (1, False, 6, 60)


def test_a_failing_server_fails_the_gate_early(server: RomServer) -> None:
    """The real command, told to watch for an hour, ends as soon as it is sure; one turn alone cannot be judged."""
    command = [sys.executable, "-m", "rom_core", "gate", "--url", server.url, "--interval", "0.2", "--json"]
    environ = {"PATH": os.environ["PATH"], "METRICS_TOKEN": SCRAPE}
    watching = subprocess.Popen(
        [*command, "--window", "1h"],
        cwd=ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert watching.stderr is not None
        # Its first line: it has looked once, so what comes now is within the window.
        watching.stderr.readline()
        for _ in range(6):
            server.chat("[[fault=403]] oi", headers=AUTH)
        output, _ = watching.communicate(timeout=60)
    finally:
        watching.kill()
        watching.wait()
    assert watching.returncode == 1
    assert json.loads(output)["outcome"] == "fail"
    thin = subprocess.run(
        [*command, "--window", "0.4"], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert thin.returncode == 2
    assert json.loads(thin.stdout)["outcome"] == "inconclusive"


def smoke(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run scripts/ci-remote.sh to its end."""
    return subprocess.run(
        ["bash", str(ROOT / "scripts/ci-remote.sh"), *arguments],
        env={"PATH": os.environ["PATH"], "TIME_LIMIT": "60"} | environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def failed(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """The lines of what does not work, by its name."""
    return {line.split()[1]: line for line in done.stdout.splitlines() if line.startswith("FAILED")}


def test_the_smoke_test_tells_what_works(server: RomServer) -> None:
    """Health, readiness, the four names and a chat; without a key the chat is left out, and said so."""
    done = smoke(server.url + "/", ROM_API_KEY=KEY, METRICS_TOKEN=SCRAPE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split()[:2] for line in done.stdout.splitlines()[:4]] == [
        ["ok", name] for name in ("health", "ready", "metrics", "chat")
    ]
    assert KEY not in done.stdout + done.stderr
    without = smoke(BASE_URL=server.url, METRICS_TOKEN=SCRAPE)
    assert without.returncode == 0
    assert "skipped" in without.stdout


def test_the_smoke_test_tells_what_does_not(server: RomServer) -> None:
    """A wrong key, a closed /metrics, nobody there, no address: exit 1 with the server's reason, or 2."""
    done = smoke(server.url, ROM_API_KEY="wrong")
    assert done.returncode == 1
    lines = {line.split()[1]: line for line in done.stdout.splitlines() if line.startswith(("ok", "FAILED"))}
    assert lines["ready"].startswith("ok")
    assert "HTTP 401" in lines["metrics"]
    assert "HTTP 401" in lines["chat"]
    assert "unauthorized" in lines["chat"]
    nobody = smoke("http://127.0.0.1:9")
    assert nobody.returncode == 1
    assert "no answer: curl: (7)" in nobody.stdout
    assert smoke().returncode == 2
    for wrong in ({"TIME_LIMIT": "soon"}, {"CHAT_TIME_LIMIT": "0"}, {"TRIES": "-1"}, {"TRIES": "0"}):
        done = smoke(server.url, **wrong)
        assert (done.returncode, "whole numbers" in done.stderr) == (2, True), wrong


def test_the_smoke_test_waits_only_so_long_and_follows_nobody() -> None:
    """A server that never answers, and one that would send the key elsewhere."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/health" and not done.is_set():
                done.wait(60)
                return
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:9/")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    done = threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as slow:
        thread = threading.Thread(target=slow.serve_forever, args=(0.01,))
        thread.start()
        try:
            hung = smoke(f"http://127.0.0.1:{slow.server_port}", ROM_API_KEY=KEY, TIME_LIMIT="1")
            done.set()
            redirected = smoke(f"http://127.0.0.1:{slow.server_port}", ROM_API_KEY=KEY)
        finally:
            done.set()
            slow.shutdown()
            thread.join()
    assert hung.returncode == redirected.returncode == 1
    assert "no answer: curl: (28)" in failed(hung)["health"]
    lines = failed(redirected)
    assert all("HTTP 302" in lines[name] for name in ("health", "ready", "metrics", "chat"))
