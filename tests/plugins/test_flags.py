"""The admin routes of the settings: shapes, bodies, refusals, and what they never show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from falcon import testing
from flag_support import SETTINGS_TOML, Site, held
from support import Recorder

from plugins.flags import FlagsPlugin, shapes
from rom_core.errors import ModelRefused
from rom_core.http.app import create_app
from rom_core.markers import hookimpl
from rom_core.runtime import Runtime
from rom_core.settings import Setting
from rom_core.store.overrides import Change, Trouble, Version

TOKEN = "token-of-the-operator"
KEY = "key-of-a-client-app"
FORM = "application/x-www-form-urlencoded"


class Demo:
    """A plugin with a setting of every kind that the routes show, and a status."""

    @hookimpl
    def rom_settings(self) -> list[Setting]:
        return [
            Setting("DEMO_ENABLED", bool, True, "on or off", switch=True),
            Setting("LEVEL", str, "low", "a level", choices=("low", "high")),
            Setting("RATIO", float, 0.5, "a ratio", minimum=0, maximum=1),
            Setting("DEMO_PASSWORD", str, "", "a password", secret=True),
            Setting("PLACE", str, "here", "read at start", runtime=False),
        ]

    @hookimpl
    def rom_status(self) -> dict[str, Any]:
        return {"demos": 3}


class Failing:
    """A plugin whose status and observer raise."""

    @hookimpl
    def rom_status(self) -> dict[str, Any]:
        raise ValueError("no status")

    @hookimpl
    def rom_event(self, event: Any) -> None:
        raise ValueError("no observer")


class Admin:
    """A client of one process, with the operator's token."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.runtime: Runtime
        self.runtime, self.flags = site.start()
        self.app = testing.TestClient(create_app(self.runtime))

    def get(self, path: str, token: str = TOKEN, **params: Any) -> Any:
        """GET."""
        return self.app.simulate_get(path, headers={"Authorization": f"Bearer {token}"}, params=params)

    def post(self, path: str, body: str | bytes | None = None, kind: str | None = FORM, **headers: str) -> Any:
        """POST a body as it is; header names with underscores."""
        sent = {"Authorization": f"Bearer {TOKEN}"} | {k.replace("_", "-"): v for k, v in headers.items()}
        return self.app.simulate_post(path, body=body, content_type=kind, headers=sent)

    def reload(self, body: str | bytes | None = None, kind: str | None = FORM, **headers: str) -> Any:
        """POST /admin/reload-flags."""
        return self.post("/admin/reload-flags", body, kind, **headers)

    def json(self, path: str, value: Any, **headers: str) -> Any:
        """POST JSON."""
        return self.post(path, json.dumps(value), "application/json", **headers)


@pytest.fixture
def admin(tmp_path: Path) -> Admin:
    """A process with the routes, a plugin to configure, and secrets."""
    site = Site(tmp_path, flags=FlagsPlugin(), demo=Demo(), failing=Failing(), recorder=Recorder())
    site.environ |= {"ADMIN_TOKEN": f"ops={TOKEN}", "API_KEYS": f"app={KEY}", "FAILING_ENABLED": "true"}
    return Admin(site)


def test_answers_are_as_documented(admin: Admin) -> None:
    """Each route's answer fits the schema that GET /openapi.json gives for it, with a canary and without."""
    answers = [admin.reload("RATIO=0.25"), admin.json("/admin/reload-flags", {"canary": {"flags": {"RATIO": 1}}})]
    admin.site.write("this is not TOML")
    answers.append(admin.reload("BEDROCK_ENABLED=false"))
    admin.site.write(SETTINGS_TOML)
    answers.append(admin.post("/admin/flags/rollback", "version=1"))
    for answer in answers:
        jsonschema.validate(answer.json, shapes.APPLIED_ANSWER)
    documented = {
        "/admin/flags": shapes.FLAGS_ANSWER,
        "/admin/flags/history": shapes.HISTORY_ANSWER,
        "/admin/status": shapes.STATUS_ANSWER,
    }
    for path, schema in documented.items():
        jsonschema.validate(admin.get(path).json, schema)
    admin.json("/admin/reload-flags", {"canary": {"flags": {"RATIO": 1}}, "CANARY_PERCENT": 5})
    for path, schema in documented.items():
        jsonschema.validate(admin.get(path).json, schema)


