"""POST /admin/breaker: an administrator holds a circuit, and who did so and why is kept."""

from __future__ import annotations

from typing import Any

import falcon.testing
import pytest
from resilience import FIRST, Bench, advance, circuit_events, fail, run, status
from support import make_turn

from rom_core.concurrency.clock import iso
from rom_core.errors import CircuitOpen
from rom_core.events import CircuitClosed, CircuitOpened
from rom_core.http.app import create_app

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
OPS = {"Authorization": "Bearer open-sesame"}


def client(bench: Bench) -> falcon.testing.TestClient:
    """The app without sockets."""
    return falcon.testing.TestClient(create_app(bench.runtime))


def force(bench: Bench, state: str, model: str = FIRST, headers: dict[str, str] = OPS, **more: Any) -> Any:
    """POST /admin/breaker."""
    body = {"model": model, "state": state, **more}
    return client(bench).simulate_post("/admin/breaker", json=body, headers=headers)


def test_an_administrator_forces_a_circuit() -> None:
    """open refuses, closed lets everything through, auto starts anew; each change is an event with its author."""
    bench = Bench(fail, plugins="breaker", ADMIN_TOKEN="ops=open-sesame")
    answer = force(bench, "open", reason="incident 12")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json == {
        "model": FIRST,
        "state": "open",
        "forced": True,
        "recent_failures": 0,
        "seconds_to_probe": None,
        "by": "ops",
        "at": iso(bench.clock.time()),
        "why": "incident 12",
    }
    advance(bench, 1000)
    with pytest.raises(CircuitOpen, match="held open by an administrator") as caught:
        bench.runtime.run(make_turn(bench.runtime))
    assert caught.value.retry_after is None
    assert force(bench, "closed").json["state"] == "closed"
    assert {run(bench) for _ in range(10)} == {"upstream_unavailable"}
    assert force(bench, "auto").json == {"model": FIRST, **status(bench)}
    assert status(bench) == {"state": "closed", "forced": False, "recent_failures": 0, "seconds_to_probe": None}
    assert {run(bench) for _ in range(5)} == {"upstream_unavailable"}
    assert run(bench) == "circuit_open"
    assert circuit_events(bench) == [
        "circuit.opened forced",
        "circuit.closed forced",
        "circuit.closed reset",
        "circuit.opened failures",
    ]
    by = [event.by for event in bench.recorder.events if isinstance(event, CircuitOpened | CircuitClosed)]
    assert by == ["ops", "ops", "ops", ""]


@pytest.mark.parametrize(
    "asked",
    [
        {"json": {"model": FIRST, "state": "closed", "reason": "só hoje"}},
        {"body": f"model={FIRST}&state=closed&reason=s%C3%B3+hoje", "headers": FORM},
        {
            "json": {"model": FIRST, "state": "closed"},
            "headers": {"X-Rom-Reason": "só hoje".encode().decode("latin-1")},
        },
    ],
    ids=["json", "form", "header"],
)
def test_who_held_a_circuit_and_why_is_kept(asked: dict[str, Any]) -> None:
    """JSON or a form, the reason in the body or in X-Rom-Reason: in the event, so in the log, and in the status. That
    it was closed before makes it no smaller: nothing can open it now."""
    bench = Bench(plugins="breaker", ADMIN_TOKEN="ana=open-sesame")
    headers = OPS | {"X-Trace-Id": "0123456789abcdef0123456789abcdef"} | asked.pop("headers", {})
    answer = client(bench).simulate_post("/admin/breaker", headers=headers, **asked)
    assert answer.status_code == 200
    held = [event for event in bench.recorder.events if isinstance(event, CircuitClosed)]
    told = [(event.reason, event.by, event.why, event.trace_id) for event in held]
    assert told == [("forced", "ana", "só hoje", answer.headers["x-trace-id"])]
    shown = status(bench)
    assert (shown["forced"], shown["by"], shown["why"]) == (True, "ana", "só hoje")


def test_the_admin_route_is_guarded() -> None:
    """401 without the token, 422 for an unknown model, state or field, 400 for a field given twice, 415 for another
    kind of body, 404 while the plugin is off."""
    bench = Bench(plugins="breaker", ADMIN_TOKEN="open-sesame")
    assert force(bench, "open", headers={}).status_code == 401
    assert force(bench, "open", model="nobody").status_code == 422
    assert force(bench, "ajar").status_code == 422
    assert force(bench, "open", seconds=5).status_code == 422
    assert force(bench, "open", reason="x" * 501).status_code == 422
    for body, kind, expected in (
        ("", None, 422),
        (f"model={FIRST}&state=open", None, 415),
        (f"model={FIRST}&state=open&state=closed", FORM["Content-Type"], 400),
        ("<model/>", "text/xml", 415),
    ):
        headers = OPS | ({"Content-Type": kind} if kind else {})
        answer = client(bench).simulate_post("/admin/breaker", body=body, headers=headers)
        assert answer.status_code == expected, body
    assert status(bench)["state"] == "closed"
    assert circuit_events(bench) == []
    off = Bench(plugins="breaker", ADMIN_TOKEN="open-sesame", CIRCUIT_BREAKER_ENABLED=False)
    assert force(off, "open").json["code"] == "plugin_disabled"


def test_the_admin_route_is_documented() -> None:
    """/openapi.json has its body, its answer, and no undescribed errors."""
    bench = Bench(plugins="breaker", ADMIN_TOKEN="open-sesame")
    post = client(bench).simulate_get("/openapi.json").json["paths"]["/admin/breaker"]["post"]
    schema = post["requestBody"]["content"]["application/json"]["schema"]
    assert set(schema["properties"]) == {"model", "state", "reason"}
    assert set(post["responses"]) == {"200", "400", "401", "403", "404", "413", "415", "422", "429", "500", "503"}
    answer = post["responses"]["200"]["content"]["application/json"]["schema"]
    assert set(force(bench, "open").json) == set(answer["properties"])
    assert set(force(bench, "auto").json) == set(answer["required"])
