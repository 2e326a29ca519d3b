"""The admin routes of the settings: versions, rollback, a canary, a second person, and the plugin switched off."""

from __future__ import annotations

from typing import Any

import pytest
from admin_support import FORM, KEY, TOKEN, Admin
from falcon import testing

from rom_core.errors import ModelRefused
from rom_core.http.app import create_app


@pytest.mark.parametrize(
    ("given", "status"), [('"1"', 200), ("1", 200), ('W/"1"', 200), ("*", 200), ('"2"', 412), ("new", 400), ('""', 400)]
)
def test_if_match_names_the_version_that_must_be_in_force(admin: Admin, given: str, status: int) -> None:
    """412 version_conflict tells the one that is; for a rollback too."""
    answer = admin.reload("RATIO=0.25", If_Match=given)
    assert answer.status_code == status
    if status == 412:
        assert (answer.json["code"], answer.json["version"]) == ("version_conflict", 1)
        assert admin.post("/admin/flags/rollback", "version=1", If_Match=given).status_code == 412


def test_the_history_tells_who_changed_what_and_why(admin: Admin) -> None:
    """Newest first, in pages, with the trace id that the answer carried."""
    trace = admin.reload("RATIO=0.25", X_Rom_Reason="first").headers["X-Trace-Id"]
    admin.json("/admin/reload-flags", {"RATIO": None, "reason": "second"}, X_Rom_Reason="not this")
    versions = admin.get("/admin/flags/history").json["versions"]
    assert [(v["version"], v["by"], v["why"], v["durable"]) for v in versions] == [
        (3, "ops", "second", True),
        (2, "ops", "first", True),
        (1, "rom", "", True),
    ]
    assert versions[0]["changes"] == {"RATIO": {"from": 0.25, "to": 0.5, "override": "cleared"}}
    assert versions[1]["changes"] == {"RATIO": {"from": 0.5, "to": 0.25, "override": "set"}}
    assert versions[1]["trace_id"] == trace
    assert [v["version"] for v in admin.get("/admin/flags/history", limit=1, before=3).json["versions"]] == [2]
    assert admin.get("/admin/flags/history", limit=0).status_code == 400
    for number, status in ((2**53 - 1, 200), (2**53, 422), (10**30, 422)):
        assert admin.get("/admin/flags/history", before=number).status_code == status


@pytest.mark.parametrize(("body", "kind"), [("version=2&reason=back", FORM), ('{"version": 2}', "application/json")])
def test_rollback_is_a_new_version(admin: Admin, body: str, kind: str) -> None:
    """By form and by JSON; answered as a reload."""
    admin.reload("RATIO=0.25")
    admin.reload("RATIO=0.75")
    answer = admin.post("/admin/flags/rollback", body, kind)
    assert (answer.json["version"], answer.json["changed"]) == (4, {"RATIO": {"from": 0.75, "to": 0.25}})


@pytest.mark.parametrize(
    "body", [{}, {"version": 7}, {"version": "x"}, {"version": True}, {"version": 1, "to": 2}, {"version": 0}]
)
def test_a_rollback_to_no_version_is_refused(admin: Admin, body: dict[str, Any]) -> None:
    """422, and nothing changes."""
    assert admin.json("/admin/flags/rollback", body).status_code == 422
    assert admin.runtime.current.version == 1


