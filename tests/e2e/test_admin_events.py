"""The operator's routes on a real process and real sockets: live figures, eight consoles, turns, drain, `rom top`."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Self

import pytest
import requests
from e2e.serving import RomServer, serving, until
from pty_support import in_terminal

from local_bedrock.wire import Connection

TOKEN = "token-of-ana-for-the-console"
KEY = "key-of-an-office-0123456789"
MARK = "segredo-do-cliente-4711"
AUTH = {"Authorization": f"Bearer {TOKEN}"}
MAX_READERS = 8
# No thread more than turns and the reserve need.
SERVER_SETTINGS = {
    "ADMIN_TOKEN": f"ana={TOKEN}",
    "API_KEYS": f"office={KEY}",
    "BOTTLENECK_LIMITER_ENABLED": "true",
    "MAX_CONCURRENT_REQUESTS": "2",
    "MAX_QUEUE_SIZE": "1",
    "HTTP_THREADS": "15",
}


class Console:
    """Reads /admin/events until it is closed, over a connection of its own."""

    def __init__(self, server: RomServer) -> None:
        self.answer = requests.get(f"{server.url}/admin/events", headers=AUTH, stream=True, timeout=60)
        self._lines = self.answer.iter_lines()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.answer.close()

    def events(self) -> Iterator[tuple[str, Any]]:
        """As they come, until the server ends them."""
        name = ""
        for line in self._lines:
            if line.startswith(b"event: "):
                name = line[7:].decode()
            elif line.startswith(b"data: "):
                yield name, json.loads(line[6:])

    def next(self, wanted: str) -> Any:
        """The data of the next event of this name."""
        return next(data for name, data in self.events() if name == wanted)


def admin(server: RomServer, method: str, path: str, body: Any = None) -> requests.Response:
    """A request of the administrator's."""
    return requests.request(method, server.url + path, json=body, headers=AUTH, timeout=60)


def ask(server: RomServer, message: str, **body: Any) -> requests.Response:
    """A message of the office's."""
    answer: requests.Response = server.chat(message, headers={"X-Api-Key": KEY}, **body)
    return answer


def begin(server: RomServer, message: str) -> HTTPConnection:
    """A message of the office's, whose answer nobody waits for: closing the connection ends the turn."""
    connection = HTTPConnection(server.url.removeprefix("http://"), timeout=60)
    headers = {"X-Api-Key": KEY, "Content-Type": "application/json"}
    connection.request("POST", "/api/chat", json.dumps({"message": message}), headers)
    return connection


def readers(server: RomServer) -> int:
    """How many read along."""
    plugins = admin(server, "GET", "/admin/status").json()["plugins"]
    return int(next(each["status"]["readers"] for each in plugins if each["name"] == "operator"))


def threads(server: RomServer) -> int:
    """How many threads the process has."""
    return len(list(Path(f"/proc/{server.process.pid}/task").iterdir()))


def test_figures_come_every_second_and_at_once_when_something_changes(server: RomServer) -> None:
    """The hour first; then health, limits and instances; the kill switch shows in the next event."""
    with Console(server) as console:
        events = console.events()
        name, hour = next(events)
        assert (name, hour["seconds"], len({len(column) for n, column in hour.items() if n != "seconds"})) == (
            "hour",
            10,
            1,
        )
        first, second = console.next("figures"), console.next("figures")
        assert 0 < second["at"] - first["at"] < 60
        assert (first["health"]["state"], first["queue"]["max_running"], first["limits"]["waiting"]["alert"]) == (
            "well",
            2,
            1,
        )
        assert [each["self"] for each in first["instances"]] == [True]
        changed = admin(server, "POST", "/admin/reload-flags", {"BEDROCK_ENABLED": False}).json()["version"]
        after = next(data for name, data in console.events() if name == "figures" and data["version"] == changed)
        assert after["bedrock_enabled"] is False
        down = next(data for name, data in console.events() if name == "figures" and data["health"]["state"] == "down")
        assert down["levels"]["bedrock"] == "critical"
        admin(server, "POST", "/admin/reload-flags", {"BEDROCK_ENABLED": True, "OPERATOR_ENABLED": False})
        assert console.next("end") == {"reason": "plugin_disabled"}
        assert admin(server, "GET", "/admin/events").json()["code"] == "plugin_disabled"
        admin(server, "POST", "/admin/reload-flags", {"OPERATOR_ENABLED": True})


