"""Changing settings while the process runs: all or nothing, durable before it counts, and back again."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from flag_support import ANA, SETTINGS_TOML, MemoryStore, Site
from support import Recorder, Toolkit, make_turn, says, tool

from rom_core.catalogue import Catalogue
from rom_core.config import InvalidSettings, Rule, Setting
from rom_core.config.sqlite_store import DATABASE, SqliteStore
from rom_core.config.store import Change, StoreConflict, Version
from rom_core.errors import BedrockDisabled, InvalidRequest, Overloaded, StoreUnavailable, VersionConflict
from rom_core.events import FlagsStoreTroubled, SettingsChanged
from rom_core.flags import Author, Flags, control
from rom_core.hookspecs import hookimpl
from rom_core.runtime import Runtime


class Limits:
    """A plugin with two settings that must be in order, a secret, and one that is read at start."""

    @hookimpl
    def rom_settings(self) -> list[Setting | Rule]:
        return [
            Setting("LIMITS_ENABLED", bool, True, "on or off", switch=True),
            Setting("SOFT", int, 12, "soft limit", minimum=1),
            Setting("HARD", int, 25, "hard limit", minimum=1),
            Setting("RATIOS", list, (0.5,), "ratios", item=float),
            Setting("TABLE", dict, {}, "a table"),
            Setting("PASSWORD", str, "", "a password", secret=True),
            Setting("PLACE", str, "here", "read at start", runtime=False),
            Rule(("SOFT", "HARD"), lambda s: "is not below HARD" if s.SOFT >= s.HARD else None),
        ]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A project with the plugin above and an observer."""
    return Site(tmp_path, limits=Limits(), recorder=Recorder(), toolkit=Toolkit(tool("look")))


def start(site: Site) -> tuple[Runtime, Flags]:
    """A process whose observer is switched on."""
    site.environ |= {"RECORDER_ENABLED": "true"}
    return site.start()


def changes(runtime: Runtime) -> list[SettingsChanged]:
    """The events of changes."""
    events = runtime.catalogue.plugins["recorder"].instance.events
    return [event for event in events if isinstance(event, SettingsChanged)]


def problems(flags: Flags, **edits: Any) -> dict[str, str]:
    """Why a change is refused, by name; it must leave everything as it was."""
    before = flags.now
    with pytest.raises(InvalidSettings) as caught:
        flags.change(edits, ANA)
    assert flags.now is before
    return {problem.name: problem.message for problem in caught.value.problems}


# -- setting and clearing --------------------------------------------------------------------------------------------


def test_an_override_is_in_force_stored_and_told(site: Site) -> None:
    """One assignment, then one event, with who and why; the next process has it too."""
    runtime, flags = start(site)
    before = runtime.current
    applied = flags.change({"MAX_TOKENS": "2048"}, ANA)
    assert (applied.version, dict(applied.changed), applied.durable) == (2, {"MAX_TOKENS": (1000, 2048)}, True)
    assert runtime.current is not before
    assert (runtime.current.version, runtime.current.settings.MAX_TOKENS) == (2, 2048)
    assert runtime.current.settings.source("MAX_TOKENS") == "override"
    assert before.settings.MAX_TOKENS == 1000
    event = changes(runtime)[-1]
    assert (event.version, dict(event.changes), event.by, event.why, event.trace_id) == (
        2,
        {"MAX_TOKENS": (1000, 2048)},
        "ana",
        "because",
        "trace-1",
    )
    restarted, _ = start(site)
    assert (restarted.current.version, restarted.current.settings.MAX_TOKENS) == (2, 2048)


@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_value_clears_an_override(site: Site, empty: str | None) -> None:
    """The layers below count again."""
    runtime, flags = start(site)
    flags.change({"MAX_TOKENS": 7, "SOFT": 3}, ANA)
    applied = flags.change({"MAX_TOKENS": empty}, ANA)
    assert dict(applied.changed) == {"MAX_TOKENS": (7, 1000)}
    assert runtime.current.settings.source("MAX_TOKENS") == "settings.toml [default]"
    assert runtime.current.settings.SOFT == 3
    assert flags.change({"MAX_TOKENS": empty}, ANA).version == applied.version


