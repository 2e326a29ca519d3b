"""The admin routes of the settings: what may be sent, in a form and in JSON, and why it is refused."""

from __future__ import annotations

import pytest
from admin_support import FORM, Admin
from flag_support import SETTINGS_TOML


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


def test_a_body_without_content_type_changes_nothing(admin: Admin) -> None:
    """415: curl's default for -d is a form, and any other client says what it sends."""
    answer = admin.reload(b"BEDROCK_ENABLED=false", None)
    assert (answer.status_code, answer.json["code"]) == (415, "unsupported_media_type")
    assert admin.runtime.bedrock_enabled()
