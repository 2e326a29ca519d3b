"""Who is let in, and in which order a request is refused: by its key, for want of a place, by its body."""

from __future__ import annotations

import io
from typing import Any

import pytest
import requests
from falcon import testing
from structlog.testing import capture_logs
from support import Recorder, make_runtime, make_settings

from rom_core.errors import Rejected
from rom_core.events import RequestFinished, RequestRejected, TurnStarted
from rom_core.http.app import create_app
from rom_core.http.environ import REFUSAL
from rom_core.http.server.server import Server, connection_limit
from rom_core.markers import hookimpl
from rom_core.runtime import Runtime

KEY = "client-key-0123456789"
ROUTES = ("/api/chat", "/v1/chat/completions")
MUST = "it must return a RomError or None"
AS_CLIENT = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}


class Door:
    """A plugin that answers `rom_admit` with what it is told to."""

    def __init__(self) -> None:
        self.answer: Any = None
        self.asked: list[tuple[str, str]] = []

    @hookimpl
    def rom_admit(self, route: str, key_name: str) -> Any:
        self.asked.append((route, key_name))
        if isinstance(self.answer, type):
            raise self.answer("a bug")
        return self.answer


def house(**settings: Any) -> tuple[Runtime, Door, Recorder, testing.TestClient]:
    """A runtime with a door and one key, named `key`."""
    door, recorder = Door(), Recorder()
    plugins = {"door": door, "recorder": recorder}
    runtime, _ = make_runtime(plugins=plugins, API_KEYS=f"key={KEY}", HTTP_THREADS=14, **settings)
    return runtime, door, recorder, testing.TestClient(create_app(runtime))


@pytest.mark.parametrize("route", ROUTES)
def test_a_request_is_refused_by_its_key_then_for_want_of_a_place_then_by_its_body(route: str) -> None:
    """401, 503, 400, 422 (400 on /v1) in this order: no stranger learns that all is full, no flood has bodies read."""
    runtime, door, recorder, client = house()
    door.answer = Rejected("later", retry_after=7)
    for full_by in ("plugin", "core"):
        if full_by == "core":
            door.answer = None
            places = [runtime.admit(route) for _ in range(runtime.max_turns)]
        assert client.simulate_post(route, body=b"{").status_code == 401
        full = client.simulate_post(route, body=b"{", headers=AS_CLIENT)
        assert (full.status_code, full.json["code"]) == (503, "overloaded")
        assert full.headers["Retry-After"] == ("7" if full_by == "plugin" else "2")
    for place in places:
        place()
    assert client.simulate_post(route, body=b"{", headers=AS_CLIENT).status_code == 400
    invalid = client.simulate_post(route, body=b'{"a": 1}', headers=AS_CLIENT)
    assert (invalid.status_code, invalid.json["code"]) == (400 if "v1" in route else 422, "invalid_request")
    assert runtime.admitted == 0, "neither refusal keeps its place"
    told = [(event.route, event.code) for event in recorder.events if isinstance(event, RequestRejected)]
    assert told == [(route, "overloaded")] * 2
    ends = [(e.status, e.code) for e in recorder.events if isinstance(e, RequestFinished)]
    refused = ("rejected", "overloaded")
    stranger = ("client_error", "unauthorized")
    bodies = [("client_error", "malformed_request"), ("client_error", "invalid_request")]
    assert ends == [stranger, refused, stranger, refused, *bodies]
    assert not any(isinstance(event, TurnStarted) for event in recorder.events)
    assert door.asked[0] == (route, "key")


def test_a_plugin_refuses_before_the_core_counts() -> None:
    """What it says is more than `overloaded`; draining is said before both, and then no plugin is asked."""
    runtime, door, _recorder, client = house()
    places = [runtime.admit(ROUTES[0]) for _ in range(runtime.max_turns)]
    door.answer = Rejected("mine", retry_after=1)
    assert client.simulate_post(ROUTES[0], headers=AS_CLIENT).json["detail"] == "mine"
    asked = len(door.asked)
    runtime.drain()
    assert client.simulate_post(ROUTES[0], headers=AS_CLIENT).json["code"] == "draining"
    assert len(door.asked) == asked
    for place in places:
        place()


class Unreadable(io.BytesIO):
    """A body that must not be read."""

    def read(self, *_: Any) -> bytes:
        raise AssertionError("the body was read")


@pytest.mark.parametrize("route", ROUTES)
def test_the_order_at_the_door(route: str) -> None:
    """Key, kill switch, draining, admission, body: each is said only when those before it let the request through.

    The check of the head alone says the same as the app, as far as it goes.
    """
    runtime, door, recorder, _ = house(BEDROCK_ENABLED=False)
    app = create_app(runtime)
    client = testing.TestClient(app)
    door.answer = Rejected("mine")
    runtime.drain()

    def said(key: str = KEY) -> tuple[int, str, str | None]:
        answer = client.simulate_post(
            route,
            headers=AS_CLIENT | {"Authorization": f"Bearer {key}", "Content-Length": "9"},
            extras={"wsgi.input": Unreadable()},
        )
        refusal = app.authenticator.check("POST", route, {"X_API_KEY": key}, "10.0.0.1")
        assert refusal is None or refusal.code == answer.json["code"]
        return answer.status_code, answer.json["code"], answer.json["detail"]

    assert said("wrong")[:2] == (401, "unauthorized")
    assert said()[:2] == (503, "bedrock_disabled")
    enabled = {"DOOR_ENABLED": True, "RECORDER_ENABLED": True}
    runtime.swap(runtime.build(make_settings(runtime.catalogue, API_KEYS=f"key={KEY}", **enabled)))
    assert said()[:2] == (503, "draining")
    runtime.draining.clear()
    assert said() == (503, "overloaded", "mine")
    door.answer = None
    assert said()[:2] == (500, "internal_error"), "only now the body is read"
    assert runtime.admitted == 0
    assert [event.code for event in recorder.events if isinstance(event, RequestRejected)] == ["draining", "overloaded"]


