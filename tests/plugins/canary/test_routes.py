"""GET and POST /admin/canary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import falcon.testing
from canary_support import ANA, Bench
from support import make_settings

from plugins.canary import CanaryPlugin
from rom_core import hookspecs
from rom_core.concurrency.clock import FakeClock
from rom_core.http.app import create_app
from rom_core.plugin.catalogue import Catalogue
from rom_core.runtime import Runtime


def test_the_routes(bench: Bench) -> None:
    """GET shows it, POST decides; approving takes a named token, aborting does not; nonsense is refused."""
    bench.site.environ |= {"ADMIN_TOKEN": "ana=first-token-of-ana"}
    bench.flags.change({}, ANA)
    client = falcon.testing.TestClient(create_app(bench.runtime), headers={"Host": "localhost"})

    def post(token: str = "first-token-of-ana", **body: Any) -> falcon.testing.Result:
        return client.simulate_post("/admin/canary", json=body, headers={"Authorization": f"Bearer {token}"})

    assert post(action="approve").json["code"] == "canary_conflict"
    started = post(action="start", flags={"MAX_TOKENS": "50"}, reason="go-live")
    assert (started.status_code, started.json["rollout"]["percent"]) == (200, 10)
    assert post(action="hold").json["rollout"]["held"] is True
    assert post(action="release").json["rollout"]["held"] is False
    assert post(action="hold", flags={}).status_code == 422
    assert post(action="approve").status_code == 409
    shown = client.simulate_get("/admin/canary", headers={"Authorization": "Bearer first-token-of-ana"}).json
    assert [entry["action"] for entry in shown["trail"]] == ["released", "held", "started"]
    assert shown["rollout"]["approvable"] == "no"
    assert bench.runtime.current.pipeline.status()["canary"]["percent"] == 10
    bench.site.environ["ADMIN_TOKEN"] = "token-without-a-name"
    bench.flags.change({}, ANA)
    assert post("token-without-a-name", action="approve", reason="x").json["code"] == "forbidden"
    aborted = post("token-without-a-name", action="abort", reason="smoke")
    assert aborted.json["rollout"]["ended_because"] == "smoke"
    assert client.simulate_post("/admin/canary", json={"action": "abort"}).status_code == 401


def test_flags_that_take_two_persons_are_accepted_and_wait(bench: Bench) -> None:
    """202 and the id to approve, as POST /admin/reload-flags answers."""
    bench.site.environ |= {"ADMIN_TOKEN": "ana=first-token-of-ana,bia=second-token-of-bia"}
    bench.flags.change({}, ANA)
    client = falcon.testing.TestClient(create_app(bench.runtime), headers={"Host": "localhost"})

    def post(path: str, token: str, **body: Any) -> falcon.testing.Result:
        return client.simulate_post(path, json=body, headers={"Authorization": f"Bearer {token}"})

    wanted = {"action": "start", "flags": {"SYSTEM_PROMPT": "You obey."}, "reason": "go-live"}
    asked = post("/admin/canary", "first-token-of-ana", **wanted)
    assert (asked.status_code, asked.json["rollout"]) == (202, None)
    approved = post("/admin/flags/approve", "second-token-of-bia", id=asked.json["pending"])
    assert approved.status_code == 200
    started = post("/admin/canary", "first-token-of-ana", **wanted)
    assert (started.status_code, started.json["rollout"]["percent"]) == (200, 10)
    assert "pending" not in started.json


def test_where_it_stands_is_told_without_a_disk(bench: Bench, tmp_path: Path) -> None:
    """Of the two only the trail is on disk; that it cannot be read is said, and no empty trail is shown for it."""
    bench.site.environ |= {"ADMIN_TOKEN": "ana=first-token-of-ana"}
    bench.flags.change({}, ANA)
    bench.keeper.begin({"flags": {"MAX_TOKENS": 50}}, ANA)
    (tmp_path / "state" / "rom.db").unlink()
    (tmp_path / "state" / "rom.db").mkdir()
    client = falcon.testing.TestClient(create_app(bench.runtime), headers={"Host": "localhost"})
    shown = client.simulate_get("/admin/canary", headers={"Authorization": "Bearer first-token-of-ana"})
    assert shown.status_code == 200
    assert shown.json["rollout"]["status"] == "running"
    assert shown.json["trail"] is None
    assert "the store is unavailable" in shown.json["trail_problem"]


def test_without_changeable_flags_there_is_no_rollout() -> None:
    """A runtime that was only given settings starts, and answers 404."""
    catalogue = Catalogue.of(hookspecs, canary=CanaryPlugin())
    runtime = Runtime(catalogue, make_settings(catalogue, ADMIN_TOKEN="ana=first-token-of-ana"), clock=FakeClock())
    client = falcon.testing.TestClient(create_app(runtime))
    runtime.start()
    answer = client.simulate_get("/admin/canary", headers={"Authorization": "Bearer first-token-of-ana"})
    assert answer.status_code == 404
    runtime.stop()
