"""The state machine of a rollout, played through on an injected clock."""

from __future__ import annotations

import json
from typing import Any

import pytest
from canary_support import HOUR, World
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.canary.recent import Recent
from plugins.canary.rollout import Rollout
from plugins.canary.shapes import approval
from rom_core.errors import CanaryConflict


def test_a_rollout_played_through() -> None:
    """10 % for 2 h, 50 % for 4 h, 100 % for 24 h: each left once the gate has held and a person has approved."""
    world, percents = World(), []
    for hours in (2, 4, 24):
        percents.append(world.rollout.phase.percent)
        assert world.watch(hours - 0.5, ok=30) == []
        with pytest.raises(CanaryConflict, match="whole window"):
            world.rollout.approve("ana", "early")
        assert world.watch(0.5, ok=30) == ["passed"]
        assert world.watch(1, ok=30) == []
        entry = world.rollout.approve("ana", "")
        assert (entry.action, entry.by, entry.details["outcome"]) == ("approved", "ana", "pass")
        assert entry.details["figures"]["canary"]["watched_seconds"] >= hours * HOUR
    assert percents == [10, 50, 100]
    assert world.rollout.status == "completed"


def test_without_an_approval_nothing_goes_on() -> None:
    """However long the gate holds."""
    world = World()
    world.watch(10, ok=30)
    assert (world.rollout.index, world.rollout.status) == (0, "running")


def test_the_canary_is_judged_by_its_own_figures() -> None:
    """A bad canary fails amid a good stable cohort, early; a bad stable cohort does not fail a good canary."""
    bad = World()
    assert bad.watch(1, ok=20, error=3)[0] == "failed"
    good = World()
    assert good.watch(2, ok=50, stable_error=50) == ["passed"]
    judged = good.rollout.judged
    assert judged is not None
    assert {cohort: verdict["outcome"] for cohort, verdict in judged.cohorts.items()} == {
        "canary": "pass",
        "stable": "fail",
    }


def test_a_bad_day_for_both_is_said() -> None:
    """The reason of an abort names the stable cohort's failure beside the canary's own."""
    world = World()
    world.watch(0.5, ok=20, error=20, stable_error=100)
    finding = world.look()
    assert finding is not None
    assert "stable meanwhile: fail" in finding.judged.why
    assert "need not be the canary's doing" in finding.judged.why
    entry = world.rollout.abort("gate", finding.judged.why, finding.judged)
    assert (world.rollout.status, world.rollout.ended_because) == ("aborted", finding.judged.why)
    assert entry.details["figures"]["canary"]["outcome"] == "fail"


def test_too_little_traffic_takes_a_person_with_a_reason() -> None:
    """It is no pass; the window goes on, and traffic that comes later makes it one."""
    world = World()
    assert world.watch(2, ok=2) == ["inconclusive"]
    with pytest.raises(CanaryConflict, match="takes a reason"):
        world.rollout.approve("ana", "")
    assert world.watch(1, ok=2) == []
    later = Rollout.of(world.rollout.as_dict(), world.clock)
    assert later.approve("ana", "six people, no complaint").details["outcome"] == "inconclusive"
    assert later.phase.percent == 50
    assert world.watch(1, ok=50) == ["passed"]


@pytest.mark.parametrize(
    ("ok", "error", "says"),
    [
        (8, 2, "2 of 10 of its turns of the window failed"),
        (2000, 4, ""),
        (0, 2, "2 of 2 of its turns of the window failed"),
        (38, 2, "2 of 40 of its turns of the window failed"),
        (39, 2, ""),
        (0, 1, ""),
    ],
)
def test_while_its_turns_fail_nobody_approves(ok: int, error: int, says: str) -> None:
    """Not with a reason, and not although the window before it passed; neither does a restart forget it."""
    world = World()
    assert world.watch(2, ok=50) == ["passed"]
    world.canary.serve(ok)
    world.canary.serve(error, status="error")
    world.clock.advance(600)
    assert world.look() is None
    for rollout in (Rollout.of(json.loads(json.dumps(world.rollout.as_dict())), world.clock), world.rollout):
        if says:
            assert approval(rollout)[0] == "no"
            with pytest.raises(CanaryConflict, match=says):
                rollout.approve("ana", "it will pass")
        else:
            assert approval(rollout) == ("yes", "")


def test_an_hour_that_went_well_does_not_hide_an_outage() -> None:
    """What counts is the last minute too: three failed turns of three, after two thousand good ones."""
    world = World()
    assert world.watch(2, ok=50) == ["passed"]
    world.watch(1, ok=400)
    world.canary.serve(3, status="error")
    world.clock.advance(60)
    world.look()
    assert world.rollout.running
    assert approval(world.rollout) == (
        "no",
        "3 of 3 of its turns of the last 60 s failed: no reason is enough; wait until they go well, or abort it",
    )
    world.canary.serve(80)
    world.clock.advance(60)
    world.look()
    assert approval(world.rollout)[0] == "yes"


def test_looks_that_follow_each_other_fast_are_kept_sparingly() -> None:
    """Ten seconds apart, and one that is a minute old, however often somebody looks."""
    recent = Recent()
    for tenth in range(3000):
        recent.add(tenth / 10, {"ok": float(tenth)})
    looks = recent.as_list()
    assert len(looks) <= 8
    assert looks[-1][0] - looks[0][0] >= 60


