"""`rom serve`: what it refuses to start with, who may come in, and how it stops."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from e2e.serving import ROOT, serving, until

from local_bedrock import LocalBedrock
from rom_core.settings import texts

KEY, STRONG = "k" * 32, secrets.token_hex(16)
STUBBORN = """
import threading
from rom_core.markers import hookimpl

class Stubborn:
    @hookimpl
    def rom_start(self):
        self.end = threading.Event()
        threading.Thread(target=self.end.wait).start()

    @hookimpl
    def rom_stop(self):
        self.end.set()
"""


def rom(*arguments: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "rom_core", *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "200"} | environ,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_start_that_fails_cleans_up(tmp_path: Path) -> None:
    """What plugins started before the port turned out to be taken is stopped, or the process would never end."""
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    info = tmp_path / "stubborn-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stubborn\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rom.plugins]\nstubborn = stubborn:Stubborn\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = rom("serve", "--port", str(taken.getsockname()[1]), PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "cannot listen" in done.stderr


def test_too_few_descriptors_are_a_sentence_and_no_silent_server() -> None:
    """`ulimit -n 130`: it would start, and never answer anybody; exit code 1, with the number that it needs."""
    command = f"ulimit -n 130; exec {sys.executable} -m rom_core serve --port 0"
    done = subprocess.run(
        ["sh", "-c", command], cwd=ROOT, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "this process may open 130 files and needs 162 (ulimit -n 162)" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"ROM_ENV": "production"}, "API_KEYS"),
        ({"ROM_ENV": "staging"}, "API_KEYS"),
        ({"ROM_ENV": "production", "API_KEYS": STRONG}, "DATA_RESIDENCY"),
        ({"ROM_ENV": "production", "API_KEYS": KEY}, "repeats itself"),
        ({"ROM_ENV": "moon"}, "ROM_ENV"),
        ({"ROM_\u200bENV": "production"}, "cannot be seen"),
        ({"HOST": "0.0.0.0"}, "HOST"),
        ({"MAX_TOKENS": "many"}, "MAX_TOKENS"),
        ({"HTTP_THREADS": "12"}, "HTTP_THREADS"),
        ({"MODEL_PRIMARY": "anthropic.nobody"}, "MODEL_PRIMARY"),
        ({"ROM_ENV": "production", "API_KEYS": STRONG, "HOST": "127.0.0.1", "AWS_REGION": " "}, "AWS_REGION"),
    ],
)
def test_it_refuses_to_start_with_a_readable_reason(environ: dict[str, str], says: str) -> None:
    """A mistake in the settings stops the start with its name, exit code 3, and no traceback."""
    done = rom("serve", "--port", "0", **environ)
    assert done.returncode == 3, done.stdout + done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_port_that_is_taken_is_said() -> None:
    """No traceback for a port that somebody else has."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = rom("serve", "--port", str(taken.getsockname()[1]), ROM_ENV="development")
    assert done.returncode == 1
    assert "cannot listen" in done.stderr
    assert "choose another one with --port or PORT" in done.stderr
    assert "b'" not in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_request_without_a_valid_key_gets_401(bedrock: LocalBedrock) -> None:
    """With API_KEYS set chats need one, in either header; health and readiness do not."""
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url, API_KEYS=f"ana={KEY},bia={'b' * 24}") as server:
        assert server.chat("oi").status_code == 401
        assert server.chat("oi", headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert server.chat("oi", headers={"Authorization": f"Basic {KEY}"}).status_code == 401
        refused = server.chat("oi", headers={"X-Api-Key": "é".encode().decode("latin-1")})
        assert (refused.status_code, refused.json()["error"]["type"]) == (401, "authentication_error")
        assert refused.headers["WWW-Authenticate"] == "Bearer"
        assert server.chat("oi", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
        assert server.chat("oi", headers={"X-Api-Key": "b" * 24}).status_code == 200
        assert server.get("/health").status_code == server.get("/ready").status_code == 200
        assert KEY not in "\n".join(server.lines)


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ({"data": b"{"}, 400, "malformed_request"),
        ({"data": b""}, 400, "malformed_request"),
        ({"data": b"\xff"}, 400, "malformed_request"),
        ({"data": b'{"message": "a", "temperature": NaN}'}, 400, "malformed_request"),
        ({"data": b'{"message": "a", "temperature": 1e999}'}, 400, "malformed_request"),
        ({"data": b'{"message": "a", "message": "b"}'}, 400, "malformed_request"),
        ({"data": b'{"message": "\\ud800"}'}, 400, "malformed_request"),
        ({"data": b'{"message": ' + b"[" * 5000 + b"]" * 5000 + b"}"}, 400, "malformed_request"),
        ({"data": b"x" * (1 << 20 | 1)}, 413, "payload_too_large"),
        ({"data": b"a=b", "headers": {"Content-Type": "text/plain"}}, 415, "unsupported_media_type"),
        ({"json": []}, 422, "invalid_request"),
        ({"json": {}}, 422, "invalid_request"),
        ({"json": {"message": " "}}, 422, "invalid_request"),
        ({"json": {"message": "a", "stream": "yes"}}, 422, "invalid_request"),
        ({"json": {"message": "a", "messages": [{"role": "system", "content": "x"}]}}, 422, "invalid_request"),
        ({"json": {"message": "a", "messages": [{"role": "user", "content": ["x"]}]}}, 422, "invalid_request"),
        ({"json": {"message": "a", "max_tokens": 0}}, 422, "invalid_request"),
        ({"json": {"message": "a", "mesage": "b"}}, 422, "invalid_request"),
        ({"json": {"message": "a", "model": "nobody"}}, 422, "unknown_model"),
    ],
)
def test_bad_input_gets_a_clear_error(shared: Any, sent: dict[str, Any], status: int, code: str) -> None:
    """What cannot be served is refused with its status, code and a reason, as problem+json whatever is accepted."""
    headers = {"Content-Type": "application/json", "Accept": "text/html"} | sent.pop("headers", {})
    response = requests.post(f"{shared.url}/api/chat", headers=headers, timeout=60, **sent)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["x-should-retry"] == "false"
    assert response.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/nowhere", 404, "not_found"), ("GET", "/api/chat", 405, "method_not_allowed")],
)
def test_unknown_paths_and_methods_are_problems_too(
    shared: Any, method: str, path: str, status: int, code: str
) -> None:
    """404 and 405 have the same shape, with ids."""
    response = requests.request(method, shared.url + path, timeout=60)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.json()["trace_id"] == response.headers["X-Trace-Id"]


