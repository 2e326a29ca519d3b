"""One spelling of a path is served, every other is not found: rules at an edge look at the path as it was sent."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import falcon
import pytest
from support import make_runtime

from rom_core.http.app import App, create_app
from rom_core.http.canonical_path import is_canonical, plain_template, raw_path
from rom_core.http.server.server import Server
from rom_core.markers import hookimpl

TOKEN = "right-token-here"
HEADERS = {"AUTHORIZATION": f"Bearer {TOKEN}"}


class Ok:
    """For administrators."""

    auth = "admin"

    def on_get(self, _req: falcon.Request, resp: falcon.Response, **_: str) -> None:
        resp.media = {}


class Routes:
    @hookimpl
    def rom_routes(self, app: Any) -> None:
        app.add_route("/admin/flags", Ok())
        app.add_route("/admin/of/{name}/end", Ok())


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[App, str, int]]:
    """An app and where a real server serves it."""
    runtime, _ = make_runtime(plugins={"routes": Routes()}, PORT=0, ADMIN_TOKEN=TOKEN)
    app = create_app(runtime)
    server = Server(app, runtime)
    server.start()
    try:
        yield app, "127.0.0.1", server.port
    finally:
        server.stop(1)
        runtime.stop()


def status(host: str, port: int, target: str) -> int:
    """The status of a GET with exactly this request target."""
    with socket.create_connection((host, port), timeout=60) as connection:
        lines = [f"GET {target} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {TOKEN}", "Connection: close"]
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        return int(connection.makefile("rb").readline().split()[1])


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/admin/flags", 200),
        ("/admin/flags?a=%2F//", 200),
        ("http://127.0.0.1/admin/flags", 200),
        ("/admin/of/a%2Db/end", 200),
        ("//admin/flags", 404),
        ("///admin/flags", 404),
        ("/admin//flags", 404),
        ("/%61dmin/flags", 404),
        ("/admin%2Fflags", 404),
        ("/admin/%66lags", 404),
        ("/admin/flags/", 404),
        ("/admin/flags#a", 404),
        ("/./admin/flags", 404),
        ("/x/../admin/flags", 404),
        ("admin/flags", 404),
        ("/admin/of/a%2Fb/end", 404),
        ("/admin/of%2Fa/end", 404),
        ("http://127.0.0.1//admin/flags", 404),
    ],
)
def test_only_one_spelling_is_served(served: tuple[App, str, int], target: str, expected: int) -> None:
    """On a real server with a valid token; and the check of the head alone says the same."""
    app, host, port = served
    assert status(host, port, target) == expected
    if target.startswith("/"):
        refusal = app.authenticator.check("GET", target, HEADERS, "127.0.0.1")
        assert (200 if refusal is None else refusal.status) == expected


@pytest.mark.parametrize(
    ("path", "template", "same"),
    [
        ("/v1/models/acme/claude-4.5", "/v1/models/{model:path}", True),
        ("/v1/models/acme%2Fclaude-4.5", "/v1/models/{model:path}", True),
        ("/v1%2Fmodels/acme", "/v1/models/{model:path}", False),
        ("/a/7/b", "/a/{n:int(2)}/b", True),
        ("/a//b", "/a/{n}/b", False),
    ],
)
def test_fields_may_be_encoded_and_nothing_else(path: str, template: str, same: bool) -> None:
    """A model's id is the client's to encode."""
    assert is_canonical(path, template) is same


def test_templates_and_targets_are_read() -> None:
    """As people and metrics see them."""
    assert plain_template("/a/{b:path}/{c:int(2)}/{d}") == "/a/{b}/{c}/{d}"
    assert raw_path("HTTPS://a:80/b/c?d=/e") == "/b/c"
    assert raw_path("/a?b=http://c/d") == "/a"
