"""`rom load` end to end: Locust's users, a server of its own, a verdict and a report; and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from e2e.serving import ROOT, serving, until

from local_bedrock import LocalBedrock

ENVIRON = {"PATH": os.environ["PATH"], "COLUMNS": "200"}
KEY, SCRAPE = "k" * 24, "m" * 24


def start(*arguments: str, **environ: str) -> subprocess.Popen[str]:
    """Begin `rom load …`."""
    return subprocess.Popen(
        [sys.executable, "-m", "rom_core", "load", *arguments],
        cwd=ROOT,
        env=ENVIRON | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def rom_load(*arguments: str, **environ: str) -> tuple[int, str, str]:
    """Run `rom load …` to its end: exit code, output, complaints."""
    process = start(*arguments, **environ)
    try:
        output, complaint = process.communicate(timeout=200)
    finally:
        process.kill()
        process.wait()
    return process.returncode, output, complaint


def test_a_short_run_with_faults(tmp_path: Path) -> None:
    """30 seconds of ten users: nothing happens that never may, too few turns for a pass, and the report says it all."""
    report = tmp_path / "r.html"
    code, output, complaint = rom_load("--minutes", "0.5", "--faults", "5%", "--report", str(report), "--json")
    result = json.loads(output)
    assert code == 2, (complaint, result["figures"])
    assert result["outcome"] == "inconclusive"
    assert not any(result["never"].values()), result["never"]
    assert {turn["status"] for turn in result["turns"]} >= {"ok"}
    assert {check["name"] for check in result["server"]} >= {"errors", "p95", "memory", "throttled", "refused"}
    assert result["stand_in"] is True
    assert json.loads(report.with_suffix(".json").read_text()) == result
    assert "<svg" in report.read_text()


def test_a_run_that_surely_fails_fails_however_short() -> None:
    """Nine in ten of the requests fail, four times in a row: exit 1."""
    code, output, complaint = rom_load("--minutes", "0.4", "--faults", "0.97", "--json", MAX_MODEL_REQUESTS="1")
    result = json.loads(output)
    assert (code, result["outcome"]) == (1, "fail"), (complaint, result["figures"])
    assert not any(result["never"].values()), result["never"]


def test_an_interruption_keeps_what_was_collected(bedrock: LocalBedrock, tmp_path: Path) -> None:
    """Ctrl-C in the middle: a report on the turns so far, exit 2."""
    report = tmp_path / "r.html"
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url, API_KEYS=f"ana={KEY}", METRICS_TOKEN=SCRAPE) as server:
        process = start("--report", str(report), "--url", server.url, ROM_API_KEY=KEY, METRICS_TOKEN=SCRAPE)
        try:
            assert until(lambda: len(server.events("turn.finished")) >= 5, 60)
            process.send_signal(signal.SIGINT)
            output, complaint = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
    assert process.returncode == 2, output + complaint
    assert "interrupted after" in output
    assert len(json.loads(report.with_suffix(".json").read_text())["turns"]) >= 3


def test_what_is_refused_is_a_sentence(bedrock: LocalBedrock) -> None:
    """Another machine, nobody there, no ROM Agent, a refused key or token: exit 2, and no turn is played."""
    bedrock.reset()
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url, API_KEYS=f"ana={KEY}", METRICS_TOKEN=SCRAPE) as server:
        refusals: list[tuple[str, dict[str, str], str]] = [
            ("https://example.com", {}, "no load is sent there without --yes-this-costs"),
            ("http://127.0.0.1:9", {}, "no figures to judge by"),
            (bedrock.url, {}, "no figures to judge by"),
            (server.url, {}, "METRICS_TOKEN"),
            (server.url, {"METRICS_TOKEN": SCRAPE, "ROM_API_KEY": "x" * 24}, "refuses the key in ROM_API_KEY"),
        ]
        for url, environ, sentence in refusals:
            code, output, complaint = rom_load("--url", url, "--minutes", "0.1", **environ)
            assert (code, output, sentence in complaint) == (2, "", True), complaint
    assert not bedrock.requests


def test_the_ceiling_of_cost_stops_the_run(bedrock: LocalBedrock) -> None:
    """As soon as the server has counted that much: a sentence, exit 2."""
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url) as server:
        code, output, complaint = rom_load("--url", server.url, "--yes-this-costs", "0.0001")
    assert code == 2, output + complaint
    assert "the ceiling of 0.0001 USD was reached" in output


def test_a_real_model_on_this_machine_is_refused(bedrock: LocalBedrock, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not say that a stand-in answers costs money: one short question is asked, and no more."""
    monkeypatch.setattr("local_bedrock.wire.STAND_IN_HEADER", "x-nothing")
    bedrock.reset()
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url) as server:
        code, _, complaint = rom_load("--url", server.url, "--minutes", "0.1")
    assert (code, "a real model answers" in complaint) == (2, True), complaint
    assert len(bedrock.requests) == 1


def test_only_a_server_of_its_own_is_disturbed() -> None:
    """--chaos with --url is a wrong call."""
    code, _, complaint = rom_load("--chaos", "--url", "http://127.0.0.1:9")
    assert (code, "--chaos is for a server that it starts itself" in complaint) == (2, True), complaint
