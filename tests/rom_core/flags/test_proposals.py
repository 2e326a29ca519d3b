"""What a change makes of the overrides it finds: on top of them, or back to older ones."""

from __future__ import annotations

import pytest
from flag_support import ANA, MemoryStore, Site, problems, start

from rom_core.errors import InvalidRequest
from rom_core.store.overrides import Change, Version


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


def test_what_a_request_sets_is_never_skipped(site: Site) -> None:
    """Not even under the name of an override that was: it fits, or it is refused."""
    site.store = MemoryStore(Version(2, 0.0, "ana", changes=(Change("SOFT", "set", 12, 30),)))
    runtime, flags = start(site)
    assert problems(flags, SOFT=40) == {"SOFT": "is not below HARD"}
    flags.change({"SOFT": 5}, ANA)
    assert (runtime.current.settings.SOFT, flags.now.skipped) == (5, ())


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
