"""A server without keys trusts this machine, and no page that a browser shows: DNS rebinding and foreign origins."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from falcon import testing
from hypothesis import given, settings
from hypothesis import strategies as st
from support import make_runtime

from rom_core.errors import ForeignHost
from rom_core.http.app import create_app
from rom_core.http.hosts import check_names

KEY = "client-key-0123456789"


def ask(path: str, headers: dict[str, str], method: str = "POST", **options: Any) -> Any:
    """Ask an app; by default one without keys that answers to no other name."""
    runtime, _ = make_runtime(**{"ALLOWED_HOSTS": [], **options})
    json = {"message": "oi"} if path == "/api/chat" and method == "POST" else None
    return testing.TestClient(create_app(runtime)).simulate_request(method, path, headers=headers, json=json)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "localhost"},
        {"Host": "LocalHost.:8000"},
        {"Host": "127.0.0.1:8000"},
        {"Host": "127.8.0.1"},
        {"Host": "[::1]:8000"},
        {"Host": "localhost:8000", "Origin": "http://localhost:3000"},
        {"Host": "localhost:8000", "Origin": "http://[::1]:3000"},
    ],
)
def test_this_machine_is_served(headers: dict[str, str]) -> None:
    """By name and address, with any port, and a page of another server on this machine."""
    assert ask("/api/chat", headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:8000"},
        {"Host": "localhost.evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "192.0.2.1"},
        {"Host": "localhost, evil.example"},
        {"Host": "evil@localhost.example"},
        {"Host": "127.0.0.1%2eevil.example"},
        {"Host": "localhost", "Origin": "http://evil.example\\@localhost"},
        {"Host": "localhost", "Origin": "https://evil.example"},
        {"Host": "localhost", "Origin": "null"},
        {"Host": "localhost", "Origin": "localhost"},
        {"Host": "localhost", "Origin": "http://localhost.evil.example"},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/chat"), ("GET", "/v1/models"), ("GET", "/health"), ("GET", "/openapi.json"), ("OPTIONS", "/ready")],
)
def test_strangers_are_told_what_to_do(method: str, path: str, headers: dict[str, str]) -> None:
    """403 on every route, with the settings that would change it."""
    answer = ask(path, headers, method)
    assert (answer.status_code, answer.json["code"]) == (403, "foreign_host")
    assert "API_KEYS" in answer.json["detail"]
    assert "ALLOWED_HOSTS" in answer.json["detail"]
    assert "endereço" in answer.json["user_message"]


def test_configured_names_are_served() -> None:
    """Those of ALLOWED_HOSTS, and HOST itself; with keys every name is: a page of strangers has none."""
    named = {"Host": "rom.test:8000", "Origin": "http://rom.test:8000"}
    assert ask("/api/chat", named).status_code == 403
    assert ask("/api/chat", named, ALLOWED_HOSTS=["ROM.test"]).status_code == 200
    assert ask("/api/chat", named, ALLOWED_HOSTS=["*"]).status_code == 200
    assert ask("/api/chat", named | {"X-Api-Key": KEY}, API_KEYS=KEY).status_code == 200
    assert ask("/api/chat", named, API_KEYS=KEY).status_code == 401


def test_the_head_alone_is_enough_to_decide() -> None:
    """The listener's check says the same; a request without Host is no browser's."""
    runtime, _ = make_runtime(ALLOWED_HOSTS=[])
    check = create_app(runtime).authenticator.check
    assert isinstance(check("POST", "/api/chat", {"HOST": "evil.example"}, "127.0.0.1"), ForeignHost)
    assert check("POST", "/api/chat", {"HOST": "localhost"}, "127.0.0.1") is None
    assert check("POST", "/api/chat", {}, "127.0.0.1") is None


@given(st.text(max_size=80), st.text(max_size=80))
@settings(deadline=None)
def test_any_header_is_decided(host: str, origin: str) -> None:
    """No text is an error of ours."""
    with suppress(ForeignHost):
        check_names(host, origin, ["rom.test", " "])
        assert not host or host.strip()
