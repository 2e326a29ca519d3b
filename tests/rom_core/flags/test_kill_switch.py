"""The kill switch: whatever is broken, Bedrock is off, and that is kept as soon as it can be."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest
from flag_support import ANA, Site, problems, start
from store_support import opened
from support import make_turn

from rom_core.errors import BedrockDisabled, RomError, StoreUnavailable, VersionConflict
from rom_core.flags import Flags
from rom_core.settings import InvalidSettings
from rom_core.store.overrides import StoreConflict, Version


def test_the_kill_switch_works_without_a_store_and_is_kept_as_soon_as_there_is_one(site: Site) -> None:
    """`durable` is false until then; switching it on again is an override like any other."""
    runtime, flags = start(site)
    site.store.broken = True
    applied = flags.change({"BEDROCK_ENABLED": "off"}, ANA)
    assert (applied.version, applied.durable, runtime.bedrock_enabled()) == (2, False, False)
    assert [(v.number, durable) for v, durable in _history_while_broken(site, flags)] == [(2, False), (1, True)]
    with pytest.raises(StoreUnavailable):
        flags.change({"BEDROCK_ENABLED": "on"}, ANA)
    assert flags.change({}, ANA).durable is False
    site.store.broken = False
    assert flags.change({}, ANA).durable is True
    assert site.store.load().values == {"BEDROCK_ENABLED": False}
    assert [v.number for v in site.store.versions] == [1, 2]


def _history_while_broken(site: Site, flags: Flags) -> list[tuple[Version, bool]]:
    site.store.broken = False
    try:
        return flags.history(10)
    finally:
        site.store.broken = True


def test_the_kill_switch_works_while_the_files_are_broken(site: Site) -> None:
    """Nothing else is reloaded, and the answer says why; it is durable, and also set if the override was there."""
    runtime, flags = start(site)
    site.write("this is not TOML")
    applied = flags.change({"BEDROCK_ENABLED": "false"}, ANA)
    assert (dict(applied.changed), applied.durable) == ({"BEDROCK_ENABLED": (True, False)}, True)
    assert [problem.name for problem in applied.not_reloaded] == ["settings.toml"]
    assert runtime.current.settings.source("BEDROCK_ENABLED") == "override"
    assert site.store.load().values == {"BEDROCK_ENABLED": False}
    assert problems(flags, BEDROCK_ENABLED="true").keys() == {"settings.toml"}


@pytest.mark.parametrize(
    "edits",
    [
        {"BEDROCK_ENABLED": "false", "MAX_TOKEN": "7"},
        {"BEDROCK_ENABLED": "fals"},
        {"BEDROCK_ENABLED": "false", "SYSTEM_PROMPT": "You obey."},
        {"BEDROCK_ENABLED": "false", "MAX_TOKENS": "0"},
    ],
    ids=["a misspelt name", "a misspelt value", "a change that waits", "a wrong value"],
)
def test_a_refused_change_that_was_to_switch_bedrock_off_says_that_it_is_on(site: Site, edits: dict[str, str]) -> None:
    """In words, with the way to switch it off by itself: whoever is in a hurry reads 422 as done with a remark."""
    runtime, flags = start(site)
    with pytest.raises(RomError) as refused:
        flags.change(edits, ANA)
    assert runtime.bedrock_enabled() is True
    assert "Nothing was changed: Bedrock is still on" in refused.value.detail
    assert "`rom flags set BEDROCK_ENABLED=false`" in str(refused.value)


def test_nothing_is_said_of_bedrock_where_nobody_meant_it_or_it_is_off(site: Site) -> None:
    """A remark that is always there is not read."""
    _, flags = start(site)
    for edits in ({"MAX_TOKEN": "7"}, {"BEDROCK_ENABLED": "true", "MAX_TOKEN": "7"}, {"BEDROCK_ENABLED": "", "X": "7"}):
        with pytest.raises(InvalidSettings) as refused:
            flags.change(edits, ANA)
        assert "Bedrock" not in str(refused.value)
    flags.change({"BEDROCK_ENABLED": "off"}, ANA)
    with pytest.raises(InvalidSettings) as refused:
        flags.change({"BEDROCK_ENABLED": "off", "MAX_TOKEN": "7"}, ANA)
    assert "Bedrock" not in str(refused.value)


def test_a_kill_for_a_version_that_is_not_in_force_is_refused(site: Site) -> None:
    """Whoever names one wants nothing done on top of another."""
    runtime, flags = start(site)
    with pytest.raises(VersionConflict):
        flags.change({"BEDROCK_ENABLED": "off"}, ANA, if_version=7)
    assert runtime.bedrock_enabled() is True


@pytest.mark.parametrize("method", ["load", "append"])
@pytest.mark.parametrize("error", [RecursionError("deep"), TypeError("no text"), StoreConflict()])
def test_the_kill_switch_survives_whatever_the_store_raises(site: Site, method: str, error: Exception) -> None:
    """It is in force; if it could not be written it is not durable, and kept as soon as the store works again."""
    runtime, flags = start(site)

    def fail(*_: Any) -> Any:
        raise error

    setattr(site.store, method, fail)
    applied = flags.change({"BEDROCK_ENABLED": "off"}, ANA)
    assert (applied.durable, runtime.current.settings.BEDROCK_ENABLED, flags.killed) == (method == "load", False, False)
    delattr(site.store, method)
    assert flags.change({}, ANA).durable is True
    assert site.store.load().values == {"BEDROCK_ENABLED": False}


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM rom_versions",
        f"UPDATE rom_changes SET after = '{'[' * 5000}{']' * 5000}' WHERE name = 'SOFT'",
        "UPDATE rom_versions SET at = x'ff00'",
        "DROP TABLE rom_changes",
    ],
)
def test_a_damaged_database_stops_neither_the_kill_switch_nor_the_next_start(site: Site, statement: str) -> None:
    """Live, and with what is found at boot."""
    site.store = opened(site.root / "var")
    runtime, flags = start(site)
    flags.change({"SOFT": 3}, ANA)
    with closing(sqlite3.connect(site.root / "var" / "rom.db")) as connection, connection:
        connection.execute(statement)
    flags.change({"BEDROCK_ENABLED": "off"}, ANA)
    assert runtime.bedrock_enabled() is False
    site.store = opened(site.root / "var")
    restarted, _ = start(site)
    assert restarted.current.settings.HARD == 25


def test_switching_on_overrules_a_kill_that_could_not_be_carried_out(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bedrock is off for as long as the kill is pending, and that ends when somebody decides otherwise."""
    runtime, flags = start(site)
    read, failures = runtime.clock.time, iter([OSError("no time"), OSError("no time")])

    def fail_twice() -> float:
        for error in failures:
            raise error
        return read()

    monkeypatch.setattr(runtime.clock, "time", fail_twice)
    assert flags.change({"BEDROCK_ENABLED": "off"}, ANA).durable is False
    assert (flags.killed, runtime.bedrock_enabled()) == (True, False)
    flags.change({"BEDROCK_ENABLED": "on"}, ANA)
    assert (flags.killed, runtime.bedrock_enabled()) == (False, True)


def test_a_running_turn_stops_before_its_next_request(site: Site) -> None:
    """BEDROCK_ENABLED is read live, although the turn keeps its snapshot."""
    runtime, flags = start(site)
    turn = make_turn(runtime)
    flags.change({"BEDROCK_ENABLED": False}, ANA)
    assert turn.settings.BEDROCK_ENABLED is True
    with pytest.raises(BedrockDisabled):
        runtime.run(turn)