@pytest.mark.parametrize("text", ["no", "off", "FALSE", "0", "false", "Off", " no "])
def test_false_is_false_in_every_spelling(site: Site, text: str) -> None:
    """A switch that was meant to be off is off."""
    runtime, flags = start(site)
    flags.change({"LIMITS_ENABLED": text}, ANA)
    assert runtime.current.settings.LIMITS_ENABLED is False
    assert "limits" not in runtime.current.pipeline.plugins


@pytest.mark.parametrize("text", ["@format {env[HOME]}", "@read_file /etc/hostname", "@json {}", "@none", "@int 3"])
def test_no_cast_of_the_layers_is_reachable(site: Site, text: str) -> None:
    """Text is text; for another type it is refused."""
    runtime, flags = start(site)
    flags.change({"SYSTEM_PROMPT": text}, ANA)
    assert text == runtime.current.settings.SYSTEM_PROMPT
    assert set(problems(flags, MAX_TOKENS=text, LIMITS_ENABLED=text, TABLE=text)) == {
        "MAX_TOKENS",
        "LIMITS_ENABLED",
        "TABLE",
    }


def test_a_change_is_all_or_nothing_and_every_problem_is_named(site: Site) -> None:
    """A misspelt name with the nearest real one, a wrong type, a range, a secret, one read at start."""
    _, flags = start(site)
    found = problems(
        flags, SOFT=5, MAX_TOKNES=1, HARD="many", MAX_TOKENS=0, PASSWORD="x", PLACE="there", RATIOS=[1, "a"], soft=1
    )
    assert found == {
        "MAX_TOKNES": "unknown setting; did you mean MAX_TOKENS?",
        "HARD": "must be a whole number, not 'many'",
        "MAX_TOKENS": "must be at least 1, not 0",
        "PASSWORD": "a secret belongs in .secrets.local.toml or the environment",
        "PLACE": "cannot be changed at run time; change a file and restart",
        "RATIOS": "element 2: must be a finite number, not 'a'",
        "soft": "unknown setting; did you mean SOFT?",
    }


def test_relations_are_judged_together_with_what_is_in_force(site: Site) -> None:
    """Soft below hard, whichever of the two is changed; a broken relation is told beside broken values."""
    runtime, flags = start(site)
    assert problems(flags, SOFT=30) == {"SOFT": "is not below HARD"}
    assert problems(flags, SOFT=30, MAX_TOKENS="x") == {
        "SOFT": "is not below HARD",
        "MAX_TOKENS": "must be a whole number, not 'x'",
    }
    flags.change({"SOFT": 30, "HARD": 40}, ANA)
    assert problems(flags, HARD=None) == {"SOFT": "is not below HARD"}
    assert problems(flags, MODEL_PRIMARY="anthropic.nobody").keys() == {"MODEL_PRIMARY"}
    assert (runtime.current.settings.SOFT, runtime.current.settings.HARD) == (30, 40)


def test_a_plugin_that_cannot_be_used_refuses_the_change(site: Site) -> None:
    """Switching it on is the setting to blame."""
    site.plugins["other"] = Toolkit(tool("look"))
    _, flags = start(site)
    flags.change({"TOOLKIT_ENABLED": True}, ANA)
    assert problems(flags, OTHER_ENABLED=True).keys() == {"TOOLKIT_ENABLED"}


def test_a_change_of_nothing_is_no_version(site: Site) -> None:
    """A reload without news, and an override set again to its value, leave the version and tell nobody."""
    runtime, flags = start(site)
    flags.change({"SOFT": 3}, ANA)
    told = len(changes(runtime))
    assert flags.change({}, ANA).version == 2
    assert flags.change({"SOFT": "3"}, ANA).version == 2
    assert len(changes(runtime)) == told
    assert flags.change({"MAX_TOKENS": 1000}, ANA).version == 3


