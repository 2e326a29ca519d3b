"""Pages in a browser: who may ask, and that nobody's credentials are counted on."""

from __future__ import annotations

from typing import Any

import pytest
from falcon import testing
from support import make_runtime

from rom_core.http.app import create_app
from rom_core.settings.addresses import origin_problem

PAGE, OTHER = "https://app.example", "https://other.example"
KEY = "client-key-0123456789"
ROUTES = ("/api/chat", "/v1/chat/completions", "/v1/messages", "/v1/models", "/health")


def app(*origins: str, **settings: Any) -> testing.TestClient:
    """A server that lets these origins ask."""
    runtime, _ = make_runtime(CORS_ORIGINS=list(origins), **({"API_KEYS": f"page={KEY}"} | settings))
    return testing.TestClient(create_app(runtime))


def preflight(client: testing.TestClient, path: str, origin: str) -> Any:
    """What a browser asks before it lets a page send its key and JSON."""
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-stainless-lang",
    }
    return client.simulate_options(path, headers=headers)


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("origins", [(PAGE,), ("*",), (PAGE, "http://localhost:3000")])
def test_a_page_that_is_named_may_ask(path: str, origins: tuple[str, ...]) -> None:
    """Its preflight passes without a key, and answers, errors too, may be read; credentials are never spoken of."""
    client = app(*origins)
    asked = preflight(client, path, PAGE)
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-headers"] == "authorization,content-type,x-stainless-lang"
    assert ("GET" if path in ("/v1/models", "/health") else "POST") in asked.headers["access-control-allow-methods"]
    assert int(asked.headers["access-control-max-age"]) > 0
    refused = client.simulate_get(path, headers={"Origin": PAGE})
    for answer in (asked, refused):
        assert answer.headers["access-control-allow-origin"] == ("*" if "*" in origins else PAGE)
        assert "request-id" in answer.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in answer.headers
        assert ("origin" in answer.headers.get("vary", "").lower()) is ("*" not in origins)


@pytest.mark.parametrize(
    ("client", "path", "origin"),
    [
        (app(), "/v1/messages", PAGE),
        (app(PAGE), "/v1/messages", OTHER),
        (app(PAGE), "/v1/messages", f"{PAGE}.evil.example"),
        (app(PAGE), "/v1/messages", "null"),
        (app(PAGE), "/admin/flags", PAGE),
        (app("*"), "/admin/flags", PAGE),
        (app("*"), "/admin/reload-flags", PAGE),
    ],
)
def test_no_other_page_and_no_admin_route(client: testing.TestClient, path: str, origin: str) -> None:
    """Without a header the browser keeps the answer from the page."""
    for answer in (preflight(client, path, origin), client.simulate_post(path, headers={"Origin": origin})):
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_without_keys_only_pages_that_are_named_may_ask() -> None:
    """The guard against pages of strangers stays, but for those whom the operator has named."""
    client = app(PAGE, API_KEYS="", ALLOWED_HOSTS=["falconframework.org"])
    body = {"message": "oi"}
    assert client.simulate_post("/api/chat", json=body, headers={"Origin": PAGE}).status_code == 200
    assert client.simulate_post("/api/chat", json=body, headers={"Origin": OTHER}).json["code"] == "foreign_host"


@pytest.mark.parametrize("origin", [PAGE, "http://localhost:3000", "https://[::1]:8443", "https://a.b.c:444"])
def test_what_is_an_origin(origin: str) -> None:
    """As browsers send it."""
    assert origin_problem(origin) is None


@pytest.mark.parametrize(
    "origin",
    ["", "app.example", f"{PAGE}/", f"{PAGE}:443", "HTTPS://app.example", "ftp://a.example", "null", "https://a:b:c"],
)
def test_what_is_none(origin: str) -> None:
    """What no browser would ever send matches nothing, so that it is refused."""
    assert origin_problem(origin) is not None
