"""Admin tokens: closed without one, named, and not to be guessed."""

from __future__ import annotations

from typing import Any

import falcon
import pytest
from falcon import testing
from support import make_runtime

from rom_core.concurrency.clock import FakeClock
from rom_core.http.app import create_app
from rom_core.http.auth import FAILURE_WINDOW_SECONDS, MAX_FAILURES
from rom_core.markers import hookimpl


class WhoAmI:
    """Answers with the admin's name."""

    auth = "admin"

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.media = {"name": req.context.admin_name}


class AdminPlugin:
    @hookimpl
    def rom_routes(self, app: Any) -> None:
        app.add_route("/admin/whoami", WhoAmI())


def client(clock: FakeClock, **settings: Any) -> testing.TestClient:
    """The app with one admin route."""
    runtime, _ = make_runtime(plugins={"admin": AdminPlugin()}, clock=clock, **settings)
    return testing.TestClient(create_app(runtime))


def ask(app: testing.TestClient, token: str, address: str = "10.0.0.1") -> Any:
    """GET the route."""
    return app.simulate_get("/admin/whoami", headers={"Authorization": f"Bearer {token}"}, remote_addr=address)


def test_without_a_token_the_admin_routes_are_closed_and_say_how_to_open_them() -> None:
    """403 admin_closed, whatever is sent."""
    answer = ask(client(FakeClock()), "")
    assert (answer.status_code, answer.json["code"]) == (403, "admin_closed")
    assert "ADMIN_TOKEN" in answer.json["detail"]


def test_named_tokens_tell_who_it_is() -> None:
    """Each token has its name; an API key is no admin token."""
    app = client(FakeClock(), ADMIN_TOKEN="ops=first-token-here,oncall=second-token-here", API_KEYS="k" * 20)
    assert ask(app, "first-token-here").json == {"name": "ops"}
    assert ask(app, "second-token-here").json == {"name": "oncall"}
    assert ask(app, "k" * 20).status_code == 401
    assert app.simulate_get("/admin/whoami").status_code == 401


def test_guessing_is_slowed_down_by_address_and_never_for_a_valid_token() -> None:
    """After too many wrong tokens an address gets 429 with the time to wait; a valid token passes all the same."""
    clock = FakeClock()
    app = client(clock, ADMIN_TOKEN="right-token-here")
    assert [ask(app, "wrong").status_code for _ in range(MAX_FAILURES + 2)] == [401] * MAX_FAILURES + [429] * 2
    assert int(ask(app, "wrong").headers["Retry-After"]) == FAILURE_WINDOW_SECONDS
    assert ask(app, "wrong", "10.0.0.2").status_code == 401
    assert ask(app, "right-token-here").status_code == 200
    clock.advance(FAILURE_WINDOW_SECONDS + 1)
    assert ask(app, "wrong").status_code == 401


@pytest.mark.parametrize("route", ["/admin/whoami"])
def test_the_routes_of_a_plugin_that_is_off_do_not_exist(route: str) -> None:
    """404 plugin_disabled, with a valid token too, and back as soon as the plugin is on."""
    app = client(FakeClock(), ADMIN_TOKEN="right-token-here", ADMIN_ENABLED=False)
    answer = ask(app, "right-token-here")
    assert (answer.status_code, answer.json["code"]) == (404, "plugin_disabled")
