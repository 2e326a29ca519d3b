"""Routes of plugins: who may use them, what they may not take, what their errors become; HEAD and OPTIONS."""

from __future__ import annotations

from typing import Any

import falcon
import pytest
from falcon import testing
from support import make_runtime

from rom_core.errors import PluginError
from rom_core.http.app import create_app
from rom_core.http.routes.health import HealthResource
from rom_core.markers import hookimpl

KEY, TOKEN = "client-key-0123456789", "admin-token-0123456789"


class Resource:
    """Answers GET, or raises."""

    def __init__(self, auth: str | None = "open", error: Exception | None = None) -> None:
        if auth is not None:
            self.auth = auth
        self.error = error

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        if self.error is not None:
            raise self.error
        resp.media = {"secret": 1}


class Routes:
    """A plugin that adds these routes."""

    def __init__(self, *routes: tuple[str, object]) -> None:
        self.routes = routes

    @hookimpl
    def rom_routes(self, app: Any) -> None:
        for path, resource in self.routes:
            app.add_route(path, resource)


def client(*routes: tuple[str, object], **plugins: Any) -> testing.TestClient:
    """The app with these routes of a plugin `mine`, keys and an admin token configured."""
    runtime, _ = make_runtime(plugins={"mine": Routes(*routes)} | plugins, API_KEYS=KEY, ADMIN_TOKEN=TOKEN)
    return testing.TestClient(create_app(runtime))


@pytest.mark.parametrize("auth", ["Admin", "none", "", False])
def test_an_unknown_kind_of_auth_stops_the_start(auth: Any) -> None:
    """A typing error in `auth` never opens a route: the plugin is refused by its name."""
    with pytest.raises(PluginError, match=f"'mine': route /x: auth is {auth!r}"):
        client(("/x", Resource(auth)))


def test_a_resource_without_auth_needs_a_key() -> None:
    """The default is closed."""
    app = client(("/x", Resource(None)))
    assert app.simulate_get("/x").status_code == 401
    assert app.simulate_get("/x", headers={"X-Api-Key": KEY}).status_code == 200


def test_auth_that_becomes_unknown_later_lets_nobody_in() -> None:
    """Authentication itself fails closed, with a valid key and a valid token too."""
    resource = Resource("admin")
    app = client(("/x", resource))
    resource.auth = "Admin"
    for headers in ({}, {"X-Api-Key": KEY}, {"Authorization": f"Bearer {TOKEN}"}):
        assert app.simulate_get("/x", headers=headers).status_code == 401


@pytest.mark.parametrize("path", ["/health", "/api/chat", "/v1/models/{model}", "/openapi.json"])
def test_a_path_of_the_core_cannot_be_taken(path: str) -> None:
    """Falcon would silently put the later resource in the place of the earlier one."""
    with pytest.raises(PluginError, match=r"'mine'.*belongs to the core"):
        client((path, Resource()))


def test_a_path_or_resource_of_another_plugin_cannot_be_taken() -> None:
    """Neither a path twice, nor a resource twice: it would be switched off with the wrong plugin."""
    with pytest.raises(PluginError, match=r"'other'.*belongs to mine"):
        client(("/x", Resource()), other=Routes(("/x", Resource())))
    shared = Resource()
    with pytest.raises(PluginError, match=r"'other'.*belongs to mine"):
        client(("/x", shared), other=Routes(("/y", shared)))
    with pytest.raises(PluginError, match=r"'mine'.*/x belongs to mine"):
        client(("/x", Resource()), ("/x", Resource()))
    assert client(("/x", shared), ("/y", shared)).simulate_get("/y").status_code == 200


