"""The canary: who sees it, that they stay, what it may change, and that it is part of the overrides."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from flag_support import ANA, Site
from hypothesis import given
from hypothesis import strategies as st
from support import Recorder, make_turn

from rom_core.events import SettingsChanged
from rom_core.flags.canary import bucket
from rom_core.markers import hookimpl
from rom_core.runtime import Runtime
from rom_core.settings import InvalidSettings, Rule, Setting


class Limits:
    """A plugin with two related settings, one of the whole process, and a secret."""

    @hookimpl
    def rom_settings(self) -> list[Setting | Rule]:
        return [
            Setting("LIMITS_ENABLED", bool, False, "on or off", switch=True),
            Setting("SOFT", int, 12, "soft limit"),
            Setting("HARD", int, 25, "hard limit"),
            Setting("SLOTS", int, 6, "slots", scope="process"),
            Setting("PLACE", str, "", "read at start", runtime=False),
            Setting("PASSWORD", str, "", "a password", secret=True),
            Rule(("SOFT", "HARD"), lambda s: "is not below HARD" if s.SOFT >= s.HARD else None),
        ]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A project with the plugin above and an observer."""
    site = Site(tmp_path, limits=Limits(), recorder=Recorder())
    site.environ["RECORDER_ENABLED"] = "true"
    return site


def cohorts(runtime: Runtime, users: int = 400) -> set[str]:
    """The users of a population that see the canary."""
    names = [f"user-{n}" for n in range(users)]
    return {name for name in names if make_turn(runtime, user=name).cohort == "canary"}


def refused(site: Site, block: Any, **edits: Any) -> dict[str, str]:
    """Why a block is refused, by name."""
    _, flags = site.start()
    with pytest.raises(InvalidSettings) as caught:
        flags.change({"canary": block, **edits}, ANA)
    assert site.store.load().values == {}
    return {problem.name: problem.message for problem in caught.value.problems}


def test_a_share_of_the_traffic_sees_other_flags_on_another_snapshot(site: Site) -> None:
    """Both are of one version; the plugin that only the canary switches on is in its pipeline alone."""
    runtime, flags = site.start()
    flags.change({"canary": {"flags": {"LIMITS_ENABLED": "on", "SOFT": 3}}, "CANARY_PERCENT": 20}, ANA)
    inside = cohorts(runtime)
    assert 0.1 < len(inside) / 400 < 0.3
    one = make_turn(runtime, user=min(inside))
    assert (one.settings.SOFT, one.settings.LIMITS_ENABLED, one.snapshot.version) == (3, True, 2)
    assert "limits" in one.snapshot.pipeline.plugins
    outside = make_turn(runtime, user=min({f"user-{n}" for n in range(400)} - inside))
    assert (outside.cohort, outside.settings.SOFT, outside.snapshot) == ("stable", 12, runtime.current)
    assert runtime.current.settings.SOFT == 12
    assert "limits" not in runtime.current.pipeline.plugins


def test_raising_the_percentage_moves_nobody_back(site: Site) -> None:
    """Who was in stays in, at 100 everybody is, and back at 10 they are the same as before."""
    runtime, flags = site.start()
    flags.change({"canary": {"flags": {"SOFT": 3}}}, ANA)
    assert cohorts(runtime) == set()
    stages = []
    for percent in (10, 50, 100, 10):
        flags.change({"CANARY_PERCENT": percent}, ANA)
        stages.append(cohorts(runtime))
    assert stages[0] < stages[1] < stages[2]
    assert len(stages[2]) == 400
    assert stages[3] == stages[0]


def test_a_person_stays_on_one_side_over_conversations_and_restarts(site: Site) -> None:
    """The hash takes the API key's name and the user; the conversation counts only without a user."""
    runtime, flags = site.start()
    flags.change({"canary": {"flags": {"SOFT": 3}}, "CANARY_PERCENT": 50}, ANA)
    before = cohorts(runtime)
    flags.change({"canary": {"flags": {"SOFT": 4}}}, ANA)
    restarted, _ = site.start()
    assert cohorts(runtime) == cohorts(restarted) == before
    anonymous = {_cohort(runtime, conversation=f"c{n}") for n in range(40)}
    assert anonymous == {"stable", "canary"}
    assert {_cohort(runtime, user="user-1", conversation=f"c{n}") for n in range(40)} == {
        _cohort(runtime, user="user-1")
    }
    assert {_cohort(runtime, conversation="c1") for _ in range(3)} == {_cohort(runtime, conversation="c1")}
    assert {_cohort(runtime, user="user-1", key=f"key-{n}") for n in range(40)} == {"stable", "canary"}


