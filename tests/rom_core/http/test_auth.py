"""Admin tokens: closed without one, named, and not to be guessed."""

from __future__ import annotations

import re
from typing import Any

import falcon
import pytest
from falcon import testing
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from support import make_runtime

from plugins.metrics import Metrics
from rom_core.concurrency.clock import FakeClock
from rom_core.errors import NotFound, TooManyAttempts, Unauthorized
from rom_core.http.app import App, create_app
from rom_core.http.auth_throttle import MAX_WRONG, WINDOW_SECONDS
from rom_core.http.environ import REFUSAL
from rom_core.markers import hookimpl
from rom_core.settings import Setting

ADMIN, KEY, SCRAPE = "right-token-here", "client-key-of-bia", "scraper-of-figures"
TRACE = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


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


def test_refused_credentials_are_counted_without_a_word_of_the_client() -> None:
    """By what the route asks for, and by what was wrong: missing, wrong, or not compared; a right one is none."""
    runtime, _ = make_runtime(
        plugins={"admin": AdminPlugin(), "metrics": Metrics()},
        clock=FakeClock(),
        ADMIN_TOKEN=ADMIN,
        METRICS_TOKEN=SCRAPE,
    )
    app = testing.TestClient(create_app(runtime))
    runtime.start()
    ask(app, "")
    ask(app, ADMIN)
    for _ in range(MAX_WRONG + 2):
        ask(app, 'x"},evil{a="')
    app.simulate_get("/metrics", headers={"Authorization": "Bearer wrong"}, remote_addr="10.0.0.2")
    text = app.simulate_get("/metrics", headers={"Authorization": f"Bearer {SCRAPE}"}, remote_addr="10.0.0.3").text
    runtime.stop()
    counted = dict(re.findall(r"^rom_auth_failures_total\{(.*)\} ([1-9].*)$", text, re.MULTILINE))
    assert counted == {
        'credential="admin",reason="missing"': "1.0",
        'credential="admin",reason="wrong"': f"{MAX_WRONG}.0",
        'credential="admin",reason="throttled"': "2.0",
        'credential="token",reason="wrong"': "1.0",
    }


def test_named_tokens_tell_who_it_is() -> None:
    """Each token has its name; an API key is no admin token."""
    app = client(FakeClock(), ADMIN_TOKEN="ops=first-token-here,oncall=second-token-here", API_KEYS="k" * 20)
    assert ask(app, "first-token-here").json == {"name": "ops"}
    assert ask(app, "second-token-here").json == {"name": "oncall"}
    assert ask(app, "k" * 20).status_code == 401
    assert app.simulate_get("/admin/whoami").status_code == 401


class Scrape:
    """Open while METRICS_TOKEN is empty."""

    auth = "token"
    token_setting = "SCRAPE_TOKEN"

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        resp.media = {}


class ScrapePlugin:
    @hookimpl
    def rom_settings(self) -> list[Setting]:
        return [Setting("SCRAPE_TOKEN", str, "", "Closes the route.", secret=True)]

    @hookimpl
    def rom_routes(self, app: Any) -> None:
        app.add_route("/scrape", Scrape())


SECRETS = {"ADMIN_TOKEN": ADMIN, "API_KEYS": f"bia={KEY}", "SCRAPE_TOKEN": SCRAPE}
GUARDED = [("/admin/whoami", ADMIN), ("/v1/models", KEY), ("/scrape", SCRAPE)]


def guarded(clock: FakeClock, **settings: Any) -> App:
    """An app with a route of each kind."""
    plugins = {"admin": AdminPlugin(), "scrape": ScrapePlugin()}
    runtime, _ = make_runtime(plugins=plugins, clock=clock, **SECRETS, **settings)
    return create_app(runtime)


@pytest.mark.parametrize(("path", "secret"), GUARDED)
def test_guessing_is_throttled_before_anything_is_compared(path: str, secret: str) -> None:
    """Keys and tokens alike: after ten wrong ones 429 with the time to wait, for the right one as well."""
    clock = FakeClock()
    app = testing.TestClient(guarded(clock))

    def get(credential: str, address: str = "10.0.0.1") -> Any:
        return app.simulate_get(path, headers={"Authorization": f"Bearer {credential}"}, remote_addr=address)

    assert get(secret).status_code == 200
    assert [get(f"wrong-{n}").status_code for n in range(MAX_WRONG + 2)] == [401] * MAX_WRONG + [429] * 2
    refused = get(secret)
    assert (refused.status_code, refused.json["code"]) == (429, "too_many_attempts")
    assert int(refused.headers["Retry-After"]) == WINDOW_SECONDS
    assert "credencial" in refused.json["user_message"]
    assert get(secret, "10.0.0.2").status_code == 200
    clock.advance(WINDOW_SECONDS)
    assert get(secret).status_code == 200


def test_guesses_at_all_doors_count_together() -> None:
    """Ten wrong ones, whether keys or tokens: one who guesses cannot go from door to door."""
    app = testing.TestClient(guarded(FakeClock()))
    doors = [GUARDED[n % 3][0] for n in range(MAX_WRONG)]
    for path in doors:
        assert app.simulate_get(path, headers={"Authorization": "Bearer wrong"}).status_code == 401
    for path, secret in GUARDED:
        assert app.simulate_get(path, headers={"Authorization": f"Bearer {secret}"}).status_code == 429


