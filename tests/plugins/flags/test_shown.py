"""The admin routes of the settings: what they show, to whom, and what they never show."""

from __future__ import annotations

import jsonschema
import pytest
from admin_support import KEY, TOKEN, Admin
from falcon import testing
from flag_support import SETTINGS_TOML, held

from plugins.flags import shapes
from rom_core.http.app import create_app
from rom_core.store.overrides import Change, Trouble, Version


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
    assert admin.chat(message="hi").json["code"] == "bedrock_disabled"
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