def test_every_setting_is_shown_with_its_type_layer_and_help(admin: Admin) -> None:
    """Also limits, scope, plugin, and whether it may be changed; the ETag is the version."""
    answer = admin.get("/admin/flags")
    body = answer.json
    assert (body["version"], body["environment"], answer.headers["ETag"]) == (1, "testing", '"1"')
    assert set(body["flags"]) == set(admin.runtime.current.settings.declared)
    assert body["flags"]["RATIO"] == {
        "value": 0.5,
        "type": "float",
        "source": "default",
        "plugin": "demo",
        "help": "a ratio",
        "runtime": True,
        "scope": "turn",
        "secret": False,
        "sensitive": False,
        "default": 0.5,
        "minimum": 0,
        "maximum": 1,
    }
    assert body["flags"]["LEVEL"]["choices"] == ["low", "high"]
    assert body["flags"]["MAX_TOKENS"]["source"] == "settings.toml [default]"
    assert body["flags"]["PLACE"]["runtime"] is False
    assert body["flags"]["API_KEYS"] | {"help": ""} == {
        "value": "***",
        "type": "str",
        "source": "environment",
        "plugin": None,
        "help": "",
        "runtime": False,
        "scope": "process",
        "secret": True,
        "sensitive": False,
        "default": "",
    }
    assert body["store"] == {"state": "ok", "detail": "", "durable": True}


def test_an_override_is_shown_with_who_when_and_why(admin: Admin) -> None:
    """The token's name, the reason of the header in any alphabet, the time in UTC."""
    why = "manutenção".encode().decode("latin-1")
    assert admin.reload("RATIO=0.25", X_Rom_Reason=why).status_code == 200
    flag = admin.get("/admin/flags").json["flags"]["RATIO"]
    assert (flag["value"], flag["source"], flag["by"], flag["why"]) == (0.25, "override", "ops", "manutenção")
    assert flag["at"].endswith("+00:00")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"BEDROCK_ENABLED=false", FORM),
        (b"BEDROCK_ENABLED=off", FORM + "; charset=utf-8"),
        (b"BEDROCK_ENABLED=off", f"{FORM}; charset=utf-8"),
        (b"BEDROCK_ENABLED=%46ALSE", FORM),
        (b'{"BEDROCK_ENABLED": false}', "application/json"),
        (b'{"BEDROCK_ENABLED": "no"}', "application/json"),
        (b'{"BEDROCK_ENABLED": "0", "reason": "test"}', "application/json"),
    ],
)
def test_the_kill_switch_by_form_and_by_json(admin: Admin, body: bytes, kind: str | None) -> None:
    """As `curl -d BEDROCK_ENABLED=false` sends it, and typed."""
    answer = admin.reload(body, kind)
    assert answer.json == {
        "version": 2,
        "changed": {"BEDROCK_ENABLED": {"from": True, "to": False}},
        "durable": True,
        "skipped": [],
        "awaiting_restart": {},
        "in_force": {"instances": 1, "of": 1, "unconfirmed": []},
    }
    assert admin.runtime.bedrock_enabled() is False
    assert answer.headers["ETag"] == '"2"'


@pytest.mark.parametrize(("body", "kind"), [(None, None), (b"", FORM), (b"", "application/json"), (b" ", None)])
def test_without_a_body_the_layers_are_read_afresh(admin: Admin, body: bytes | None, kind: str | None) -> None:
    """Whatever content type comes with nothing."""
    admin.site.write(SETTINGS_TOML.replace("1000", "900") + 'PLACE = "there"\n')
    answer = admin.reload(body, kind).json
    assert answer["changed"] == {"MAX_TOKENS": {"from": 1000, "to": 900}}
    assert answer["awaiting_restart"] == {"PLACE": "there"}