def test_a_wrong_credential_leaves_a_line_with_the_address_and_never_itself() -> None:
    """One for each that was compared, one more when it is refused unheard; who sends none is not guessing."""
    app = testing.TestClient(guarded(FakeClock()))
    with capture_logs() as logs:
        for _ in range(MAX_WRONG + 20):
            app.simulate_get("/v1/models", headers={"X-Api-Key": "guess-of-a-key"}, remote_addr="::ffff:10.0.0.9")
            app.simulate_get("/v1/models", remote_addr="10.0.0.9")
    lines = [line for line in logs if line["event"] == "auth.refused"]
    assert [line["code"] for line in lines] == ["unauthorized"] * MAX_WRONG + ["too_many_attempts"]
    assert {(line["address"], line["credential"], line["log_level"]) for line in lines} == {
        ("10.0.0.9", "key", "warning")
    }
    assert "guess-of-a-key" not in str(logs)


def test_nothing_tells_a_wrong_key_from_none() -> None:
    """The same status, headers and body but for the ids, so that nobody learns which keys there are."""
    app = testing.TestClient(guarded(FakeClock()))
    answers = []
    for headers in ({}, {"X-Api-Key": "wrong"}, {"X-Api-Key": KEY + "x"}, {"Authorization": f"Bearer {ADMIN}"}):
        answer = app.simulate_get("/v1/models", headers=headers | {"X-Request-Id": "r", "traceparent": TRACE})
        answers.append((answer.status_code, sorted(answer.headers.items()), answer.content))
    assert answers == [answers[0]] * len(answers)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {KEY}"},
        {"Authorization": f"bearer   {KEY}  "},
        {"Authorization": f"BEARER {KEY}"},
        {"X-Api-Key": KEY},
        {"X-Api-Key": f" {KEY} "},
        {"Authorization": "Basic dTpw", "X-Api-Key": KEY},
        {"Authorization": "Bearer ", "X-Api-Key": KEY},
    ],
)
def test_a_key_is_found_where_clients_put_it(headers: dict[str, str]) -> None:
    """Whatever the case of the scheme and the spaces around."""
    assert testing.TestClient(guarded(FakeClock())).simulate_get("/v1/models", headers=headers).status_code == 200


APP = guarded(FakeClock())


@given(st.sampled_from(["AUTHORIZATION", "X_API_KEY"]), st.text(st.characters(max_codepoint=255), max_size=200))
@settings(deadline=None, max_examples=200)
def test_any_credential_is_answered(name: str, value: str) -> None:
    """401 for whatever bytes a header holds, never an error of ours, never a way in."""
    refusal = APP.authenticator.check("GET", "/v1/models", {name: value}, f"10.0.0.{len(value)}")
    assert isinstance(refusal, Unauthorized | TooManyAttempts)


def test_the_head_alone_is_enough_to_decide() -> None:
    """What the listener asks: the same answers as the app's, from method, target, headers and address."""
    check = guarded(FakeClock()).authenticator.check
    key = {"AUTHORIZATION": f"Bearer {KEY}"}
    assert check("POST", "/api/chat", key, "10.0.0.1") is None
    assert check("POST", "/api/chat?x=1", {"X_API_KEY": KEY}, "10.0.0.1") is None
    assert check("GET", "/health", {}, "10.0.0.1") is None
    assert check("OPTIONS", "/api/chat", {}, "10.0.0.1") is None
    assert isinstance(check("POST", "/api/chat", {}, "10.0.0.1"), Unauthorized)
    assert isinstance(check("POST", "/admin/whoami", key, "10.0.0.1"), Unauthorized)
    assert isinstance(check("POST", "/nothing", key, "10.0.0.1"), NotFound)
    assert isinstance(check("POST", "//api/chat", key, "10.0.0.1"), NotFound)
    assert isinstance(check("POST", "%", key, "10.0.0.1"), NotFound)
    for _ in range(MAX_WRONG):
        check("POST", "/api/chat", {"X_API_KEY": "wrong"}, "10.0.0.2")
    assert isinstance(check("POST", "/api/chat", key, "10.0.0.2"), TooManyAttempts)


def test_what_the_listener_refused_is_answered_as_it_said() -> None:
    """The refusal in the environment is raised before anything is compared again: one guess counts once."""
    app = testing.TestClient(guarded(FakeClock()))
    answer = app.simulate_post("/api/chat", extras={REFUSAL: Unauthorized("no")}, headers={"X-Api-Key": KEY})
    assert (answer.status_code, answer.json["detail"]) == (401, "no")


@pytest.mark.parametrize("route", ["/admin/whoami"])
def test_the_routes_of_a_plugin_that_is_off_do_not_exist(route: str) -> None:
    """404 plugin_disabled, with a valid token too, and back as soon as the plugin is on."""
    app = client(FakeClock(), ADMIN_TOKEN="right-token-here", ADMIN_ENABLED=False)
    answer = ask(app, "right-token-here")
    assert (answer.status_code, answer.json["code"]) == (404, "plugin_disabled")
