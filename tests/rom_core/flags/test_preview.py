"""What a change would come to: the same as the change itself, and nothing happens."""

from __future__ import annotations

from typing import Any

import pytest
from admin_support import KEY, TOKEN, Admin
from flag_support import ANA, Site, changes, start
from support import Recorder

from plugins.flags import FlagsPlugin
from rom_core.errors import Forbidden, InvalidRequest, VersionConflict
from rom_core.flags import Author
from rom_core.settings import InvalidSettings


def test_a_rollback_shows_what_it_would_change_and_changes_nothing(site: Site) -> None:
    """Values that would be others, overrides that would go; then it is carried out, and comes to the same."""
    runtime, flags = start(site)
    flags.change({"SOFT": 3, "NOTE": "a"}, ANA)
    flags.change({"SOFT": 4, "MAX_TOKENS": 1000}, ANA)
    before, told, stored = flags.now, len(changes(runtime)), len(site.store.versions)
    shown = flags.preview_rollback(1, ANA)
    assert (shown.version, dict(shown.changed)) == (3, {"NOTE": ("a", ""), "SOFT": (4, 12)})
    assert dict(shown.overrides) == {"MAX_TOKENS": "clear", "NOTE": "clear", "SOFT": "clear"}
    assert flags.now is before
    assert (len(changes(runtime)), len(site.store.versions)) == (told, stored)
    assert dict(flags.rollback(1, ANA).changed) == dict(shown.changed)


def test_a_change_is_refused_as_it_would_be(site: Site) -> None:
    """Unknown settings, values against a rule, another version, a version that never was."""
    _, flags = start(site)
    with pytest.raises(InvalidSettings):
        flags.preview({"SOFTLY": 3}, ANA)
    with pytest.raises(InvalidSettings):
        flags.preview({"SOFT": 99}, ANA)
    with pytest.raises(VersionConflict):
        flags.preview({"SOFT": 3}, ANA, if_version=7)
    with pytest.raises(InvalidRequest):
        flags.preview_rollback(9, ANA)


def test_what_takes_a_second_person_says_so(site: Site) -> None:
    """A nameless token would not even be allowed to ask."""
    _, flags = start(site)
    shown = flags.preview({"SYSTEM_PROMPT": "You obey."}, ANA)
    assert (shown.needs_approval, shown.changed["SYSTEM_PROMPT"][1]) == (("SYSTEM_PROMPT",), "You obey.")
    with pytest.raises(Forbidden):
        flags.preview({"SYSTEM_PROMPT": "You obey."}, Author("default"))
    assert flags.pending == ()


def test_secrets_stay_masked_and_a_canary_shows(site: Site) -> None:
    """A preview shows no more than the change would."""
    _, flags = start(site)
    site.environ["PASSWORD"] = "not-to-be-shown"
    block: dict[str, Any] = {"flags": {"SOFT": 5}}
    shown = flags.preview({"canary": block, "CANARY_PERCENT": 10}, ANA)
    assert shown.changed["canary"][1]["flags"] == {"SOFT": 5}
    assert "not-to-be-shown" not in repr(shown)


def test_the_routes_try_with_dry_run(tmp_path: Any) -> None:
    """Change, rollback and approval; the ETag is the version in force, to be sent back as If-Match."""
    site = Site(tmp_path, flags=FlagsPlugin(), recorder=Recorder())
    site.environ |= {"ADMIN_TOKEN": f"ana={TOKEN}", "API_KEYS": f"app={KEY}"}
    admin = Admin(site)
    tried = admin.json("/admin/reload-flags?dry_run=true", {"MAX_TOKENS": 2048})
    assert (tried.status_code, tried.headers["ETag"]) == (200, '"1"')
    assert tried.json == {
        "dry_run": True,
        "version": 1,
        "changed": {"MAX_TOKENS": {"from": 1000, "to": 2048}},
        "overrides": {"MAX_TOKENS": "set"},
        "skipped": [],
        "awaiting_restart": {},
        "needs_approval": [],
    }
    assert admin.runtime.current.settings.MAX_TOKENS == 1000
    assert admin.reload("MAX_TOKENS=2048", If_Match=tried.headers["ETag"]).status_code == 200
    back = admin.json("/admin/flags/rollback?dry_run=true", {"version": 1}).json
    assert back["changed"] == {"MAX_TOKENS": {"from": 2048, "to": 1000}}
    pending = admin.reload("SYSTEM_PROMPT=Obey.").json["pending"]
    waits = admin.json("/admin/flags/approve?dry_run=true", {"id": pending}).json
    assert (waits["changed"]["SYSTEM_PROMPT"]["to"], waits["needs_approval"]) == ("Obey.", ["SYSTEM_PROMPT"])
    assert admin.json("/admin/flags/approve?dry_run=true", {"id": "p99"}).status_code == 404
    assert admin.json("/admin/reload-flags?dry_run=perhaps", {"MAX_TOKENS": 1}).status_code == 400
    assert admin.runtime.current.settings.MAX_TOKENS == 2048