def _cohort(runtime: Runtime, user: str | None = None, conversation: str = "c", key: str = "") -> str:
    turn = make_turn(runtime)
    request = dataclasses.replace(turn.request, user=user, conversation_id=conversation, key_name=key)
    return runtime.current.for_request(request)[1]


def test_included_keys_are_always_in_and_users_are_not(site: Site) -> None:
    """At zero percent too; a `user` is what a client says of itself, so it opens nothing."""
    runtime, flags = site.start()
    flags.change({"canary": {"flags": {"SOFT": 3}, "include": ["user-7", "pilot"]}}, ANA)
    assert cohorts(runtime) == set()
    assert _cohort(runtime, key="pilot") == "canary"
    assert _cohort(runtime) == "stable"


def test_another_salt_draws_another_sample(site: Site) -> None:
    """The same people need not try out everything."""
    runtime, flags = site.start()
    flags.change({"canary": {"flags": {"SOFT": 3}}, "CANARY_PERCENT": 20}, ANA)
    first = cohorts(runtime)
    flags.change({"canary": {"flags": {"SOFT": 3}, "salt": "second"}}, ANA)
    assert first - cohorts(runtime)
    assert cohorts(runtime) - first


@given(st.text(), st.text(), st.sampled_from(["user", "conversation"]), st.text())
def test_a_bucket_is_a_number_below_100_and_always_the_same(salt: str, key: str, kind: str, identity: str) -> None:
    """So 0 percent is nobody and 100 percent is everybody."""
    number = bucket(salt, key, kind, identity)
    assert 0 <= number < 100
    assert number == bucket(salt, key, kind, identity)


