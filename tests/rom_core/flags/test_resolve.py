"""Layers and overrides together: what fits, what gives way, and what stops a change or the start."""

from __future__ import annotations

import pytest
from flag_support import ANA, SETTINGS_TOML, MemoryStore, Site, problems, start
from support import Toolkit, tool

from rom_core import hookspecs
from rom_core.flags.stored import stored_flags
from rom_core.plugin.catalogue import Catalogue
from rom_core.settings import InvalidSettings
from rom_core.store.overrides import Change, Version

# -- a change ----------------------------------------------------------------------------------------------------------


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


# -- the start ---------------------------------------------------------------------------------------------------------


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
    for begin in (
        lambda: start(site),
        lambda: stored_flags(Catalogue.of(hookspecs, **site.plugins), site.root, site.environ),
    ):
        with pytest.raises(InvalidSettings) as caught:
            begin()
        assert {problem.name for problem in caught.value.problems} == {"SOFT", "MAX_TOKNES", "MODEL_PRIMARY", "RATIOS"}
