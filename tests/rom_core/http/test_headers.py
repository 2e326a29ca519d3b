"""What every answer carries, whatever it is: no guessing at its type, no keeping, and https stays https."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import falcon
import pytest
import requests
from falcon import testing
from support import make_runtime

from rom_core.errors import ModelRefused
from rom_core.http.app import create_app
from rom_core.http.server.server import Server
from rom_core.markers import hookimpl

KEY = "client-key-0123456789"
HTTPS = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "10.0.0.1"}
ASKED: list[tuple[str, str, dict[str, Any], int]] = [
    ("GET", "/health", {}, 200),
    ("HEAD", "/health", {}, 200),
    ("OPTIONS", "/api/chat", {}, 200),
    ("GET", "/nothing", {}, 404),
    ("POST", "/api/chat", {"json": {"message": "oi"}}, 401),
    ("GET", "/v1/models", {"headers": {"X-Api-Key": KEY}}, 200),
    ("POST", "/api/chat", {"json": {"message": "oi"}, "headers": {"X-Api-Key": KEY}}, 200),
    ("POST", "/api/chat", {"json": {"message": "oi", "stream": True}, "headers": {"X-Api-Key": KEY}}, 200),
    ("POST", "/api/chat", {"json": {}, "headers": {"X-Api-Key": KEY}}, 422),
    ("GET", "/broken", {}, 500),
]


class Asset:
    """A file that may be kept."""

    auth = "open"

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        resp.set_header("Cache-Control", "public, max-age=31536000, immutable")
        resp.media = {}


class Broken:
    """A bug."""

    auth = "open"

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        raise RuntimeError("a bug")


class Routes:
    @hookimpl
    def rom_routes(self, app: Any) -> None:
        app.add_route("/asset", Asset())
        app.add_route("/broken", Broken())


@contextmanager
def serving(proxies: int) -> Iterator[Server]:
    """A real server behind so many proxies."""
    runtime, _ = make_runtime(plugins={"routes": Routes()}, TRUSTED_PROXY_COUNT=proxies, PORT=0, API_KEYS=KEY)
    server = Server(create_app(runtime), runtime)
    server.start()
    try:
        yield server
    finally:
        server.stop(1)
        runtime.stop()


@pytest.mark.parametrize("proxies", [0, 1])
def test_every_answer_carries_them(proxies: int) -> None:
    """Answers, errors and streams; HSTS only where a trusted proxy says that the client came by https."""
    with serving(proxies) as server:
        for method, path, options, status in ASKED:
            headers = HTTPS | options.get("headers", {})
            answer = requests.request(method, server.url + path, **{**options, "headers": headers}, timeout=60)
            assert answer.status_code == status, path
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["X-Frame-Options"] == "DENY"
            assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.headers["Cache-Control"] == "no-store"
            assert ("Strict-Transport-Security" in answer.headers) == bool(proxies), path
        assert "Strict-Transport-Security" not in requests.get(server.url + "/health", timeout=60).headers


def test_an_asset_says_how_long_it_may_be_kept() -> None:
    """Its own word stands; its type is not guessed at either."""
    with serving(0) as server:
        answer = requests.get(server.url + "/asset", timeout=60)
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_what_the_listener_refuses_carries_them_too() -> None:
    """What is no HTTP never reaches the app."""
    with serving(0) as server, socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(b"NONSENSE\r\n\r\n")
        head = connection.makefile("rb").read().partition(b"\r\n\r\n")[0].lower()
    assert head.startswith(b"http/1.")
    assert b" 400 " in head.splitlines()[0]
    assert b"x-content-type-options: nosniff" in head
    assert b"x-frame-options: deny" in head
    assert b"cache-control: no-store" in head


@pytest.mark.parametrize("proxies", [0, 1])
def test_what_the_listener_refuses_stays_on_https(proxies: int) -> None:
    """Where the headers could be read and a trusted proxy says so."""
    head = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-Proto: https\r\nContent-Length: x\r\n\r\n"
    with serving(proxies) as server, socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(head)
        answer = connection.makefile("rb").read().partition(b"\r\n\r\n")[0].lower()
    assert b" 400 " in answer.splitlines()[0]
    assert (b"strict-transport-security" in answer) == bool(proxies)


def test_an_error_of_a_stream_before_its_first_event_carries_them() -> None:
    """The answer is a problem in the place of the stream."""
    runtime, _ = make_runtime(ModelRefused())
    answer = testing.TestClient(create_app(runtime)).simulate_post("/api/chat", json={"message": "oi", "stream": True})
    assert (answer.status_code, answer.headers["cache-control"]) == (502, "no-store")