@pytest.mark.parametrize(
    ("error", "status", "code", "kind"),
    [
        (falcon.HTTPBadRequest(), 400, "malformed_request", "invalid_request_error"),
        (falcon.HTTPUnauthorized(), 401, "unauthorized", "authentication_error"),
        (falcon.HTTPForbidden(), 403, "forbidden", "permission_error"),
        (falcon.HTTPNotFound(), 404, "not_found", "not_found_error"),
        (falcon.HTTPConflict(), 409, "http_error", "invalid_request_error"),
        (falcon.HTTPGone(), 410, "http_error", "invalid_request_error"),
        (falcon.HTTPTooManyRequests(), 429, "http_error", "rate_limit_error"),
        (falcon.HTTPInternalServerError(), 500, "http_error", "api_error"),
        (falcon.HTTPBadGateway(), 502, "http_error", "api_error"),
        (falcon.HTTPServiceUnavailable(), 503, "http_error", "overloaded_error"),
    ],
)
def test_an_http_error_keeps_its_status_in_our_body(error: Exception, status: int, code: str, kind: str) -> None:
    """Whatever status a route raises is the answer's, with the shape and the ids of every other error."""
    answer = client(("/x", Resource(error=error))).simulate_get("/x")
    assert answer.status_code == answer.json["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json["code"], answer.json["error"]["type"]) == (code, kind)
    assert answer.json["trace_id"] == answer.headers["x-trace-id"]
    assert answer.json["detail"]


def test_what_an_http_error_says_of_itself_is_said() -> None:
    """Its text and its headers: a Retry-After in seconds up to our own limit, a date or a challenge as it is."""
    date = "Wed, 21 Oct 2099 07:28:00 GMT"
    for error, name, value in (
        (falcon.HTTPTooManyRequests(description="slowly", retry_after=7), "retry-after", "7"),
        (falcon.HTTPServiceUnavailable(description="slowly", retry_after=3600), "retry-after", "60"),
        (falcon.HTTPServiceUnavailable(description="slowly", headers={"Retry-After": date}), "retry-after", date),
        (falcon.HTTPUnauthorized(description="slowly", challenges=["Mutual"]), "www-authenticate", "Mutual"),
    ):
        answer = client(("/x", Resource(error=error))).simulate_get("/x")
        assert (answer.headers[name], answer.json["detail"]) == (value, "slowly")


def test_a_redirect_stays_one() -> None:
    """HTTPFound is no error."""
    answer = client(("/x", Resource(error=falcon.HTTPFound("/y")))).simulate_get("/x")
    assert (answer.status_code, answer.headers["location"]) == (302, "/y")


@pytest.mark.parametrize("path", ["/health", "/ready", "/openapi.json", "/x"])
def test_head_is_get_without_a_body(path: str) -> None:
    """Uptime probes send HEAD: the same status and headers, nothing else, for the routes of plugins too."""
    app = client(("/x", Resource()))
    get, head = app.simulate_get(path), app.simulate_head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]
    assert app.simulate_head("/api/chat", headers={"X-Api-Key": KEY}).status_code == 405


def test_head_needs_the_same_key() -> None:
    """What GET does not show HEAD does not confirm."""
    app = client()
    assert app.simulate_head("/v1/models").status_code == 401
    assert app.simulate_head("/v1/models", headers={"X-Api-Key": KEY}).status_code == 200


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/api/chat", {"POST", "OPTIONS"}),
        ("/v1/models", {"GET", "HEAD", "OPTIONS"}),
        ("/x", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_options_tells_the_methods_without_credentials(path: str, methods: set[str]) -> None:
    """A browser's preflight carries none; the methods are no secret, they are in /openapi.json."""
    answer = client(("/x", Resource("admin"))).simulate_options(path)
    assert answer.status_code == 200
    assert set(answer.headers["allow"].split(", ")) - {"OPTIONS"} == methods - {"OPTIONS"}


def test_a_resource_of_the_core_is_not_a_plugins() -> None:
    """The very resource under another path would take the core's route away with the plugin's switch."""

    class Copycat:
        @hookimpl
        def rom_routes(self, app: Any) -> None:
            core = next(value for value in app._app.resources.values() if isinstance(value, HealthResource))
            app.add_route("/mine", core)

    runtime, _ = make_runtime(plugins={"mine": Copycat()})
    with pytest.raises(PluginError, match="/health belongs to the core"):
        create_app(runtime)
