"""`rom gate` and scripts/ci-remote.sh against a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from e2e.serving import ROOT, RomServer, serving

from rom_core.bedrock.local import LocalBedrock
from rom_core.clock import FakeClock, SystemClock
from rom_core.gate import Outcome, Scrape, Thresholds, scraper, watch

KEY, SCRAPE = "k" * 24, "m" * 24
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
        output, _ = watching.communicate(timeout=30)
    finally:
        watching.kill()
        watching.wait()
    assert watching.returncode == 1
    assert json.loads(output)["outcome"] == "fail"
    thin = subprocess.run(
        [*command, "--window", "0.4"], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=30, check=False
    )
    assert thin.returncode == 2
    assert json.loads(thin.stdout)["outcome"] == "inconclusive"


def smoke(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run scripts/ci-remote.sh to its end."""
    return subprocess.run(
        ["bash", str(ROOT / "scripts/ci-remote.sh"), *arguments],
        env={"PATH": os.environ["PATH"], "TIME_LIMIT": "5"} | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


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
    assert "no answer" in nobody.stdout
    assert smoke().returncode == 2