def test_an_empty_value_clears(admin: Admin) -> None:
    """In a form, and null in JSON."""
    admin.reload("RATIO=0.25&LEVEL=high")
    assert admin.reload("RATIO=").json["changed"] == {"RATIO": {"from": 0.25, "to": 0.5}}
    assert admin.json("/admin/reload-flags", {"LEVEL": None}).json["changed"] == {
        "LEVEL": {"from": "high", "to": "low"}
    }


@pytest.mark.parametrize(
    ("body", "kind", "status", "says"),
    [
        (b'{"RATIO": 1}', FORM, 400, "Content-Type: application/json"),
        (b"RATIO", FORM, 400, "NAME=value"),
        (b"RATIO=1&RATIO=0", FORM, 400, "'RATIO' is given twice"),
        (b"LEVEL=%ff", FORM, 400, "NAME=value"),
        (b"LEVEL=\xff", FORM, 400, "NAME=value"),
        (b"&".join(b"A%d=1" % n for n in range(1001)), FORM, 400, "NAME=value"),
        (b'["RATIO"]', "application/json", 400, "must be an object"),
        (b'{"RATIO": NaN}', "application/json", 400, "not JSON"),
        (b'{"RATIO": 1, "RATIO": 0}', "application/json", 400, "appears twice"),
        (b"RATIO=1", "application/json", 400, "not JSON"),
        (b"<RATIO/>", "application/xml", 415, "application/json or"),
        (b"LEVEL=" + b"x" * (1 << 20), FORM, 413, "limit"),
        (b'{"reason": 5}', "application/json", 422, "reason"),
        (b"reason=" + b"x" * 501, FORM, 422, "500 characters"),
    ],
)
def test_a_body_that_cannot_be_read_is_explained(admin: Admin, body: bytes, kind: str, status: int, says: str) -> None:
    """And nothing changes, which is said: it may have been the kill switch."""
    answer = admin.reload(body, kind)
    assert answer.status_code == status
    assert says in answer.json["detail"]
    assert ("Nothing was changed: Bedrock is o" in answer.json["detail"]) is (status != 422)
    assert admin.runtime.current.version == 1


def test_every_problem_is_listed_by_name(admin: Admin) -> None:
    """422 invalid_settings, in `errors` and readable in `detail`; the old snapshot stays in force."""
    before = admin.runtime.current
    answer = admin.reload("RATOI=1&LEVEL=middle&RATIO=2&API_KEYS=x&PLACE=y&BEDROCK_ENABLED=false")
    assert (answer.status_code, answer.json["code"]) == (422, "invalid_settings")
    assert answer.json["errors"] == [
        {"name": "RATOI", "message": "unknown setting; did you mean RATIO?"},
        {"name": "LEVEL", "message": "must be one of low, high, not 'middle'"},
        {"name": "RATIO", "message": "must be at most 1, not 2.0"},
        {"name": "API_KEYS", "message": "a secret belongs in .secrets.local.toml or the environment"},
        {"name": "PLACE", "message": "cannot be changed at run time; change a file and restart"},
    ]
    assert all(error["name"] in answer.json["detail"] for error in answer.json["errors"])
    assert admin.runtime.current is before


def test_nobody_locks_the_administrators_out_by_a_request(admin: Admin) -> None:
    """The switch of these routes is read at start only."""
    assert admin.reload("FLAGS_ENABLED=false").json["errors"][0]["name"] == "FLAGS_ENABLED"


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


def test_secrets_never_leave(admin: Admin) -> None:
    """Neither in any answer nor in the history, whether set by file, environment or a store of older code."""
    admin.site.write('[default]\nDEMO_PASSWORD = "pass-one-word"\n', ".secrets.local.toml")
    said = admin.reload().text
    old = (Change("DEMO_PASSWORD", "set", "pass-older", "pass-two"),)
    admin.site.store.versions.append(Version(admin.runtime.current.version + 1, 0.0, "ana", changes=old))
    said += admin.reload().text + admin.reload("DEMO_PASSWORD=pass-three").text
    said += "".join(admin.get(path).text for path in ("/admin/flags", "/admin/flags/history", "/admin/status"))
    recorder = admin.runtime.catalogue.plugins["recorder"].instance
    for secret in ("pass-", TOKEN, KEY):
        assert secret not in said + repr(recorder.events)
    assert "***" in said