def test_if_version_keeps_two_operators_apart(site: Site) -> None:
    """Whoever looked at an older version is refused, and told the one in force."""
    _, flags = start(site)
    flags.change({"SOFT": 3}, ANA, if_version=1)
    with pytest.raises(VersionConflict) as caught:
        flags.change({"SOFT": 4}, ANA, if_version=1)
    assert caught.value.members == {"version": 2}
    with pytest.raises(VersionConflict):
        flags.rollback(1, ANA, if_version=1)
    assert flags.change({"SOFT": 4}, ANA, if_version=2).version == 3


def test_the_level_of_the_log_follows_its_setting(site: Site) -> None:
    """More or fewer lines, without a restart."""
    _, flags = start(site)
    root = logging.getLogger()
    before = root.level
    try:
        flags.change({"LOG_LEVEL": "ERROR"}, ANA)
        assert root.level == logging.ERROR
        flags.change({"LOG_LEVEL": None}, ANA)
        assert root.level == logging.INFO
    finally:
        root.setLevel(before)


# -- the layers below ------------------------------------------------------------------------------------------------


def test_a_reload_sees_edited_files_and_the_environment_still_outranks_env(site: Site) -> None:
    """settings.toml and .env as they are now; a variable of the process wins over .env, an override over all."""
    site.environ["SOFT"] = "5"
    site.write("HARD=26\nSOFT=6\n", ".env")
    runtime, flags = start(site)
    assert (runtime.current.settings.HARD, runtime.current.settings.SOFT) == (26, 5)
    site.write("HARD=27\nSOFT=7\n", ".env")
    site.write(SETTINGS_TOML.replace("1000", "1001"))
    applied = flags.change({}, ANA)
    assert dict(applied.changed) == {"HARD": (26, 27), "MAX_TOKENS": (1000, 1001)}
    entry = site.store.versions[-1]
    assert entry.changes == (Change("HARD", "reload", 26, 27), Change("MAX_TOKENS", "reload", 1000, 1001))
    flags.change({"SOFT": 8}, ANA)
    assert runtime.current.settings.SOFT == 8


def test_a_broken_file_keeps_everything_as_it_was(site: Site) -> None:
    """Also what the request itself asked for."""
    runtime, flags = start(site)
    site.write("[default]\nMAX_TOKENS = 'x'\nSOTF = 3\n")
    assert set(problems(flags, HARD=30)) == {"MAX_TOKENS", "SOTF"}
    assert (runtime.current.version, site.store.load().values) == (1, {})


def test_what_is_read_at_start_waits_for_a_restart(site: Site) -> None:
    """The value in force stays, and the answer says what a restart would make of it; rules see the value in force."""
    runtime, flags = start(site)
    site.write(SETTINGS_TOML + 'PLACE = "there"\nHOST = "0.0.0.0"\n')
    site.write("ROM_ENV=staging\n", ".env")
    del site.environ["ROM_ENV"]
    applied = flags.change({}, ANA)
    assert dict(applied.awaiting_restart) == {"PLACE": "there", "HOST": "0.0.0.0", "ROM_ENV": "staging"}
    assert (runtime.current.settings.PLACE, runtime.current.settings.environment) == ("here", "testing")
    assert (applied.version, dict(applied.changed)) == (1, {})


def test_secrets_are_masked_wherever_a_change_shows(site: Site) -> None:
    """In the answer, the history and the event; that one has changed is seen all the same."""
    runtime, flags = start(site)
    site.write('[default]\nPASSWORD = "first-secret"\n', ".secrets.local.toml")
    first = flags.change({}, ANA)
    site.write('[default]\nPASSWORD = "second-secret"\n', ".secrets.local.toml")
    second = flags.change({}, ANA)
    assert dict(first.changed) == {"PASSWORD": ("", "***")}
    assert dict(second.changed) == {"PASSWORD": ("***", "***")}
    assert runtime.current.settings.PASSWORD == "second-secret"
    assert "-secret" not in repr((site.store.versions, changes(runtime), first, second))


# -- rollback --------------------------------------------------------------------------------------------------------


