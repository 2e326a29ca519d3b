"""Flags of a real server: files read live, overrides that survive kill -9, a damaged store that stops nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import requests
from e2e.serving import ROOT, RomServer, Stream, serving, until

TOKEN = "token-of-the-operator"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the shipped settings in a folder of its own, with a token in .env."""
    shutil.copy(ROOT / "settings.toml", tmp_path)
    (tmp_path / ".env").write_text(f"ADMIN_TOKEN=ops={TOKEN}\nMAX_TOKENS=500\nMAX_LOOPS_ABSOLUTE=50\n")
    return tmp_path


def start(project: Path) -> Any:
    """`rom serve` in that folder; overrides stay in it when the process ends."""
    return serving(project, STATE_DIR="state", MAX_LOOPS_ABSOLUTE="60", LEGAL_TOOLS_ENABLED="false")


def reload(server: RomServer, data: Any = None, **json: Any) -> dict[str, Any]:
    """POST /admin/reload-flags, as a form like curl's or as JSON."""
    answer = requests.post(f"{server.url}/admin/reload-flags", headers=BEARER, data=data, json=json or None, timeout=60)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def flags(server: RomServer) -> dict[str, Any]:
    """GET /admin/flags."""
    body: dict[str, Any] = requests.get(f"{server.url}/admin/flags", headers=BEARER, timeout=60).json()
    return body


def test_files_are_read_live_and_overrides_survive_kill_9(project: Path) -> None:
    """An edited .env counts, a variable of the process outranks it; a kill switch is not undone by a crash.

    A rollback is in force for the next turn; how soon is measured by `python -m bench flags`.
    """
    with start(project) as server:
        values = flags(server)["flags"]
        assert (values["MAX_TOKENS"]["value"], values["MAX_TOKENS"]["source"]) == (500, ".env")
        assert (values["MAX_LOOPS_ABSOLUTE"]["value"], values["MAX_LOOPS_ABSOLUTE"]["source"]) == (60, "environment")
        (project / ".env").write_text(f"ADMIN_TOKEN=ops={TOKEN}\nMAX_TOKENS=400\nMAX_LOOPS_ABSOLUTE=70\n")
        assert reload(server)["changed"] == {"MAX_TOKENS": {"from": 500, "to": 400}}
        before = reload(server, canary={"flags": {"MAX_TOKENS": 300}}, CANARY_PERCENT=50)["version"]
        assert reload(server, {"BEDROCK_ENABLED": "false"})["durable"] is True
        server.process.kill()
        server.wait()
    with start(project) as server:
        assert server.get("/ready").json()["bedrock_enabled"] is False
        refused = server.chat("oi")
        assert (refused.status_code, refused.json()["code"]) == (503, "bedrock_disabled")
        answer = requests.post(
            f"{server.url}/admin/flags/rollback", headers=BEARER, json={"version": before, "reason": "ok"}, timeout=60
        )
        assert answer.json()["changed"] == {"BEDROCK_ENABLED": {"from": False, "to": True}}
        cohorts = {user: server.chat("oi", user=user).headers["X-Rom-Cohort"] for user in map(str, range(20))}
        assert set(cohorts.values()) == {"stable", "canary"}
        drawn = list(cohorts.values()).count("canary")
        user = next(user for user, cohort in cohorts.items() if cohort == "canary")
        stream = Stream(server.url, {"message": "oi", "user": user, "stream": True})
        assert stream.head[1]["x-rom-cohort"] == "canary"
        assert [name for name, _ in stream.events()][-1] == "done"
        canary_line = f'rom_requests_total{{cohort="canary",route="/api/chat",status="ok"}} {drawn + 1}.0'
        assert until(lambda: canary_line in server.get("/metrics").text)
        assert until(lambda: any(line["cohort"] == "canary" for line in server.events("turn.finished")))
        assert server.events("flags.changed")[-1]["by"] == "ops"


def test_a_damaged_store_is_told_and_the_copy_is_used(project: Path) -> None:
    """/ready, the log and a metric say so; the server serves."""
    with start(project) as server:
        reload(server, {"MAX_TOKENS": "123"})
        assert "rom_flags_store_ok 1.0" in server.get("/metrics").text
    (project / "state" / "rom.db").write_bytes(b"damaged" * 1000)
    with start(project) as server:
        assert flags(server)["flags"]["MAX_TOKENS"]["value"] == 123
        ready = server.get("/ready")
        assert (ready.status_code, ready.json()["flags_store"]) == (200, "restored")
        assert "rom_flags_store_ok 0.0" in server.get("/metrics").text
        assert server.events("flags.store_troubled")[0]["level"] == "error"
        assert server.chat("oi").status_code == 200