def test_a_body_without_content_type_changes_nothing(admin: Admin) -> None:
    """415: curl's default for -d is a form, and any other client says what it sends."""
    answer = admin.reload(b"BEDROCK_ENABLED=false", None)
    assert (answer.status_code, answer.json["code"]) == (415, "unsupported_media_type")
    assert admin.runtime.bedrock_enabled()


def test_a_canary_is_set_shown_and_cleared(admin: Admin) -> None:
    """The `canary` block of a JSON body; the answer to a chat tells the cohort, errors too."""
    block = {"flags": {"MAX_TOKENS": "50"}, "include": ["pilot"]}
    assert admin.json("/admin/reload-flags", {"canary": block, "CANARY_PERCENT": 10}).status_code == 200
    shown = {"percent": 10, "flags": {"MAX_TOKENS": 50}, "include": ["pilot"], "salt": ""}
    assert admin.get("/admin/flags").json["canary"] == admin.get("/admin/status").json["canary"] == shown
    assert _chat(admin, message="hi", user="user-1").headers["X-Rom-Cohort"] == "stable"
    assert _chat(admin, message="hi", user="pilot").headers["X-Rom-Cohort"] == "stable"
    # The only key: all of the traffic, which takes a reason.
    everybody = {"canary": {**block, "include": ["app"]}, "reason": "a trial"}
    assert admin.json("/admin/reload-flags", everybody).status_code == 200
    assert _chat(admin, message="hi", user="user-1").headers["X-Rom-Cohort"] == "canary"
    admin.site.transport.steps[:] = [ModelRefused()]
    answer = _chat(admin, message="hi")
    assert (answer.status_code, answer.headers["X-Rom-Cohort"]) == (502, "canary")
    assert admin.json("/admin/reload-flags", {"canary": None}).json["changed"]["canary"]["to"] is None
    assert admin.get("/admin/status").json["canary"] is None
    assert admin.get("/admin/flags").json["flags"]["CANARY_PERCENT"]["value"] == 0


def _chat(admin: Admin, **body: Any) -> Any:
    return admin.app.simulate_post("/api/chat", json=body, headers={"Authorization": f"Bearer {KEY}"})


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


def test_the_status_shows_plugins_with_their_parts(admin: Admin) -> None:
    """One that fails shows its error and hides nothing; failures of observers are counted."""
    body = admin.get("/admin/status").json
    plugins = {plugin["name"]: plugin for plugin in body["plugins"]}
    assert plugins["demo"]["status"] == {"demos": 3}
    assert plugins["failing"]["status"] == {"error": "ValueError: no status"}
    assert (plugins["recorder"]["enabled"], plugins["demo"]["switch"]) == (False, "DEMO_ENABLED")
    assert body["observer_errors"][0]["plugin"] == "failing"
    assert body["observer_errors"][0]["count"] > 0
    assert (body["admitted"], body["max_admitted"], body["active_turns"]) == (0, 20, 0)
    assert body["pools"] == {
        "turns": {"size": 20, "outstanding": 0, "abandoned": 0},
        "tools": {"size": 16, "outstanding": 0, "abandoned": 0},
    }
    assert (body["version"], body["bedrock_enabled"], body["draining"]) == (1, True, False)


