"""`rom canary` against a real server, with phases of a second."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import requests
from e2e.serving import ROOT, RomServer, serving, until

TOKEN = "token-of-ana-for-the-canary"
SETTINGS = {
    "ADMIN_TOKEN": f"ana={TOKEN}",
    "CANARY_PHASES": '["50%:1s", "100%:1s"]',
    "CANARY_INTERVAL_SECONDS": "0.2",
    "CANARY_MAX_ERROR_RATIO": "0.2",
    "MEMORY_LIMIT_MB": "8192",
    "BOTTLENECK_LIMITER_ENABLED": "false",
}


def rom(server: RomServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `rom canary …`."""
    return subprocess.run(
        [sys.executable, "-m", "rom_core", "canary", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "ROM_URL": server.url, "ROM_ADMIN_TOKEN": TOKEN, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def rollout(server: RomServer) -> Any:
    """Where it stands."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return requests.get(f"{server.url}/admin/canary", headers=headers, timeout=60).json()["rollout"]


def chats(server: RomServer, count: int, message: str = "[[say=um]] oi") -> Any:
    """Turns of many users, so that both cohorts have some; where the rollout stands then."""
    for number in range(count):
        server.chat(message, user=f"user-{number}")
    return rollout(server)


def test_a_rollout_on_a_real_server(tmp_path: Path) -> None:
    """Started, passed, approved, restarted in between, and aborted by its gate, which gives the flags back."""
    with serving(STATE_DIR=str(tmp_path), **SETTINGS) as server:
        started = rom(server, "start", "MAX_TOKENS=77", "--reason", "go-live")
        assert started.returncode == 0, started.stderr
        early = rom(server, "approve")
        assert early.returncode == 1
        assert "canary_conflict" in early.stderr
        # 59 turns without a slow one are what a p95 takes; half of the users are in the canary.
        assert until(lambda: chats(server, 60)["gate"] == "pass"), rollout(server)
        beside = rom(server, "status").stdout
        assert re.search(r"check +canary +stable +limit", beside), beside
        for name in ("errors", "p95", "memory", "throttled", "refused", "restarts"):
            assert re.search(rf"^ *{name} +~?[\d.]+\S*(?: s)? +pass ", beside, re.MULTILINE), beside
        # Of the window that follows, in which nobody may have asked yet.
        assert re.search(r"stable: \d+ ok, 0 error, 0 rejected, p95 (-|~?[\d.]+ s)\n", beside), beside
        approved = rom(server, "approve")
        assert approved.returncode == 0, approved.stderr
        assert "100 % of the traffic" in approved.stdout
    with serving(STATE_DIR=str(tmp_path), **SETTINGS) as server:
        assert (rollout(server)["status"], rollout(server)["percent"]) == ("running", 100)
        assert server.chat("oi").headers["X-Rom-Cohort"] == "canary"
        assert until(lambda: chats(server, 10, "[[fault=403]] oi")["status"] == "aborted")
        assert server.chat("[[say=um]] oi").headers["X-Rom-Cohort"] == "stable"
        assert server.events("canary.aborted")[0]["by"] == "gate"
        assert 'rom_canary_changes_total{action="aborted"} 1.0' in server.get("/metrics").text
        status = rom(server, "status")
        assert status.returncode == 0, status.stderr
        for words in ("aborted", "errors: ", "ana  approved at 50 %", "ana  started at 50 %: go-live"):
            assert words in status.stdout