def test_a_canary_is_set_shown_and_cleared(admin: Admin) -> None:
    """The `canary` block of a JSON body; the answer to a chat tells the cohort, errors too."""
    block = {"flags": {"MAX_TOKENS": "50"}, "include": ["pilot"]}
    assert admin.json("/admin/reload-flags", {"canary": block, "CANARY_PERCENT": 10}).status_code == 200
    shown = {"percent": 10, "flags": {"MAX_TOKENS": 50}, "include": ["pilot"], "salt": ""}
    assert admin.get("/admin/flags").json["canary"] == admin.get("/admin/status").json["canary"] == shown
    assert admin.chat(message="hi", user="user-1").headers["X-Rom-Cohort"] == "stable"
    assert admin.chat(message="hi", user="pilot").headers["X-Rom-Cohort"] == "stable"
    # The only key: all of the traffic, which takes a reason.
    everybody = {"canary": {**block, "include": ["app"]}, "reason": "a trial"}
    assert admin.json("/admin/reload-flags", everybody).status_code == 200
    assert admin.chat(message="hi", user="user-1").headers["X-Rom-Cohort"] == "canary"
    admin.site.transport.steps[:] = [ModelRefused()]
    answer = admin.chat(message="hi")
    assert (answer.status_code, answer.headers["X-Rom-Cohort"]) == (502, "canary")
    assert admin.json("/admin/reload-flags", {"canary": None}).json["changed"]["canary"]["to"] is None
    assert admin.get("/admin/status").json["canary"] is None
    assert admin.get("/admin/flags").json["flags"]["CANARY_PERCENT"]["value"] == 0


def test_a_sensitive_setting_waits_for_a_second_token(admin: Admin) -> None:
    """202 with an id; shown in status and flags, in the history when proposed and when approved."""
    second = "another-token-of-an-admin"
    admin.site.environ["ADMIN_TOKEN"] = f"ops={TOKEN},bia={second}"
    admin.reload()
    answer = admin.json("/admin/reload-flags", {"SYSTEM_PROMPT": "Be brief.", "reason": "ticket 7"})
    id_ = answer.json["pending"]
    assert (answer.status_code, admin.runtime.current.settings.SYSTEM_PROMPT) == (202, "You answer.")
    for path in ("/admin/status", "/admin/flags"):
        (waits,) = admin.get(path).json["pending"]
        assert (waits["id"], waits["by"], waits["why"]) == (id_, "ops", "ticket 7")
        assert waits["edits"] == {"SYSTEM_PROMPT": "Be brief."}
    assert admin.get("/admin/flags").json["flags"]["SYSTEM_PROMPT"]["sensitive"] is True
    assert admin.json("/admin/flags/approve", {"id": id_}).status_code == 403
    approval = {"id": id_, "reason": "read it"}
    headers = {"Authorization": f"Bearer {second}"}
    answer = admin.app.simulate_post("/admin/flags/approve", json=approval, headers=headers)
    assert (answer.status_code, "pending" in answer.json) == (200, False)
    assert admin.runtime.current.settings.SYSTEM_PROMPT == "Be brief."
    approved, proposed = admin.get("/admin/flags/history").json["versions"][:2]
    assert (approved["by"], approved["why"]) == ("bia", f"read it; approves {id_} of ops (ticket 7)")
    assert (proposed["by"], set(proposed["changes"])) == ("ops", {"pending"})
    assert admin.get("/admin/status").json["pending"] == []
    answer = admin.app.simulate_post("/admin/flags/approve", json=approval, headers=headers)
    assert answer.status_code == 404
    for body in ({}, {"id": 7}, {"id": id_, "more": 1}):
        assert admin.json("/admin/flags/approve", body).status_code == 422


def test_with_the_plugin_off_stored_overrides_and_the_kill_switch_hold(admin: Admin) -> None:
    """The routes answer 404 plugin_disabled; the core goes on as it was told."""
    admin.reload("BEDROCK_ENABLED=false&MAX_TOKENS=5")
    admin.site.environ["FLAGS_ENABLED"] = "false"
    runtime, _ = admin.site.start()
    app = testing.TestClient(create_app(runtime))
    answer = app.simulate_get("/admin/flags", headers={"Authorization": f"Bearer {TOKEN}"})
    assert (answer.status_code, answer.json["code"]) == (404, "plugin_disabled")
    assert (runtime.bedrock_enabled(), runtime.current.settings.MAX_TOKENS) == (False, 5)
    chat = app.simulate_post("/api/chat", json={"message": "hi"}, headers={"X-Api-Key": KEY})
    assert (chat.status_code, chat.json["code"]) == (503, "bedrock_disabled")
