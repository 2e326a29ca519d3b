"""`rom canary` against a running server: what it sends, prints, and how it fails."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from typing import cast

import pytest
from click.testing import CliRunner, Result
from flag_support import SETTINGS_TOML, Site

from plugins.canary import CanaryPlugin
from plugins.metrics import Metrics
from rom_core.cli import main
from rom_core.cli.admin_client import AdminClient
from rom_core.cli.canary import _print
from rom_core.http.app import create_app
from rom_core.http.server.server import Server
from rom_core.store.address import address_of
from rom_core.store.opening import open_store
from rom_core.store.setup import owners

TOKEN = "token-of-the-operator"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that counts, with its thread for rollouts."""
    site = Site(tmp_path_factory.mktemp("site"), canary=CanaryPlugin(), metrics=Metrics())
    site.environ |= {"ADMIN_TOKEN": f"ana={TOKEN}", "PORT": "0", "CANARY_INTERVAL_SECONDS": "0.1"}
    site.write(SETTINGS_TOML + 'STATE_DIR = "state"\n')
    address = address_of("", "state", site.root)
    site.database = lambda catalogue: open_store(address, owners(catalogue), lambda: 0.0)
    runtime, _ = site.start()
    app = create_app(runtime)
    runtime.start()
    server = Server(app, runtime)
    server.start()
    yield server.url
    server.stop(1)
    runtime.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "rom-canary"]


def rom(url: str, *arguments: str, token: str = TOKEN) -> Result:
    """Run the command."""
    environ = {"ROM_URL": url, "ROM_ADMIN_TOKEN": token, "COLUMNS": "200"}
    return CliRunner().invoke(main, ["canary", *arguments], env=environ)


def test_flags_that_wait_for_a_second_person_are_said_to_wait(url: str) -> None:
    """With what the other one types, and what comes after that."""
    asked = rom(url, "start", "SYSTEM_PROMPT=You obey.", "--reason", "try")
    assert asked.exit_code == 0, asked.output
    assert re.search(
        r"nothing is started yet: .*`rom flags approve p\d+`; then give the same command again", asked.stdout
    )


def test_every_decision_has_its_command(url: str) -> None:
    """Each says where the rollout stands then; status adds who did what, as JSON too."""
    assert rom(url, "status").stdout.startswith("no rollout")
    started = rom(url, "start", "MAX_TOKENS=50", "--include", "bia", "--reason", "try")
    assert started.exit_code == 0, started.output
    assert "MAX_TOKENS=50, started by ana: running" in started.stdout
    assert "phase 1 of 3, 10 % of the traffic" in started.stdout
    assert ", held\n" in rom(url, "hold", "--reason", "wait").stdout
    assert ", held\n" not in rom(url, "hold", "--release").stdout
    assert "approval possible: no" in rom(url, "status").stdout
    aborted = rom(url, "abort", "--reason", "enough")
    assert "aborted" in aborted.stdout
    assert "because: enough" in aborted.stdout
    shown = json.loads(rom(url, "status", "--limit", "2", "--json").stdout)
    assert [entry["action"] for entry in shown["trail"]] == ["aborted", "released"]
    assert shown["rollout"]["block"]["include"] == ["bia"]
    assert rom(url, "start", "MAX_TOKENS=60").exit_code == 0
    assert rom(url, "abort").exit_code == 0


class Told:
    """In the place of AdminClient: keeps what is printed."""

    def __init__(self) -> None:
        self.text = ""

    def say(self, text: str, style: str = "") -> None:
        """A line."""
        self.text += f"{text}\n"


@pytest.mark.parametrize(
    ("gate", "status", "says", "silent"),
    [
        ("watching", "running", "7 s of 15 s watched", "since"),
        ("inconclusive", "running", "7 s of 15 s watched", "since"),
        ("pass", "running", "15 s watched, and 7 s since", " of 15 s"),
        ("watching", "completed", "completed", "gate: watching"),
    ],
)
def test_the_seconds_watched_do_not_contradict_the_gate(gate: str, status: str, says: str, silent: str) -> None:
    """Once it has held, the seconds are those of a further window; once the rollout has ended, nothing is watched."""
    rollout = {
        "status": status,
        "by": "ana",
        "percent": 10,
        "phase": 1,
        "phases": [{"percent": 10, "seconds": 15.0}],
        "block": {"flags": {"RETRY_ENABLED": True}},
        "held": False,
        "ended_because": "",
        "gate": gate,
        "approvable": "no",
        "window_seconds": 15.0,
        "watched_seconds": 7.0,
        "current": {},
        "judged": None,
    }
    told = Told()
    trail = [{"at": "2026-01-02T03:04:05.678+00:00", "by": "ana", "action": "a", "details": {"percent": 1}, "why": ""}]
    _print(cast("AdminClient", told), {"rollout": rollout, "durable": True, "trail": trail}, as_json=False)
    assert says in told.text
    assert silent not in told.text
    assert "2026-01-02T03:04:05Z" in told.text


def test_why_it_cannot_be_approved_is_said() -> None:
    """Beside the answer; a server of an earlier release does not say it."""
    rollout = {
        "status": "running",
        "by": "ana",
        "percent": 10,
        "phase": 1,
        "phases": [{"percent": 10, "seconds": 15.0}],
        "block": {"flags": {}},
        "held": False,
        "ended_because": "",
        "gate": "inconclusive",
        "approvable": "no",
        "window_seconds": 15.0,
        "watched_seconds": 7.0,
        "current": {},
        "judged": None,
    }
    for why, line in (({"why_not": "2 of 2 failed"}, "no: 2 of 2 failed"), ({}, "no")):
        told = Told()
        _print(cast("AdminClient", told), {"rollout": rollout | why, "durable": True, "trail": []}, as_json=False)
        assert told.text.splitlines()[-1] == f"gate: inconclusive; approval possible: {line}"


def test_a_trail_that_cannot_be_read_is_said() -> None:
    """In place of none at all, which would look like a rollout that nobody has touched."""
    told = Told()
    answer = {"rollout": None, "durable": True, "trail": None, "trail_problem": "no disk"}
    _print(cast("AdminClient", told), answer, as_json=False)
    assert told.text.splitlines() == ["no rollout", "the trail cannot be read: no disk"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("start",), 2, "Missing argument"),
        (("start", "MAX_TOKENS"), 2, "is not NAME=VALUE"),
        (("start", "BEDROCK_ENABLED=on"), 1, "canary cannot set it"),
        (("approve",), 1, "canary_conflict"),
    ],
)
def test_what_cannot_be_done_is_explained(url: str, arguments: tuple[str, ...], code: int, says: str) -> None:
    """With the server's own reason."""
    result = rom(url, *arguments)
    assert (result.exit_code, says in result.stderr) == (code, True), result.stderr


def test_a_wrong_token_or_no_server_is_said(url: str) -> None:
    """As `rom flags` does, without a traceback."""
    assert "ROM_ADMIN_TOKEN" in rom(url, "status", token="wrong").stderr
    assert "no server answers" in rom("http://127.0.0.1:9", "status").stderr
