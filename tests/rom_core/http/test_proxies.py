"""The client's address behind proxies: believed as far as TRUSTED_PROXY_COUNT says, and not one entry further."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import falcon
import pytest
import requests
from support import make_runtime

from rom_core.http.app import create_app
from rom_core.http.auth_throttle import MAX_WRONG
from rom_core.http.server.server import Server
from rom_core.markers import hookimpl


class Echo:
    """Answers with what the server takes for the client."""

    auth = "open"

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.media = {"address": req.remote_addr, "scheme": req.scheme, "host": req.host}


class Guarded:
    """For administrators."""

    auth = "admin"

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.media = {}


class Routes:
    @hookimpl
    def rom_routes(self, app: Any) -> None:
        app.add_route("/echo", Echo())
        app.add_route("/admin/guarded", Guarded())


@contextmanager
def serving(count: int) -> Iterator[str]:
    """A real server behind `count` proxies."""
    runtime, _ = make_runtime(
        plugins={"routes": Routes()}, TRUSTED_PROXY_COUNT=count, PORT=0, ADMIN_TOKEN="right-token-here"
    )
    server = Server(create_app(runtime), runtime)
    server.start()
    try:
        yield server.url
    finally:
        server.stop(1)
        runtime.stop()


@pytest.mark.parametrize(
    ("count", "forwarded", "address"),
    [
        (0, "10.0.0.1", "127.0.0.1"),
        (1, None, "127.0.0.1"),
        (1, "10.0.0.1", "10.0.0.1"),
        (1, "6.6.6.6, 10.0.0.1", "10.0.0.1"),
        (2, "6.6.6.6, 10.0.0.1, 10.0.0.2", "10.0.0.1"),
        (1, "[2001:db8::3]:4711", "2001:db8::3"),
        (1, "::ffff:10.1.0.1", "10.1.0.1"),
        (1, "unknown", "127.0.0.1"),
    ],
)
def test_the_address_is_that_which_the_outermost_trusted_proxy_saw(
    count: int, forwarded: str | None, address: str
) -> None:
    """Entries further left are the client's own words; the scheme is believed as far, and the host never."""
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil", "Forwarded": "for=6.6.6.6"}
    headers |= {"X-Forwarded-For": forwarded} if forwarded else {}
    with serving(count) as url:
        seen = requests.get(f"{url}/echo", headers=headers, timeout=60).json()
    assert (seen["address"], seen["scheme"]) == (address, "https" if count else "http")
    assert seen["host"] == "127.0.0.1"


def test_who_guesses_tokens_cannot_hide_behind_a_header() -> None:
    """Without a trusted proxy all guesses are one address's, behind one they are told apart by its entry."""
    for count, last in ((0, 429), (1, 401)):
        with serving(count) as url:
            statuses = [
                requests.get(
                    f"{url}/admin/guarded",
                    headers={"Authorization": "Bearer wrong", "X-Forwarded-For": f"10.0.0.{n}"},
                    timeout=60,
                ).status_code
                for n in range(MAX_WRONG + 1)
            ]
        assert statuses == [401] * MAX_WRONG + [last]