def test_figures_with_a_hole_cannot_be_approved() -> None:
    """A missing series is not a want of traffic: the window begins anew."""
    world = World()
    world.canary.without = world.stable.without = ("rom_memory_used_ratio",)
    assert world.watch(2, ok=50) == ["inconclusive"]
    with pytest.raises(CanaryConflict, match="not for want of traffic"):
        world.rollout.approve("ana", "never mind")
    world.canary.without = world.stable.without = ()
    assert world.watch(1.5, ok=50) == []
    assert world.rollout.figures("canary").watched < 2 * HOUR


@pytest.mark.parametrize("closed", [True, False])
def test_time_without_data_does_not_count(closed: bool) -> None:
    """What was watched before a restart counts, the time between does not, and figures are added up."""
    world = World()
    world.watch(1.5, ok=50)
    world.restart(closed=closed)
    assert world.rollout.figures("canary").watched == 1.5 * HOUR
    world.clock.advance(10 * HOUR)
    assert world.watch(1 / 3, ok=50) == []
    assert world.watch(1 / 6, ok=50) == ["passed"]
    judged = world.rollout.judged
    assert judged is not None
    assert judged.cohorts["canary"]["restarts"] == (0 if closed else 1)


def test_a_gap_between_two_looks_does_not_count() -> None:
    """Nor looks that failed."""
    world = World()
    world.watch(1, ok=50)
    for _ in range(6):
        world.clock.advance(600)
        world.look(fails=True)
    assert world.watch(0.5, ok=50) == []
    assert world.rollout.figures("canary").watched == 1.5 * HOUR


def test_a_pause_in_counting_does_not_count() -> None:
    """METRICS_ENABLED off and on again, shorter than any gap: what the canary did meanwhile is in no figure."""
    world = World()
    world.watch(1, ok=50)
    world.canary.resumed = 1
    world.clock.advance(600)
    assert world.look() is None
    assert world.rollout.figures("canary").watched == HOUR
    assert world.watch(5 / 6, ok=50) == []
    assert world.watch(1 / 6, ok=50) == ["passed"]


def test_processes_that_keep_dying_fail_the_gate() -> None:
    """What each counted at its end is lost: errors could hide there."""
    world = World()
    for _ in range(2):
        world.watch(0.5, ok=50)
        world.restart(closed=False)
    finding = world.watch(1 / 6, ok=50)[0]
    assert finding == "failed"


def test_a_pass_can_be_lost_again() -> None:
    """While it waits for a person the gate goes on watching; a quiet night takes nothing back."""
    world = World()
    world.watch(2, ok=50)
    assert world.watch(6) == []
    world.rollout.may_leave("")
    assert "failed" in world.watch(1, ok=10, error=10)


def test_hold_refuses_approvals() -> None:
    """Until it is released; the gate goes on meanwhile, and what has ended takes no decision."""
    world = World()
    world.rollout.hold("bia", "wait for the lawyers")
    assert world.watch(2, ok=50) == ["passed"]
    with pytest.raises(CanaryConflict, match="held"):
        world.rollout.approve("ana", "")
    with pytest.raises(CanaryConflict):
        world.rollout.hold("bia", "")
    world.rollout.hold("bia", "", held=False)
    world.rollout.approve("ana", "")
    world.rollout.abort("ana", "enough")
    assert world.look() is None
    for decide in (world.rollout.approve, world.rollout.hold, world.rollout.abort):
        with pytest.raises(CanaryConflict, match="has ended"):
            decide("ana", "x")


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("watch"), st.integers(0, 60), st.integers(0, 2)),
        st.tuples(st.sampled_from(["approve", "reason", "hold", "release", "crash", "restart", "blind"])),
    ),
    max_size=40,
)


@settings(max_examples=30, deadline=None)
@given(STEPS)
def test_no_way_leads_past_the_gate(steps: list[tuple[Any, ...]]) -> None:
    """Whatever happens, a phase was left only after its whole window was watched, and by an approval of that window."""
    world, watched = World(), 0.0
    for step, *numbers in steps:
        before = world.rollout.index
        match step:
            case "watch":
                ok, error = numbers
                first = world.clock.monotonic()
                if "failed" in world.watch(1, ok=ok, error=error):
                    return
                watched += world.clock.monotonic() - first
            case "crash" | "restart":
                world.restart(closed=step == "restart")
            case "blind":
                world.clock.advance(10 * HOUR)
            case _:
                reason = "judged by hand" if step == "reason" else ""
                needed = world.rollout.phase.seconds
                try:
                    if step in ("hold", "release"):
                        world.rollout.hold("bia", "", held=step == "hold")
                    else:
                        entry = world.rollout.approve("ana", reason)
                        assert watched >= needed
                        assert entry.details["outcome"] == "pass" or reason
                        watched = 0.0
                except CanaryConflict:
                    assert world.rollout.index == before
        assert step in ("approve", "reason") or world.rollout.index == before
        assert Rollout.of(world.rollout.as_dict(), world.clock).as_dict() == world.rollout.as_dict()