def test_buckets_are_even_and_do_not_confuse_their_parts() -> None:
    """Ten thousand users fall evenly into tenths; key "a" with user "bc" is not key "ab" with user "c"."""
    counts = [0] * 10
    for n in range(10_000):
        counts[int(bucket("", "", "user", f"user-{n}") // 10)] += 1
    assert min(counts) > 900
    assert max(counts) < 1100
    assert bucket("", "a", "user", "bc") != bucket("", "ab", "user", "c")
    assert bucket("x", "", "user", "1") != bucket("", "x", "user", "1")


def test_a_canary_sets_nothing_that_holds_for_the_whole_process(site: Site) -> None:
    """Not the kill switch, not process settings, not secrets, not what is read at start; each is named."""
    flags = {
        "BEDROCK_ENABLED": False,
        "SLOTS": 3,
        "CANARY_PERCENT": 5,
        "PASSWORD": "x",
        "PLACE": "there",
        "SOFTT": 1,
        "SOFT": "many",
        "HARD": "",
    }
    process = "holds for the whole process, so for all traffic: a canary cannot set it"
    assert refused(site, {"flags": flags}) == {
        "canary.BEDROCK_ENABLED": process,
        "canary.SLOTS": process,
        "canary.CANARY_PERCENT": process,
        "canary.PASSWORD": "cannot be changed at run time",
        "canary.PLACE": "cannot be changed at run time",
        "canary.SOFTT": "unknown setting; did you mean SOFT?",
        "canary.SOFT": "must be a whole number, not 'many'",
        "canary.HARD": "has no value; leave out what the canary does not change",
    }


@pytest.mark.parametrize(
    "block",
    [
        "on",
        ["SOFT"],
        {"flags": ["SOFT"]},
        {"flag": {"SOFT": 1}},
        {"include": ["ana"]},
        {"flags": {}},
        {},
        {"flags": {"SOFT": 1}, "include": "ana"},
        {"flags": {"SOFT": 1}, "include": [1]},
        {"flags": {"SOFT": 1}, "include": [""]},
        {"flags": {"SOFT": 1}, "include": ["u"] * 1001},
        {"flags": {"SOFT": 1}, "salt": 1},
    ],
)
def test_a_malformed_block_is_refused(site: Site, block: Any) -> None:
    """With the name `canary`."""
    assert refused(site, block).keys() == {"canary"}


def test_the_canary_is_judged_with_the_stable_settings_it_stands_on(site: Site) -> None:
    """A relation broken by either is refused, also when the stable side changes later."""
    assert refused(site, {"flags": {"SOFT": 30}}) == {"canary.SOFT": "is not below HARD"}
    runtime, flags = site.start()
    flags.change({"canary": {"flags": {"SOFT": 20}}}, ANA)
    with pytest.raises(InvalidSettings) as caught:
        flags.change({"HARD": 15}, ANA)
    assert [problem.name for problem in caught.value.problems] == ["canary.SOFT"]
    flags.change({"HARD": 15, "canary": None}, ANA)
    assert runtime.current.canary is None


def test_the_canary_is_kept_and_shown_like_an_override(site: Site) -> None:
    """It survives a restart; its event names flags, and keys only by their number."""
    runtime, flags = site.start()
    applied = flags.change({"canary": {"flags": {"SOFT": "3"}, "include": ["pilot"]}}, ANA)
    block = {"flags": {"SOFT": 3}, "include": ["pilot"], "salt": ""}
    assert dict(applied.changed) == {"canary": (None, block)}
    recorder = runtime.catalogue.plugins["recorder"].instance
    event = next(event for event in recorder.events if isinstance(event, SettingsChanged))
    assert dict(event.changes) == {"canary": (None, "SOFT=3, 1 included")}
    restarted, _ = site.start()
    assert restarted.current.canary is not None
    assert restarted.current.canary.as_dict() == block
    assert flags.change({"canary": None}, ANA).version == 3
    assert runtime.current.canary is None
    assert site.store.load().values == {}


@pytest.mark.parametrize("end", ["null", "text", "withdrawn", "replaced"])
def test_a_rollback_never_brings_a_canary_back(site: Site, end: str) -> None:
    """A canary aborted at version 6 stays so after a rollback to 5, at which it had half of the traffic."""
    runtime, flags = site.start()
    flags.change({"SOFT": 5}, ANA)
    flags.change({"canary": {"flags": {"SOFT": 3}}, "CANARY_PERCENT": 10}, ANA)
    flags.change({"MAX_TOKENS": 50}, ANA)
    assert flags.change({"CANARY_PERCENT": 50}, ANA).version == 5
    match end:
        case "withdrawn":
            flags.withdraw_canary(ANA)
        case "replaced":
            flags.change({"canary": {"flags": {"SOFT": 4}}}, ANA)
        case _:
            flags.change({"canary": None if end == "null" else ""}, ANA)
    assert runtime.current.version == 6
    assert (runtime.current.settings.CANARY_PERCENT == 0) == (end != "replaced")
    flags.rollback(5, ANA)
    assert (runtime.current.canary, runtime.current.settings.CANARY_PERCENT) == (None, 0)
    assert site.store.load().values == {"SOFT": 5, "MAX_TOKENS": 50}
    assert cohorts(runtime) == set()


def test_a_rollback_ends_a_canary_that_its_version_does_not_know(site: Site) -> None:
    """Its share of the traffic sees what everybody sees."""
    runtime, flags = site.start()
    flags.change({"canary": {"flags": {"SOFT": 3}}, "CANARY_PERCENT": 50}, ANA)
    flags.rollback(1, ANA)
    assert (runtime.current.canary, site.store.load().values) == (None, {})


def test_a_rollback_of_something_else_leaves_a_canary_in_force(site: Site) -> None:
    """It is the same one at both versions: nothing is brought back."""
    runtime, flags = site.start()
    flags.change({"canary": {"flags": {"SOFT": 3}}, "CANARY_PERCENT": 50}, ANA)
    flags.change({"MAX_TOKENS": 50}, ANA)
    flags.rollback(2, ANA)
    assert runtime.current.canary is not None
    assert (runtime.current.canary.percent, runtime.current.settings.MAX_TOKENS) == (50, 1000)


def test_a_stored_canary_that_does_not_fit_any_more_is_skipped(site: Site) -> None:
    """The stable settings hold, and the reason is shown."""
    _, flags = site.start()
    flags.change({"canary": {"flags": {"SOFT": 20}}}, ANA)
    site.environ["HARD"] = "15"
    restarted, flags = site.start()
    assert restarted.current.canary is None
    assert [(problem.name, problem.message) for problem in flags.now.skipped] == [
        ("canary", "canary.SOFT: is not below HARD")
    ]