def test_rollback_puts_the_overrides_of_a_version_in_force_as_a_new_version(site: Site) -> None:
    """What was set since is cleared, what was cleared is set, and the rollback can itself be rolled back."""
    runtime, flags = start(site)
    flags.change({"SOFT": 3, "MAX_TOKENS": 50}, ANA)
    flags.change({"SOFT": None, "HARD": 40}, ANA)
    applied = flags.rollback(2, ANA)
    assert (applied.version, dict(applied.changed)) == (4, {"HARD": (40, 25), "SOFT": (12, 3)})
    assert site.store.load().values == {"SOFT": 3, "MAX_TOKENS": 50}
    flags.rollback(3, ANA)
    assert site.store.load().values == {"HARD": 40, "MAX_TOKENS": 50}
    flags.rollback(1, ANA)
    assert (site.store.load().values, runtime.current.settings.MAX_TOKENS) == ({}, 1000)
    with pytest.raises(InvalidRequest, match="no version 99"):
        flags.rollback(99, ANA)


def test_a_rollback_skips_what_this_code_cannot_use(site: Site) -> None:
    """Exactly what a restart with those overrides would do."""
    site.store = MemoryStore(
        Version(2, 0.0, "ana", changes=(Change("SOFT", "set", 12, 99), Change("GONE", "set", None, 1))),
        Version(3, 0.0, "ana", changes=(Change("SOFT", "clear", 99, 12), Change("GONE", "clear", 1, None))),
    )
    runtime, flags = start(site)
    applied = flags.rollback(2, ANA)
    assert {problem.name: problem.message for problem in applied.skipped} == {
        "GONE": "override: unknown setting",
        "SOFT": "is not below HARD",
    }
    assert runtime.current.settings.SOFT == 12
    restarted, _ = start(site)
    assert restarted.current.settings.as_dict() == runtime.current.settings.as_dict()


# -- start -----------------------------------------------------------------------------------------------------------


def test_stored_overrides_that_do_not_fit_are_skipped_at_start(site: Site) -> None:
    """Unknown, invalid, no longer changeable, a secret, against a rule: logged and shown, never fatal; others hold."""
    bad = {"GONE": 1, "MAX_TOKENS": "x", "PLACE": "there", "PASSWORD": "x", "SOFT": 30, "canary": {"flags": {"X": 1}}}
    good = {"BEDROCK_ENABLED": False, "RATIOS": [1, 0.25]}
    stored = tuple(Change(name, "set", None, value) for name, value in (bad | good).items())
    site.store = MemoryStore(Version(2, 0.0, "ana", changes=stored))
    runtime, flags = start(site)
    assert {problem.name for problem in flags.now.skipped} == set(bad)
    settings = runtime.current.settings
    assert (settings.BEDROCK_ENABLED, settings.RATIOS, settings.SOFT) == (False, (1.0, 0.25), 12)
    flags.announce()
    assert flags.change({}, ANA).version == 2
    assert problems(flags, GONE=2) == {"GONE": "unknown setting"}
    assert site.store.load().values == bad | good
    flags.change({"GONE": None, "SOFT": None}, ANA)
    assert {problem.name for problem in flags.now.skipped} == set(bad) - {"GONE", "SOFT"}


def test_an_override_that_fits_again_is_used_again(site: Site) -> None:
    """It was skipped because of a file; once that is put right, a reload brings it back."""
    site.store = MemoryStore(Version(2, 0.0, "ana", changes=(Change("SOFT", "set", 12, 30),)))
    runtime, flags = start(site)
    site.write(SETTINGS_TOML + "HARD = 50\n")
    flags.change({}, ANA)
    assert (runtime.current.settings.SOFT, flags.now.skipped) == (30, ())


def test_what_a_request_sets_is_never_skipped(site: Site) -> None:
    """Not even under the name of an override that was: it fits, or it is refused."""
    site.store = MemoryStore(Version(2, 0.0, "ana", changes=(Change("SOFT", "set", 12, 30),)))
    runtime, flags = start(site)
    assert problems(flags, SOFT=40) == {"SOFT": "is not below HARD"}
    flags.change({"SOFT": 5}, ANA)
    assert (runtime.current.settings.SOFT, flags.now.skipped) == (5, ())