def test_eight_consoles_take_nothing_from_anybody(server: RomServer) -> None:
    """With every slot and waiting place taken too, reads and admin calls are answered; a ninth is told to come later.

    Each has a thread of its own as long as it is open; one that leaves makes room.
    """
    # Whoever has left is noticed when the next figures are written.
    assert until(lambda: readers(server) == 0)
    before = threads(server)
    with ExitStack() as stack:
        consoles = [stack.enter_context(Console(server)) for _ in range(MAX_READERS)]
        for console in consoles:
            console.next("figures")
        assert threads(server) >= before + MAX_READERS
        ninth = Console(server).answer
        assert (ninth.status_code, ninth.json()["code"], int(ninth.headers["Retry-After"]) > 0) == (
            503,
            "overloaded",
            True,
        )
        turns = [stack.enter_context(closing(begin(server, f"[[latency=600]] {n}"))) for n in range(3)]
        full = next(d for n, d in consoles[0].events() if n == "figures" and d["queue"]["waiting"] == 1)
        assert (full["queue"]["running"], full["turns"]["admitted"]) == (2, 3)
        for _ in range(5):
            assert server.get("/health").status_code == 200
            assert admin(server, "GET", "/admin/status").json()["active_turns"] == 3
        for turn in turns:
            turn.close()
        assert until(lambda: admin(server, "GET", "/admin/status").json()["active_turns"] == 0)
        assert ask(server, "[[say=oi]] x").json()["reply"] == "oi"
        for console in consoles:
            assert next(d for n, d in console.events() if n == "figures" and d["turns_per_minute"] >= 1)
        most = threads(server)
    assert until(lambda: readers(server) == 0 and threads(server) <= most - MAX_READERS)
    with Console(server) as again:
        assert again.next("figures")["queue"]["waiting"] == 0


def test_a_turn_is_followed_while_it_runs_and_found_afterwards_without_a_word_of_it(
    server: RomServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the request id of the answer, with its attempts and tools; nothing that was said is in turns or figures."""
    seen = threading.Event()
    monkeypatch.setattr(Connection, "wait", lambda *_: seen.wait(60))
    waits = {"message": f"[[tools=1]] [[say={MARK}]] [[latency=2]] {MARK}", "user": MARK, "system": MARK}
    answers: list[Any] = []
    turn = threading.Thread(target=lambda: answers.append(ask(server, **waits)))
    turn.start()
    running: list[Any] = []

    def look() -> list[Any]:
        running[:] = admin(server, "GET", "/admin/turns").json()["running"]
        return running

    assert until(look)
    seen.set()
    assert (running[-1]["status"], running[-1]["api_key"]) == ("running", "office")
    turn.join(60)
    body = answers[0].json()
    for id_ in (body["request_id"], body["trace_id"][:12]):
        (found,) = admin(server, "GET", f"/admin/turns?id={id_}").json()["turns"]
        assert found["id"] == body["id"]
        assert [step["kind"] for step in found["steps"]] == ["attempt", "tool", "attempt"]
        starts = [step["start"] for step in found["steps"]]
        assert starts == sorted(starts)
        assert found["steps"][-1]["start"] + found["steps"][-1]["duration"] <= found["duration"] + 0.01
    with Console(server) as console:
        shown = json.dumps([console.next("figures"), admin(server, "GET", "/admin/turns").json()])
    assert body["reply"] == MARK
    assert MARK not in shown


def test_an_instance_is_drained_and_taken_back_by_a_command(server: RomServer) -> None:
    """New turns are refused, /ready says so, those who look see by whom and why; then all is as before."""
    environ = {"ROM_URL": server.url, "ROM_ADMIN_TOKEN": TOKEN}
    with Console(server) as console:
        console.next("figures")
        with in_terminal("drain", "--reason", "deploy", environ=environ) as run:
            assert (run.wait(), "takes no new turns" in run.shown) == (0, True)
        drained = next(d for n, d in console.events() if n == "figures" and d["draining"])
        assert (drained["drained"]["by"], drained["drained"]["why"]) == ("ana", "deploy")
        assert (server.get("/ready").status_code, ask(server, "x").json()["code"]) == (503, "draining")
        assert [line["why"] for line in server.events("instance.drained")] == ["deploy"]
        assert admin(server, "POST", "/admin/drain", {"draining": False}).status_code == 200
        assert (server.get("/ready").status_code, ask(server, "[[say=oi]] x").status_code) == (200, 200)


def test_rom_top_shows_it_in_a_terminal_of_80_by_24(server: RomServer) -> None:
    """Live, with the state in words; q leaves, and the screen is as it was before."""
    with in_terminal("top", environ={"ROM_URL": server.url, "ROM_ADMIN_TOKEN": TOKEN}) as run:
        shown = run.until("bedrock    on", "q leaves   live")
        assert "turns/min" in shown
        run.type("q")
        assert run.wait() in (0, 1)
        assert b"\x1b[?1049l" in run.raw
        assert b"Traceback" not in run.raw


@pytest.mark.parametrize("leaves", ["stop", "tokens"])
def test_a_console_is_told_why_it_ends(leaves: str, tmp_path: Path) -> None:
    """The server stops, and does not wait for it; or the admin tokens have changed."""
    settings = {"BEDROCK_ENDPOINT_URL": "local"} | ({} if leaves == "tokens" else {"ADMIN_TOKEN": f"ana={TOKEN}"})
    (tmp_path / ".secrets.toml").write_text(f'[default]\nADMIN_TOKEN = "ana={TOKEN}"\n')
    with serving(tmp_path, **settings) as server, Console(server) as console:
        console.next("figures")
        if leaves == "stop":
            server.signal()
        else:
            (tmp_path / ".secrets.toml").write_text(f'[default]\nADMIN_TOKEN = "eva={TOKEN}-of-eva"\n')
            assert admin(server, "POST", "/admin/reload-flags", {}).status_code == 200
        assert console.next("end") == {"reason": {"stop": "stopping", "tokens": "tokens_changed"}[leaves]}
        if leaves == "stop":
            assert server.wait() == 0