def test_trouble_with_the_store_shows_everywhere(admin: Admin) -> None:
    """Readiness, flags, status; a change is refused with 503 store_unavailable, the kill switch is not."""
    admin.site.store.broken = True
    assert admin.app.simulate_get("/ready").json["flags_store"] == "unwritable"
    assert admin.get("/admin/flags").json["store"]["state"] == "unwritable"
    answer = admin.reload("RATIO=0.25")
    assert (answer.status_code, answer.json["code"]) == (503, "store_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    killed = admin.reload("BEDROCK_ENABLED=false").json
    assert (killed["durable"], killed["version"]) == (False, 2)
    assert admin.get("/admin/status").json["store"] == {
        "state": "unwritable",
        "detail": "told to fail",
        "durable": False,
    }
    assert admin.app.simulate_get("/ready").status_code == 200


def test_a_kill_that_is_not_in_force_yet_shows_everywhere(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another change holds up everything: 200, not durable, off; nobody reads that Bedrock is on."""
    monkeypatch.setattr("rom_core.flags.control._LOCK_SECONDS", 0.01)
    with held(admin.flags):
        assert admin.reload("BEDROCK_ENABLED=false").json == {
            "version": 1,
            "changed": {"BEDROCK_ENABLED": {"from": True, "to": False}},
            "durable": False,
            "skipped": [],
            "awaiting_restart": {},
            "in_force": {"instances": 1, "of": 1, "unconfirmed": []},
        }
        assert admin.reload("RATIO=0.25").status_code == 503
        shown, status = admin.get("/admin/flags").json, admin.get("/admin/status").json
    assert (shown["flags"]["BEDROCK_ENABLED"]["value"], shown["store"]["durable"]) == (False, False)
    assert (status["bedrock_enabled"], status["store"]["durable"]) == (False, False)
    assert _chat(admin, message="hi").json["code"] == "bedrock_disabled"
    assert admin.reload().json["durable"] is True
    assert admin.site.store.load().values == {"BEDROCK_ENABLED": False}


def test_a_store_that_was_restored_is_told_while_the_process_lives(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It works, and an operator should look at what it holds."""
    monkeypatch.setattr(type(admin.site.store), "trouble", Trouble("restored", "damaged"))
    assert admin.app.simulate_get("/ready").json["flags_store"] == "restored"
    assert admin.reload("RATIO=0.25").json["durable"] is True


@pytest.mark.parametrize(
    "path", ["/admin/flags", "/admin/reload-flags", "/admin/flags/history", "/admin/flags/rollback", "/admin/status"]
)
def test_every_route_wants_an_admin_token(admin: Admin, path: str) -> None:
    """Not an API key, and closed with an explanation where there is no token."""
    post = path in ("/admin/reload-flags", "/admin/flags/rollback")
    ask = admin.app.simulate_post if post else admin.app.simulate_get
    assert ask(path).status_code == 401
    assert ask(path, headers={"Authorization": f"Bearer {KEY}"}).status_code == 401
    del admin.site.environ["ADMIN_TOKEN"]
    closed = testing.TestClient(create_app(admin.site.start()[0]))
    answer = (closed.simulate_post if post else closed.simulate_get)(path)
    assert (answer.status_code, answer.json["code"]) == (403, "admin_closed")
    assert "ADMIN_TOKEN" in answer.json["detail"]


def test_keys_and_tokens_are_read_again_by_a_reload(admin: Admin) -> None:
    """A key that was taken out of the file opens nothing any more; a new token counts at once."""
    del admin.site.environ["API_KEYS"], admin.site.environ["ADMIN_TOKEN"]
    admin.site.write("ADMIN_TOKEN=first-token-of-all\nAPI_KEYS=old-key-of-a-client\n", ".env")
    admin.runtime, admin.flags = admin.site.start()
    admin.app = testing.TestClient(create_app(admin.runtime))
    admin.site.write("ADMIN_TOKEN=second-token-of-all\nAPI_KEYS=new-key-of-a-client\n", ".env")
    bearer = {"Authorization": "Bearer first-token-of-all"}
    assert admin.app.simulate_post("/admin/reload-flags", headers=bearer).status_code == 200
    assert admin.get("/admin/flags", token="first-token-of-all").status_code == 401
    assert admin.get("/admin/flags", token="second-token-of-all").status_code == 200
    for key, status in (("old-key-of-a-client", 401), ("new-key-of-a-client", 200)):
        answer = admin.app.simulate_post("/api/chat", json={"message": "hi"}, headers={"X-Api-Key": key})
        assert answer.status_code == status


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
