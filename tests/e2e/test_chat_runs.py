"""`rom chat` where answers are runs: they outlive the connection, the terminal, and whoever asked."""

from __future__ import annotations

import math
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
import requests
from e2e.serving import RomServer, serving, until
from pty_support import CTRL_C, CTRL_D, ENTER, in_terminal

from local_bedrock import LocalBedrock

WORDS = " ".join(f"palavra{number}" for number in range(150))


class CuttingProxy:
    """Hands connections on to a server, and breaks the first ones after so many bytes of what is answered."""

    def __init__(self, port: int, after: int, cuts: int) -> None:
        """`left` counts how many of the `cuts` are still to come."""
        self._port = port
        self._after = after
        self.left = cuts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """No more."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._port)) as server:
            asking = threading.Thread(target=self._pass, args=(client, server), daemon=True)
            asking.start()
            self._pass(server, client, self._after if self.left else math.inf)
            asking.join(60)

    def _pass(self, source: socket.socket, target: socket.socket, left: float = math.inf) -> None:
        with suppress(OSError):
            while piece := source.recv(256):
                target.sendall(piece)
                left -= len(piece)
                if left <= 0:
                    self.left -= 1
                    break
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def server(bedrock: LocalBedrock) -> Iterator[RomServer]:
    """Everything on, as in development."""
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url, SSE_HEARTBEAT_SECONDS=1) as running:
        yield running


@pytest.fixture(scope="module")
def environ(server: RomServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the command finds around it."""
    return {"ROM_URL": server.url, "HOME": str(tmp_path_factory.mktemp("home"))}


def rom(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a pipe."""
    command = [sys.executable, "-m", "rom_core", "chat", *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)


def states(server: RomServer) -> list[str]:
    """Of all runs, newest first."""
    return [run["state"] for run in requests.get(f"{server.url}/api/runs", timeout=60).json()["runs"]]


def test_a_connection_that_breaks_again_and_again_costs_nothing(server: RomServer, environ: dict[str, str]) -> None:
    """The answer is whole, each word once, in order."""
    proxy = CuttingProxy(int(server.url.rpartition(":")[2]), after=1500, cuts=6)
    done = rom(environ | {"ROM_URL": proxy.url}, f"[[say={WORDS}]][[delay=0.01]]")
    proxy.close()
    assert (done.returncode, done.stdout) == (0, f"{WORDS}\n"), done.stderr
    assert proxy.left == 0


def test_an_answer_in_the_background_is_found_again(server: RomServer, environ: dict[str, str]) -> None:
    """By the id of its run, which shows it from the beginning, and in the conversation that it belongs to."""
    begun = rom(environ, "--background", f"[[say={WORDS}]][[delay=0.01]]")
    assert begun.returncode == 0, begun.stderr
    run_id = begun.stdout.strip()
    assert f"rom chat --run {run_id}" in begun.stderr
    followed = rom(environ, "--run", run_id)
    assert (followed.returncode, followed.stdout) == (0, f"{WORDS}\n"), followed.stderr
    assert rom(environ, "--resume", "[[say=depois]]").stdout == "depois\n"


def test_who_comes_back_sees_it_come_and_may_leave_it(server: RomServer, environ: dict[str, str]) -> None:
    """`--resume` follows what is still written; Ctrl-C leaves it running, and says how to come back."""
    begun = rom(environ, "--background", "[[length=3000]][[delay=0.02]]")
    run_id = begun.stdout.strip()
    with in_terminal("chat", "--resume", environ=environ, rows=50) as run:
        assert until(lambda: "o processo segue" in run.shown), run.shown
        assert "[a resposta parou aqui]" not in run.shown
        assert "a resposta ainda é escrita:" in run.shown
        run.type(CTRL_C)
        assert until(lambda: f"rom chat --run {run_id}" in run.shown), run.shown
        run.at_prompt()
        run.type(CTRL_D)
        assert run.wait() == 0
    assert states(server)[0] == "running"
    requests.post(f"{server.url}/api/runs/{run_id}/cancel", timeout=60)
    assert until(lambda: states(server)[0] == "cancelled")
    gone = rom(environ, "--run", run_id)
    assert (gone.returncode, "[aviso: a resposta parou aqui]" in gone.stderr) == (1, True), gone.stderr


def test_ctrl_c_ends_the_run_and_the_next_question_is_answered(server: RomServer, environ: dict[str, str]) -> None:
    """The run is cancelled; in the same conversation it goes on at once."""
    with in_terminal("chat", environ=environ, rows=50) as run:
        run.at_prompt()
        run.type("[[length=3000]][[delay=0.02]]" + ENTER)
        assert until(lambda: "o processo segue" in run.shown), run.shown
        run.type(CTRL_C)
        assert until(lambda: "[interrompida: o texto acima ficou pela metade]" in run.shown), run.shown
        run.type("[[say=adiante]]" + ENTER)
        assert until(lambda: "\nadiante\n" in run.shown), run.shown
        run.at_prompt()
        run.type(CTRL_D)
        assert run.wait() == 0
    assert states(server)[:2] == ["done", "cancelled"]


def test_a_question_is_answered_beside_long_work(server: RomServer, environ: dict[str, str]) -> None:
    """Although every exhaustive slot is taken: who reads along takes any other."""
    url = f"{server.url}/api"
    body = {"message": "[[length=3000]][[delay=0.05]]", "background": True}
    begun = [requests.post(f"{url}/chat", json=body, timeout=60).json()["run_id"] for _ in range(2)]
    assert until(lambda: states(server)[:2] == ["running", "running"])
    done = rom(environ, "[[say=já]]")
    assert (done.returncode, done.stdout) == (0, "já\n"), done.stderr
    assert states(server)[:3] == ["done", "running", "running"]
    for run_id in begun:
        requests.post(f"{url}/runs/{run_id}/cancel", timeout=60)
    assert rom(environ, "--resume", "[[say=adiante]]").stdout == "adiante\n"
