"""Capacity levels, how long they hold, and what is remembered of the last five minutes."""

from __future__ import annotations

import math

import pytest

from rom_core.gate.verdict import DOUBT, chance_of
from rom_core.telemetry.capacity import (
    ALERT_ONE_IN,
    FEWEST_FAILED,
    MIN_ATTEMPTS,
    Hold,
    Reading,
    RollingCounts,
    RollingHistogram,
)


@pytest.mark.parametrize(
    ("memory", "throttled", "attempts", "level"),
    [
        (None, None, 0, "normal"),
        (0.75, 0.05, 100, "normal"),
        (0.751, 0.0, 100, "alert"),
        (0.90, 0.0, 100, "alert"),
        (0.901, 0.0, 100, "critical"),
        (0.1, 0.051, 100, "alert"),
        (0.1, 0.10, 100, "alert"),
        (0.1, 0.101, 100, "critical"),
        (0.76, 0.5, MIN_ATTEMPTS, "critical"),
        (0.76, 0.5, MIN_ATTEMPTS - 1, "alert"),
        (None, 1.0, MIN_ATTEMPTS, "critical"),
    ],
)
def test_levels(memory: float | None, throttled: float | None, attempts: int, level: str) -> None:
    """Above 75 % of memory or 5 % of 429 is alert, above 90 % or 10 % critical; a few requests are no rate."""
    assert Reading(memory, throttled, attempts).level == level


@pytest.mark.parametrize(
    ("failed", "turns", "level"),
    [
        (0, 0, "normal"),
        (1, 1, "normal"),
        (1, 20, "normal"),
        (2, 2, "critical"),
        (2, 10, "critical"),
        (2, 11, "alert"),
        (2, 24, "alert"),
        (2, 40, "alert"),
        (2, 41, "normal"),
        (7, 140, "alert"),
        (28, 140, "critical"),
        (27, 140, "alert"),
    ],
)
def test_a_twentieth_of_failed_turns_is_alert_and_a_fifth_critical(failed: int, turns: int, level: str) -> None:
    """Both included, with as few turns as a team of six sends in a minute, from two failed ones on."""
    assert Reading(failed=failed, turns=turns).level == level


def test_two_failed_turns_are_the_fewest_that_are_no_chance() -> None:
    """By the gate's own statistics; docs/operate.md and docs/health.md say these numbers."""
    sure = DOUBT - 1e-9
    assert chance_of(FEWEST_FAILED - 1, 1, 1 / ALERT_ONE_IN) >= sure, "one, even the only one, may be chance"
    assert chance_of(FEWEST_FAILED, 7, 1 / ALERT_ONE_IN) < sure <= chance_of(FEWEST_FAILED, 8, 1 / ALERT_ONE_IN)
    assert chance_of(FEWEST_FAILED, 35, 0.01) < sure <= chance_of(FEWEST_FAILED, 36, 0.01)


def test_a_level_rises_at_once_and_falls_after_a_minute() -> None:
    """A value that swings around its threshold is one change, not many."""
    hold = Hold(0.0)
    assert hold.update(1, 1)
    assert (hold.level, hold.since) == (1, 1)
    assert not any(hold.update(now, now % 2) for now in range(2, 100))
    assert hold.update(100, 2)
    assert not hold.update(150, 0)
    assert not hold.update(159.9, 1)
    assert hold.update(160, 0)
    assert hold.level == 1
    assert not hold.update(219.8, 0)
    assert hold.update(220, 0)
    assert (hold.level, hold.since) == (0, 220)


def test_counts_forget_after_five_minutes() -> None:
    """What happened within 300 s counts, rounded to slots of two, also after a long silence."""
    counts = RollingCounts()
    counts.add(5, "a")
    counts.add(290, "a")
    counts.add(290, "b")
    assert counts.totals(299) == {"a": 2, "b": 1}
    assert counts.totals(304) == {"a": 1, "b": 1}
    assert counts.totals(600).total() == 0
    for now in range(0, 10_000, 2):
        counts.add(now, "c")
    assert counts.totals(9_998)["c"] == 150
    assert counts.totals(9_998, 60)["c"] == 30
    assert counts.totals(10_057, 60)["c"] == 1


def test_durations_are_counted_as_a_histogram_counts_them() -> None:
    """Cumulative, an edge belongs to its bucket, what is beyond all edges to the last; old ones leave."""
    durations = RollingHistogram((1, 10))
    assert durations.buckets(0) == {1: 0, 10: 0, math.inf: 0}
    for seconds in (0.5, 1.0, 1.5, 11.0):
        durations.add(5, seconds)
    durations.add(295, 10.0)
    assert durations.buckets(299) == {1: 2, 10: 4, math.inf: 5}
    assert durations.buckets(310) == {1: 0, 10: 1, math.inf: 1}
