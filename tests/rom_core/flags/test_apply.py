"""A change in force: durable before it counts, on top of the newest version, told in one event."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from flag_support import ANA, Site, changes, start

from rom_core.errors import StoreUnavailable, VersionConflict
from rom_core.store.overrides import Change, Version


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


def test_a_change_is_kept_before_it_counts_and_what_is_done_in_need_counts_first(site: Site) -> None:
    """A canary begins once the store has it; its end does not wait for a disk."""
    runtime, flags = start(site)
    append = site.store.append
    seen: list[bool] = []

    def noted(after: int, versions: Sequence[Version]) -> None:
        seen.append(runtime.current.canary is not None)
        append(after, versions)

    site.store.append = noted
    flags.change({"canary": {"flags": {"SOFT": 3}}, "CANARY_PERCENT": 50}, ANA)
    assert (seen, runtime.current.canary is not None) == ([False], True)
    flags.withdraw_canary(ANA)
    assert (seen, runtime.current.canary) == ([False, False], None)


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