def test_what_is_not_asking_for_a_turn_passes_a_closed_door() -> None:
    """Models, health and OPTIONS are answered while Bedrock is off or the server drains."""
    runtime, _, _, _ = house(BEDROCK_ENABLED=False)
    runtime.drain()
    check = create_app(runtime).authenticator.check
    headers = {"AUTHORIZATION": f"Bearer {KEY}"}
    for method, path in (("GET", "/v1/models"), ("GET", "/health"), ("OPTIONS", ROUTES[0]), ("GET", ROUTES[0])):
        assert check(method, path, headers, "10.0.0.1") is None


def test_a_listener_that_drains_is_counted_as_a_rejection() -> None:
    """What it refused from the head alone is an event like any other, and no body is looked for."""
    runtime, _, recorder, client = house()
    runtime.drain()
    answer = client.simulate_post(ROUTES[0], headers=AS_CLIENT, extras={REFUSAL: runtime.closed()})
    assert (answer.status_code, answer.json["code"]) == (503, "draining")
    assert [(e.route, e.code) for e in recorder.events if isinstance(e, RequestRejected)] == [(ROUTES[0], "draining")]
    assert [e.status for e in recorder.events if isinstance(e, RequestFinished)] == ["rejected"]


@pytest.mark.parametrize("answer", ["come in", True, RuntimeError])
def test_a_plugin_that_cannot_say_lets_nobody_in(answer: Any) -> None:
    """A guard fails closed: 500, no place is taken, and the log has the cause."""
    runtime, door, _, client = house()
    door.answer = answer
    with capture_logs() as logs:
        refused = client.simulate_post(ROUTES[0], json={"message": "oi"}, headers=AS_CLIENT)
    assert (refused.status_code, refused.json["code"]) == (500, "internal_error")
    (line,) = [line for line in logs if line["log_level"] == "error"]
    assert line["event"] == "request.failed"
    assert str(line["exc_info"]) == (
        "a bug" if answer is RuntimeError else f"rom_admit gave {type(answer).__name__}; {MUST}"
    )
    assert runtime.admitted == 0


@pytest.mark.parametrize(
    ("files", "limit"), [((1 << 20, -1), 1000), ((-1, -1), 1000), ((1024, 4096), 896), ((162, 162), 34)]
)
def test_there_are_descriptors_for_all_connections(
    monkeypatch: pytest.MonkeyPatch, files: tuple[int, int], limit: int
) -> None:
    """A thousand connections, or as many as the process may have beside what else it opens; -1 is no limit."""
    monkeypatch.setattr("rom_core.http.server.server.resource.getrlimit", lambda _: files)
    assert connection_limit(32) == limit


@pytest.mark.parametrize("files", [64, 130, 161])
def test_too_few_descriptors_are_said_at_the_start(monkeypatch: pytest.MonkeyPatch, files: int) -> None:
    """With the number that is needed; such a server would start and never answer anybody."""
    monkeypatch.setattr("rom_core.http.server.server.resource.getrlimit", lambda _: (files, files))
    with pytest.raises(OSError, match=f"may open {files} files and needs 162"):
        connection_limit(32)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, BaseException, ValueError])
def test_whatever_a_plugin_raises_the_client_is_answered(error: type[BaseException]) -> None:
    """In `rom_admit` and in a route of its own, over a real socket: 500, and the threads serve on."""

    class Raises:
        auth = "open"

        @hookimpl
        def rom_routes(self, app: Any) -> None:
            app.add_route("/raises", self)

        @hookimpl
        def rom_admit(self) -> None:
            raise error("out")

        def on_get(self, req: Any, resp: Any) -> None:
            raise error("out")

    runtime, _ = make_runtime(plugins={"raises": Raises()}, HTTP_THREADS=13, PORT=0)
    server = Server(create_app(runtime), runtime)
    runtime.start()
    server.start()
    try:
        for _ in range(20):  # more than there are threads
            refused = requests.post(f"{server.url}/api/chat", json={"message": "hi"}, timeout=60)
            assert (refused.status_code, refused.json()["code"]) == (500, "internal_error")
            route = requests.get(f"{server.url}/raises", timeout=60)
            assert (route.status_code, route.json()["code"]) == (500, "internal_error")
        assert requests.get(f"{server.url}/health", timeout=60).status_code == 200
    finally:
        server.stop(1)
        runtime.stop()