@pytest.fixture(scope="module")
def shared(bedrock: LocalBedrock) -> Iterator[Any]:
    """One server for the tests that do not stop it."""
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url) as server:
        yield server


def test_sigterm_finishes_what_runs_and_takes_nothing_new(bedrock: LocalBedrock) -> None:
    """Running answers come to their end, streamed or not; new connections are refused; the exit code is 0."""
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url) as server:
        whole: list[Any] = []
        thread = threading.Thread(target=lambda: whole.append(server.chat("[[length=10]] [[delay=1.2]] conte")))
        thread.start()
        stream = server.stream("[[length=10]] [[delay=1.2]] conte")
        events = stream.events()
        next(events)
        assert until(lambda: bedrock.active == 2)
        server.signal()
        assert until(lambda: _refused(server.url))
        assert [name for name, _ in events][-1] == "done"
        thread.join(60)
        assert whole[0].status_code == 200
        assert server.wait(60) == 0
        assert [line["clean"] for line in server.events("server.stopped")] == [True]


def test_sigterm_cuts_off_what_outlasts_the_grace_period(bedrock: LocalBedrock) -> None:
    """At the end of SHUTDOWN_GRACE_SECONDS a stream gets an error event `draining`, and the exit code is still 0."""
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url, SHUTDOWN_GRACE_SECONDS=1) as server:
        stream = server.stream("[[length=1000]] [[delay=0.1]] conte")
        events = stream.events()
        next(events)
        server.signal()
        name, data = list(events)[-1]
        assert (name, data["code"]) == ("error", "draining")
        # Far less than the 100 s that the answer would have taken.
        assert server.wait(60) == 0


def test_a_second_signal_does_not_wait_for_the_grace_period(bedrock: LocalBedrock) -> None:
    """Whoever asks twice means now: running answers are cut off with an error event, and the exit code is 0."""
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url) as server:
        stream = server.stream("[[length=1000]] [[delay=0.1]] conte")
        events = stream.events()
        next(events)
        server.signal()
        assert until(lambda: server.get("/ready").status_code == 503)
        server.signal()
        name, data = list(events)[-1]
        assert (name, data["code"]) == ("error", "draining")
        assert server.wait(60) == 0


