"""The operator's routes in one process: who may, what is refused, what they answer and say in their schemas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import structlog
from admin_support import KEY, TOKEN, Admin
from flag_support import Site
from jsonschema import validate
from support import Recorder, failure, make_turn

from plugins.flags import FlagsPlugin
from plugins.operator import OperatorPlugin
from plugins.operator.figures import figures_of
from plugins.operator.turns_route import ANSWER
from rom_core.concurrency.intake import Drained
from rom_core.errors import ModelRefused, RomError
from rom_core.telemetry.health import FIGURE_OF
from rom_core.telemetry.health_shape import HEALTH


@pytest.fixture
def admin(tmp_path: Path) -> Admin:
    """A process with the operator's routes."""
    site = Site(tmp_path, flags=FlagsPlugin(), operator=OperatorPlugin(), recorder=Recorder())
    site.environ |= {"ADMIN_TOKEN": f"ana={TOKEN}", "API_KEYS": f"app={KEY}", "RECORDER_ENABLED": "true"}
    return Admin(site)


def operator(admin: Admin) -> Any:
    """The plugin."""
    return admin.runtime.catalogue.plugins["operator"].instance


def test_they_are_for_administrators(admin: Admin) -> None:
    """An API key is not enough."""
    for path in ("/admin/events", "/admin/turns"):
        assert admin.get(path, token=KEY).status_code == 401
    assert admin.app.simulate_post("/admin/drain", headers={"Authorization": f"Bearer {KEY}"}).status_code == 401


def test_turns_are_as_their_schema_says(admin: Admin) -> None:
    """Those that ended, newest first, with `next` while there are more; an id that is none is refused."""
    for _ in range(3):
        assert admin.chat(message="oi").status_code == 200
    page = admin.get("/admin/turns", limit=2).json
    validate(page, dict(ANSWER))
    assert [turn["number"] for turn in page["turns"]] == [3, 2]
    assert (page["next"], page["turns"][0]["api_key"], page["turns"][0]["route"]) == (2, "app", "/api/chat")
    rest = admin.get("/admin/turns", limit=2, before=page["next"]).json
    assert ([turn["number"] for turn in rest["turns"]], rest["next"]) == ([1], None)
    found = admin.get("/admin/turns", id=page["turns"][1]["request_id"]).json
    assert [turn["number"] for turn in found["turns"]] == [2]
    for wrong in ("short", "a b c d e f g", "x" * 200):
        answer = admin.get("/admin/turns", id=wrong)
        assert (answer.status_code, answer.json["error"]["param"]) == (422, "id")


def test_draining_refuses_new_turns_until_it_is_taken_back(admin: Admin) -> None:
    """/ready and health say so, by whom and why; the log has it, whatever LOG_LEVEL says."""
    with structlog.testing.capture_logs() as lines:
        answer = admin.json("/admin/drain", {"reason": "deploy"}).json
    me = admin.runtime.fleet.id
    assert (answer["instance"], answer["draining"], answer["self"], answer["by"]) == (me, True, True, "ana")
    (line,) = [line for line in lines if line["event"] == "instance.drained"]
    assert (line["by"], line["why"], line["instance"], line["log_level"]) == ("ana", "deploy", me, "warning")
    assert (admin.get("/ready").status_code, admin.chat(message="oi").json["code"]) == (503, "draining")
    status = admin.get("/admin/status").json
    assert (status["draining"], status["drained"]["why"], status["instances"][0]["draining"]) == (True, "deploy", True)
    assert status["health"]["why"][0]["text"] == "it is drained and takes no new turns (ana: deploy)"
    answer = admin.post("/admin/drain", "draining=false", X_Rom_Reason="done").json
    assert (answer["draining"], answer["why"]) == (False, "done")
    assert (admin.get("/ready").status_code, admin.chat(message="oi").status_code) == (200, 200)
    assert admin.get("/admin/status").json["drained"] is None


def test_a_process_that_shuts_down_cannot_be_taken_back(admin: Admin) -> None:
    """Whoever says that it takes turns again does not stop it from ending."""
    admin.runtime.drain()
    assert admin.post("/admin/drain", "draining=false").json["draining"] is False
    assert admin.get("/ready").status_code == 503


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"instance": "nobody"}, 404, "no such instance"),
        ({"draining": "perhaps"}, 422, "draining"),
        ({"drain": True}, 422, "unknown field"),
        ({"reason": 7}, 422, "reason"),
    ],
)
def test_what_cannot_be_meant_is_refused(admin: Admin, body: dict[str, Any], status: int, says: str) -> None:
    """And changes nothing."""
    answer = admin.json("/admin/drain", body)
    assert (answer.status_code, says in answer.json["detail"]) == (status, True)
    assert admin.runtime.intake.open


def test_the_figures_are_those_of_health_with_their_limits(admin: Admin) -> None:
    """One judgement: what is red there is red here, and the limits are those of health and of the gate."""
    runtime = admin.runtime
    admin.site.transport.steps = [failure(ModelRefused)]
    for _ in range(3):
        with pytest.raises(RomError):
            runtime.run(make_turn(runtime))
    runtime.intake.set_drained(Drained("ana", "", 0.0))
    plugin = operator(admin)
    figures = figures_of(runtime, plugin.hour, {})
    validate(figures["health"], HEALTH)
    assert (figures["turns_per_minute"], figures["error_share"]) == (3, 1.0)
    raised = {name: level for name, level in figures["levels"].items() if level != "normal"}
    assert raised == {"errors": "critical", "requests": "alert", "draining": "alert"}
    assert set(raised) == {FIGURE_OF[why["reason"]] for why in figures["health"]["why"]}
    assert figures["limits"]["error_share"] == {"gate": None, "alert": 0.05, "critical": 0.2}
    assert (figures["queue"], figures["circuits"], figures["canary"]) == (None, [], None)


def test_a_canary_shows_with_its_flags(admin: Admin) -> None:
    """Set by hand it has no rollout."""
    admin.json("/admin/reload-flags", {"canary": {"flags": {"MAX_TOKENS": 500}}, "CANARY_PERCENT": 10})
    canary = figures_of(admin.runtime, operator(admin).hour, {})["canary"]
    assert (canary["percent"], canary["flags"], canary["rollout"]) == (10, {"MAX_TOKENS": 500}, None)


def test_switched_off_it_shows_and_remembers_nothing(admin: Admin) -> None:
    """404 for all three; turns leave no trace in memory."""
    admin.json("/admin/reload-flags", {"OPERATOR_ENABLED": False})
    assert {admin.get(path).json["code"] for path in ("/admin/events", "/admin/turns")} == {"plugin_disabled"}
    assert admin.json("/admin/drain", {}).status_code == 404
    admin.chat(message="oi")
    assert operator(admin).stories.lately(5) == []
