"""An operator's drill: the model service is stopped under a team of six, and comes back."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import requests
from e2e.serving import ROOT, RomServer, serving, until

TOKEN = "token-of-ana-for-the-drill"
TEAM = 6
ENVIRON = {"PATH": os.environ["PATH"], "ROM_ADMIN_TOKEN": TOKEN}


class Service:
    """The local Bedrock as a process of its own, on a port that stays the same."""

    def __init__(self) -> None:
        self.port = 0
        self._process: subprocess.Popen[str] | None = None
        self.start()

    def start(self) -> None:
        """Serve."""
        command = [sys.executable, "-m", "rom_core", "bedrock-local", "--port", str(self.port)]
        self._process = subprocess.Popen(command, cwd=ROOT, env=ENVIRON, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        found = re.search(r"answers at http://[^:]+:(\d+)", self._process.stdout.readline())
        assert found, "the local Bedrock did not start"
        self.port = int(found[1])

    def stop(self) -> None:
        """Stop serving, at once."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@contextmanager
def team(server: RomServer) -> Iterator[None]:
    """Six people who ask one question after the other, each a second after the last answer."""
    left = threading.Event()

    def ask(number: int) -> None:
        while not left.wait(1):
            with suppress(requests.RequestException):
                server.chat("[[say=um]] oi", user=f"user-{number}", timeout=120)

    people = [threading.Thread(target=ask, args=(number,)) for number in range(TEAM)]
    for person in people:
        person.start()
    try:
        yield
    finally:
        left.set()
        for person in people:
            person.join(60)


def rom(server: RomServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command against the server, as an operator whose output is piped."""
    return subprocess.run(
        [sys.executable, "-m", "rom_core", *arguments],
        cwd=ROOT,
        env=ENVIRON | {"ROM_URL": server.url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def status(server: RomServer) -> Any:
    """GET /admin/status."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return requests.get(f"{server.url}/admin/status", headers=headers, timeout=60).json()


def approvable(server: RomServer) -> Any:
    """Whether the rollout may be approved, as GET /admin/canary says."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return requests.get(f"{server.url}/admin/canary", headers=headers, timeout=60).json()["rollout"]["approvable"]


@pytest.fixture
def service() -> Iterator[Service]:
    """Stopped at the end, if it still runs."""
    started = Service()
    yield started
    started.stop()


@pytest.mark.timeout(600)
def test_the_drill(service: Service) -> None:
    """Within a minute everything says that it is down, and why; once the service is back all is well again."""
    settings = {
        "BEDROCK_ENDPOINT_URL": f"http://127.0.0.1:{service.port}",
        "ADMIN_TOKEN": f"ana={TOKEN}",
        # A window that is over before the outage.
        "CANARY_PHASES": '["50%:2s", "100%:1h"]',
        "CANARY_INTERVAL_SECONDS": "2",
        "MEMORY_LIMIT_MB": "8192",
        "BREAKER_OPEN_SECONDS": "3",
        "MAX_MODEL_REQUESTS": "4",
    }
    with serving(**settings) as server, team(server):
        assert until(lambda: status(server)["health"]["last_minute"]["turns"] >= TEAM, 60)
        good = rom(server, "status")
        assert (good.returncode, good.stdout.split(":")[0]) == (0, "well"), good.stdout
        assert rom(server, "canary", "start", "MAX_TOKENS=77", "--reason", "drill").returncode == 0
        assert until(lambda: approvable(server) in ("yes", "with_reason"), 60)

        service.stop()
        assert until(lambda: status(server)["health"]["state"] == "down", 60), status(server)["health"]
        shown = rom(server, "status")
        assert shown.returncode == 1
        first, *others = shown.stdout.splitlines()
        assert re.match(
            r"down: \d+ of \d+ turns of the last minute failed \(.*(upstream_unavailable|circuit_open)", first
        )
        assert "to do            docs/operate.md#failed-turns" in others
        assert rom(server, "flags", "status").stdout.startswith("down: ")
        assert until(lambda: server.events("health.changed")[-1]["after"] == "down")
        changes = server.events("health.changed")
        assert any("turns of the last minute failed" in why for why in changes[-1]["why"])
        assert until(lambda: any(change["after"] == "critical" for change in server.events("capacity.changed")))
        assert approvable(server) == "no"
        refused = rom(server, "canary", "approve", "--reason", "it will pass")
        assert (refused.returncode, "canary_conflict" in refused.stderr) == (1, True), refused.stderr
        assert "approval possible: with reason" not in rom(server, "canary", "status").stdout
        assert "rom_health_state 2.0" in server.get("/metrics").text

        service.start()
        assert until(lambda: status(server)["health"]["state"] == "well", 240), status(server)["health"]
        assert rom(server, "status").returncode == 0
        assert until(lambda: server.events("health.changed")[-1]["after"] == "well")


def test_watching_a_server_in_a_pipe_is_a_line_a_change(tmp_path: Any) -> None:
    """Each with the time; interrupted it ends with what it saw last, 1 here: somebody pulled the kill switch."""
    with serving(ADMIN_TOKEN=f"ana={TOKEN}", MEMORY_LIMIT_MB="8192") as server:
        out = tmp_path / "out.txt"
        with out.open("w") as file:
            watching = subprocess.Popen(
                [sys.executable, "-m", "rom_core", "status", "--watch"],
                cwd=ROOT,
                env=ENVIRON | {"ROM_URL": server.url},
                stdout=file,
            )
        assert until(lambda: " UTC  well: " in out.read_text())
        assert rom(server, "flags", "set", "BEDROCK_ENABLED=false", "--reason", "drill").returncode == 0
        assert until(lambda: " UTC  down: Bedrock is switched off" in out.read_text())
        watching.send_signal(signal.SIGINT)
        assert watching.wait(60) == 1
        assert len(out.read_text().splitlines()) == 2