def test_requests_that_hang_do_not_keep_the_process_alive(bedrock: LocalBedrock) -> None:
    """Idle kept-alive connections and given-up requests do not delay the end."""
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url, TURN_DEADLINE_SECONDS=1) as server:
        session = requests.Session()
        assert session.get(server.url + "/health", timeout=60).status_code == 200
        assert server.chat("[[fault=hang]] conte").status_code == 504
        server.signal()
        # Far less than SHUTDOWN_GRACE_SECONDS.
        assert server.wait(60) == 0
        session.close()


def test_the_bundled_bedrock_serves_in_process() -> None:
    """BEDROCK_ENDPOINT_URL=local, as in development, needs nothing beside the server."""
    with serving() as server:
        assert server.chat("0001234-08.2023.8.26.0100").json()["tool_calls"][0]["name"] == "numero_processo"


def test_rom_chat_streams_one_answer_or_holds_a_conversation(shared: Any) -> None:
    """`rom chat MESSAGE` prints the answer; without a message it asks until the end of input."""
    once = rom("chat", "0001234-08.2023.8.26.0100 é válido?", "--url", shared.url)
    assert once.returncode == 0, once.stderr
    assert "[conferindo o número do processo: " in once.stderr
    assert "TJSP" in once.stdout
    talk = rom("chat", "--url", shared.url, stdin="[[say=primeira]]\n\n[[say=segunda]]\n")
    assert talk.returncode == 0, talk.stderr
    assert talk.stdout.index("primeira") < talk.stdout.index("segunda")


def test_rom_chat_says_what_went_wrong(shared: Any) -> None:
    """No server, or a failed answer: a sentence and exit code 1, no traceback."""
    for arguments, words in (
        (("chat", "oi", "--url", "http://127.0.0.1:9"), "make run"),
        (("chat", "[[fault=400]]", "--url", shared.url), "\nupstream_refused (HTTP 502, request req-"),
        (("chat", "[[fault=400]]", "--url", shared.url), texts.ERRORS["upstream_refused"]),
        (("chat", "[[fault=no_stop]] [[after=2]] conte", "--url", shared.url), texts.ERRORS["upstream_unavailable"]),
        (("chat", "oi", "--model", "nobody", "--url", shared.url), "unknown_model"),
    ):
        done = rom(*arguments)
        assert done.returncode == 1
        assert words in done.stderr
        assert "Traceback" not in done.stderr


def test_rom_bedrock_local_serves_any_aws_client() -> None:
    """The command serves the bundled local Bedrock to a plain boto3 client, and ends with 0 on SIGTERM."""
    import boto3

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "rom_core", "bedrock-local", "--port", str(port)],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin"},
        stdout=subprocess.DEVNULL,
    )
    try:
        assert until(lambda: not _refused(f"http://127.0.0.1:{port}"))
        client = boto3.Session().client(
            "bedrock-runtime",
            region_name="us-west-2",
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )
        answer = client.converse(
            modelId="global.anthropic.claude-sonnet-4-5-20250929-v1:0",
            messages=[{"role": "user", "content": [{"text": "[[say=olá]]"}]}],
        )
        client.close()
        assert answer["output"]["message"]["content"] == [{"text": "olá"}]
    finally:
        process.terminate()
        assert process.wait(60) == 0


def _refused(url: str) -> bool:
    host, port = url.removeprefix("http://").split(":")
    try:
        socket.create_connection((host, int(port)), timeout=60).close()
    except ConnectionRefusedError:
        return True
    return False


def test_the_readme_shows_what_one_sees() -> None:
    """The sample answer's words, tool and tokens are those of the first question to a new server; ids and times not."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = json.loads(text.split("```json\n", 1)[1].split("```", 1)[0])
    asked = json.loads(text.split("-d '", 1)[1].split("'\n", 1)[0])["message"]
    with serving(BEDROCK_ENDPOINT_URL="local") as server:
        seen = server.chat(asked).json()
    assert seen["reply"].startswith(shown["reply"].removesuffix("…"))
    assert [call["name"] for call in seen["tool_calls"]] == [call["name"] for call in shown["tool_calls"]]
    for name in ("usage", "stop_reason", "model", "degraded", "iterations"):
        assert seen[name] == shown[name]
    assert set(shown) - {"stand_in"} == set(seen) - {"stand_in"}


def test_what_it_writes_is_for_its_own_user(bedrock: LocalBedrock) -> None:
    """Its umask lets nobody else read what it, or a plugin, makes anywhere."""
    with serving(BEDROCK_ENDPOINT_URL=bedrock.url) as server:
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        assert "Umask:\t0077" in status
        files = list(Path(server.state_dir).iterdir())
        assert files
        assert {file.stat().st_mode & 0o077 for file in files} == {0}