def test_an_override_may_be_what_makes_the_files_valid(site: Site) -> None:
    """A restart accepts what a reload accepted."""
    runtime, flags = start(site)
    flags.change({"HARD": 50}, ANA)
    site.write(SETTINGS_TOML + "SOFT = 30\n")
    flags.change({}, ANA)
    restarted, _ = start(site)
    assert restarted.current.settings.as_dict() == runtime.current.settings.as_dict()


def test_a_stored_switch_of_a_plugin_that_cannot_be_used_does_not_stop_the_start(site: Site) -> None:
    """A rollback to older code must boot."""
    site.plugins["other"] = Toolkit(tool("look"))
    stored = (Change("TOOLKIT_ENABLED", "set", False, True), Change("OTHER_ENABLED", "set", False, True))
    site.store = MemoryStore(Version(2, 0.0, "ana", changes=stored))
    runtime, flags = start(site)
    assert len(flags.now.skipped) == 1
    assert len({"toolkit", "other"} & set(runtime.current.pipeline.plugins)) == 1


def test_what_is_wrong_in_the_files_stops_the_start(site: Site) -> None:
    """An unknown plugin in PLUGINS is named, with the nearest one; a broken relation too."""
    site.write(SETTINGS_TOML + 'SOFT = 99\nPLUGINS = ["limit"]\n')
    with pytest.raises(InvalidSettings) as caught:
        start(site)
    assert {problem.name: problem.message for problem in caught.value.problems} == {
        "SOFT": "is not below HARD",
        "PLUGINS": "no plugin 'limit' is installed; did you mean limits?",
    }


def test_everything_that_is_wrong_at_start_is_told_at_once(site: Site) -> None:
    """Values, names and relations together, so that nobody has to start again and again to see the next."""
    site.write(SETTINGS_TOML + 'SOFT = 99\nMAX_TOKNES = 5\nMODEL_PRIMARY = "nobody"\nRATIOS = ["x"]\n')
    for begin in (lambda: start(site), lambda: Flags.of(Catalogue.of(**site.plugins), site.root, site.environ)):
        with pytest.raises(InvalidSettings) as caught:
            begin()
        assert {problem.name for problem in caught.value.problems} == {"SOFT", "MAX_TOKNES", "MODEL_PRIMARY", "RATIOS"}


# -- the kill switch, and a store that fails -------------------------------------------------------------------------


def test_an_override_that_cannot_be_kept_is_refused(site: Site) -> None:
    """Nothing changes, and the observers hear of the store once."""
    runtime, flags = start(site)
    site.store.broken = True
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            flags.change({"SOFT": 3}, ANA)
    assert (runtime.current.version, runtime.current.settings.SOFT) == (1, 12)
    with pytest.raises(StoreUnavailable):
        flags.change({"BEDROCK_ENABLED": False, "SOFT": 3}, ANA)
    with pytest.raises(StoreUnavailable):
        flags.rollback(1, ANA)


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


def soon(condition: Callable[[], bool]) -> bool:
    """Whether another thread makes it true."""
    give_up = time.monotonic() + 30
    while not condition() and time.monotonic() < give_up:
        time.sleep(0.001)
    return condition()


@contextmanager
def held(flags: Flags) -> Iterator[None]:
    """Another thread is in the middle of a change, and does not get on."""
    took, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with flags._lock:
            took.set()
            let_go.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert took.wait(30)
    try:
        yield
    finally:
        let_go.set()
        holder.join()


def test_the_kill_switch_counts_before_anything_is_waited_for(site: Site) -> None:
    """Bedrock is off while somebody else's change holds everything up; afterwards the kill is one like any other."""
    runtime, flags = start(site)
    applied: list[Any] = []
    killer = threading.Thread(target=lambda: applied.append(flags.change({"BEDROCK_ENABLED": "off"}, ANA)))
    with held(flags):
        killer.start()
        assert soon(lambda: not runtime.bedrock_enabled())
        assert (runtime.bedrock_enabled(), flags.durable) == (False, False)
        assert runtime.current.version == 1
        with pytest.raises(BedrockDisabled):
            runtime.run(make_turn(runtime))
    killer.join()
    assert (applied[0].version, applied[0].durable, dict(applied[0].changed)) == (
        2,
        True,
        {"BEDROCK_ENABLED": (True, False)},
    )
    assert (runtime.bedrock_enabled(), flags.killed, flags.durable) == (False, False, True)
    assert site.store.load().values == {"BEDROCK_ENABLED": False}


