"""Watching over time, on an injected clock."""

from __future__ import annotations

import pytest
from gate_support import HOUR, Scene, refused, unreachable

from rom_core.gate import Interrupted, Outcome


def test_a_good_hour_is_watched_to_its_end_and_passes() -> None:
    """One look at the beginning, one every interval, one at the end; progress is told at each."""
    scene = Scene()
    verdict = scene.run()
    assert verdict.outcome is Outcome.PASS
    assert [look.elapsed for look in scene.looks] == [30.0 * n for n in range(121)]
    assert verdict.figures.turns["ok"] == 600


def test_a_window_that_is_no_multiple_of_the_interval_ends_on_time() -> None:
    """The last look comes sooner."""
    scene = Scene()
    scene.run(window=70)
    assert [look.elapsed for look in scene.looks] == [0, 30, 60, 70]


def test_a_permanent_failure_of_the_first_scrape_ends_the_watch() -> None:
    """Nobody waits two hours to hear that every turn fails."""
    scene = Scene()
    scene.at(3, lambda: scene.server.serve(50, status="error"))
    assert scene.run().outcome is Outcome.FAIL
    assert scene.looks[-1].elapsed == 90


def test_another_instance_ends_it_without_a_verdict() -> None:
    """A balancer over several instances, or a deploy in the middle."""
    scene = Scene()
    scene.at(2, lambda: setattr(scene.server, "instance", "b"))
    assert scene.run().outcome is Outcome.INCONCLUSIVE
    assert scene.looks[-1].elapsed == 60


def test_a_restart_of_the_same_instance_is_survived() -> None:
    """Counters begin anew; the verdict does not care."""
    scene = Scene()
    scene.at(60, lambda: scene.server.restart())
    verdict = scene.run()
    assert verdict.outcome is Outcome.PASS
    assert verdict.figures.restarts == 1


def test_looks_that_fail_now_and_then_are_survived() -> None:
    """Counted and told."""
    scene = Scene()
    for look in (5, 50, 51, 90):
        scene.at(look, unreachable)
    verdict = scene.run()
    assert verdict.outcome is Outcome.PASS
    assert (verdict.figures.failed, scene.looks[5].failure) == (4, "no connection")


def test_a_server_that_is_away_for_long_is_never_passed() -> None:
    """Its good figures are of the time it was there."""
    scene = Scene()
    for look in range(40, 60):
        scene.at(look, unreachable)
    verdict = scene.run()
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "were watched" in verdict.reasons[0]


def test_a_server_that_never_answers_cannot_be_judged() -> None:
    """Watched to the end: it may only be starting."""
    scene = Scene()
    scene.each = unreachable
    verdict = scene.run(window=300)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.figures.failed == 11


def test_a_slow_server_costs_looks_but_no_time() -> None:
    """Looks stay on their grid, and the window ends on time."""
    scene = Scene()
    scene.at(1, lambda: scene.clock.advance(100))
    scene.run(window=300)
    assert [look.elapsed for look in scene.looks] == [0, 130, 150, 180, 210, 240, 270, 300]


def test_stopping_gives_no_verdict() -> None:
    """Ctrl-C is not a pass."""
    scene = Scene()
    scene.at(2, scene.stop.set)
    with pytest.raises(Interrupted):
        scene.run()


def test_a_token_that_is_withdrawn_in_between_is_no_pass() -> None:
    """Later the same answer costs looks alone: what was seen before it may still be a fail."""
    scene = Scene()
    scene.at(60, lambda: setattr(scene, "each", refused))
    verdict = scene.run()
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert (verdict.figures.failed, scene.looks[-1].failure) == (60, "HTTP 401")


def test_a_pause_in_counting_is_no_watched_time() -> None:
    """METRICS_ENABLED off and on again between two looks: what happened meanwhile is in no total."""
    scene = Scene()
    scene.at(60, lambda: setattr(scene.server, "resumed", 1))
    verdict = scene.run()
    assert verdict.figures.watched == HOUR - 30
    assert verdict.outcome is Outcome.PASS