def test_a_kill_that_nobody_waits_for_any_more_comes_before_the_next_change(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was answered as not durable; then it is kept under the name of who asked, and switching on again works."""
    runtime, flags = start(site)
    monkeypatch.setattr(control, "_TURN_SECONDS", 0.01)
    with held(flags):
        applied = flags.change({"BEDROCK_ENABLED": "off"}, Author("eva"))
        assert (applied.version, applied.durable, dict(applied.changed)) == (
            1,
            False,
            {"BEDROCK_ENABLED": (True, False)},
        )
        assert dict(flags.change({"BEDROCK_ENABLED": "off"}, ANA).changed) == {}
        with pytest.raises(Overloaded):
            flags.change({"BEDROCK_ENABLED": "on"}, ANA)
        assert runtime.bedrock_enabled() is False
    flags.change({"BEDROCK_ENABLED": "on", "SOFT": 3}, ANA)
    assert (runtime.bedrock_enabled(), flags.durable) == (True, True)
    told = [(entry.by, {change.name: change.after for change in entry.changes}) for entry in site.store.versions[1:]]
    assert told == [("eva", {"BEDROCK_ENABLED": False}), ("ana", {"BEDROCK_ENABLED": True, "SOFT": 3})]
    assert [event.by for event in changes(runtime)] == ["eva", "ana"]


def test_a_kill_outlasts_a_change_that_was_under_way(site: Site) -> None:
    """Asked for while another change switches Bedrock on, it is carried out after that."""
    runtime, flags = start(site)
    load = site.store.load
    killer = threading.Thread(target=lambda: flags.change({"BEDROCK_ENABLED": "off"}, ANA))

    def kill_meanwhile() -> Any:
        site.store.load = load
        killer.start()
        assert soon(lambda: flags.killed)
        return load()

    site.store.load = kill_meanwhile
    flags.change({"BEDROCK_ENABLED": "on"}, ANA)
    assert runtime.bedrock_enabled() is False
    killer.join()
    assert (runtime.bedrock_enabled(), flags.killed) == (False, False)


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
        "DELETE FROM versions",
        f"UPDATE changes SET after = '{'[' * 5000}{']' * 5000}' WHERE name = 'SOFT'",
        "UPDATE versions SET at = x'ff00'",
        "DROP TABLE changes",
    ],
)
def test_a_damaged_database_stops_neither_the_kill_switch_nor_the_next_start(site: Site, statement: str) -> None:
    """Live, and with what is found at boot."""
    site.store = SqliteStore(site.root / "var", lambda: 0.0)
    runtime, flags = start(site)
    flags.change({"SOFT": 3}, ANA)
    with closing(sqlite3.connect(site.root / "var" / DATABASE)) as connection, connection:
        connection.execute(statement)
    flags.change({"BEDROCK_ENABLED": "off"}, ANA)
    assert runtime.bedrock_enabled() is False
    site.store = SqliteStore(site.root / "var", lambda: 0.0)
    restarted, _ = start(site)
    assert restarted.current.settings.HARD == 25


def test_a_running_turn_stops_before_its_next_request(site: Site) -> None:
    """BEDROCK_ENABLED is read live, although the turn keeps its snapshot."""
    runtime, flags = start(site)
    turn = make_turn(runtime)
    flags.change({"BEDROCK_ENABLED": False}, ANA)
    assert turn.settings.BEDROCK_ENABLED is True
    with pytest.raises(BedrockDisabled):
        runtime.run(turn)


def test_a_change_of_another_process_is_taken_over(site: Site) -> None:
    """A reload reads the store; who appends second tries again on top of the first."""
    runtime, flags = start(site)
    _, other = start(site)
    other.change({"MAX_TOKENS": 5}, ANA)
    flags.change({}, ANA)
    assert (runtime.current.version, runtime.current.settings.MAX_TOKENS) == (2, 5)
    site.store.rival = [Version(3, 0.0, "rival", changes=(Change("HARD", "set", 25, 30),))]
    applied = flags.change({"SOFT": 3}, ANA)
    assert (applied.version, dict(applied.changed)) == (4, {"HARD": (25, 30), "SOFT": (12, 3)})
    assert site.store.load().values == {"MAX_TOKENS": 5, "HARD": 30, "SOFT": 3}


def test_what_another_process_stored_and_this_one_cannot_use_holds_up_nobody(site: Site) -> None:
    """An unknown name, a wrong value, a broken relation: skipped and shown; what the request itself sets must fit."""
    runtime, flags = start(site)
    stored = (Change("GONE", "set", None, 1), Change("MAX_TOKENS", "set", 1000, "x"), Change("SOFT", "set", 12, 30))
    site.store.versions.append(Version(2, 0.0, "newer code", changes=stored))
    assert problems(flags, SOFT=40) == {"SOFT": "is not below HARD"}
    applied = flags.change({"RATIOS": [1]}, ANA)
    assert {problem.name for problem in applied.skipped} == {"GONE", "MAX_TOKENS", "SOFT"}
    assert (applied.version, runtime.current.settings.RATIOS) == (3, (1.0,))
    flags.change({"SOFT": 5}, ANA)
    assert {problem.name for problem in flags.now.skipped} == {"GONE", "MAX_TOKENS"}


def test_an_unkept_kill_switch_is_put_on_top_of_what_others_have_written(site: Site) -> None:
    """Its version takes the next free number."""
    _, flags = start(site)
    _, other = start(site)
    site.store.broken = True
    flags.change({"BEDROCK_ENABLED": False}, ANA)
    site.store.broken = False
    other.change({"MAX_TOKENS": 5}, ANA)
    applied = flags.change({"SOFT": 3}, ANA)
    assert (applied.version, applied.durable) == (4, True)
    assert site.store.load().values == {"MAX_TOKENS": 5, "BEDROCK_ENABLED": False, "SOFT": 3}


def test_trouble_with_the_store_is_told_to_observers_once(site: Site) -> None:
    """At start, and when it begins later."""
    runtime, flags = start(site)
    recorder = runtime.catalogue.plugins["recorder"].instance
    flags.announce()
    site.store.broken = True
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            flags.change({"SOFT": 3}, ANA)
    told = [event for event in recorder.events if isinstance(event, FlagsStoreTroubled)]
    assert [event.state for event in told] == ["unwritable"]
    site.store = MemoryStore()
    site.store.broken = True
    _, flags = start(site)
    recorder.events.clear()
    flags.announce()
    assert [event.name for event in recorder.events] == ["flags.store_troubled"]


# -- many at once ----------------------------------------------------------------------------------------------------


def test_no_turn_ever_sees_flags_of_two_versions(tmp_path: Path) -> None:
    """Under reloads from two threads every reader finds SOFT and HARD as one of the versions set them together."""
    site = Site(tmp_path, limits=Limits())
    runtime, flags = site.start(says("ok"))
    stop = threading.Event()
    torn: list[Any] = []
    seen: set[int] = set()

    def read() -> None:
        while not stop.is_set():
            turn = make_turn(runtime)
            first = (turn.snapshot.version, turn.settings.SOFT, turn.settings.HARD)
            runtime.run(turn)
            second = (turn.snapshot.version, turn.settings.SOFT, turn.settings.HARD)
            seen.add(first[0])
            if first != second or first[2] - first[1] not in (13, 1):
                torn.append((first, second))

    def write(numbers: range) -> None:
        for number in numbers:
            flags.change({"SOFT": number, "HARD": number + 1}, ANA)

    readers = [threading.Thread(target=read) for _ in range(3)]
    writers = [threading.Thread(target=write, args=(numbers,)) for numbers in (range(1, 11), range(101, 111))]
    for thread in (*readers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in readers:
        thread.join()
    assert not torn
    assert runtime.current.version == 21
    assert len(seen) > 1
    assert [entry.number for entry in site.store.versions] == list(range(1, 22))
