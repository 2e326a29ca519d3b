"""The verdict as a pure function: thresholds, how much traffic it takes, what makes a window unfit."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rom_core.gate import Check, Figures, GateBroken, Outcome, Thresholds, certain_to_fail, judge, prove
from rom_core.gate.verdict import cases_needed, chance_of, p95

LIMITS = Thresholds()
HOUR = 3600.0


def figures(ok: int = 1000, error: int = 0, rejected: int = 0, slow: int = 0, **others: Any) -> Figures:
    """A healthy hour, but for what is said."""
    healthy: dict[str, Any] = {
        "turns": {"ok": ok, "error": error, "rejected": rejected},
        "buckets": {10.0: ok - slow, 30.0: ok - slow, 45.0: ok, math.inf: ok},
        "attempts": {"ok": ok + error, "throttled": 0},
        "memory": 0.5,
        "watched": HOUR,
        "scrapes": 121,
    }
    return Figures(**(healthy | others))


def check(of: Figures, name: str, limits: Thresholds = LIMITS) -> Check:
    """One check of the verdict."""
    return next(check for check in judge(of, limits, HOUR).checks if check.name == name)


def test_a_healthy_hour_passes() -> None:
    """All checks."""
    verdict = judge(figures(), LIMITS, HOUR)
    assert verdict.outcome is Outcome.PASS
    assert {check.outcome for check in verdict.checks} == {Outcome.PASS}


@pytest.mark.parametrize(
    ("others", "name"),
    [
        ({"ok": 990, "error": 10}, "errors"),
        ({"slow": 50}, "p95"),
        ({"memory": 0.75}, "memory"),
        ({"attempts": {"ok": 950, "throttled": 50}}, "throttled"),
        ({"ok": 950, "rejected": 50}, "refused"),
        ({"restarts": 2}, "restarts"),
    ],
)
def test_at_its_limit_each_check_fails_and_takes_the_verdict_with_it(others: dict[str, Any], name: str) -> None:
    """Below means below: exactly at the limit is a fail, and one bad figure is enough."""
    verdict = judge(figures(**others), LIMITS, HOUR)
    assert [check.name for check in verdict.checks if check.outcome is Outcome.FAIL] == [name]
    assert verdict.outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("others", "name"),
    [
        ({"ok": 991, "error": 9}, "errors"),
        ({"slow": 49}, "p95"),
        ({"memory": 0.749}, "memory"),
        ({"attempts": {"ok": 951, "throttled": 49}}, "throttled"),
        ({"ok": 951, "rejected": 49}, "refused"),
        ({"restarts": 1}, "restarts"),
    ],
)
def test_just_below_its_limit_each_check_passes(others: dict[str, Any], name: str) -> None:
    """The other side of the edge."""
    assert check(figures(**others), name).outcome is Outcome.PASS


def test_299_turns_and_59_good_ones_are_needed() -> None:
    """One less is not enough traffic to judge, which is never a pass."""
    assert (cases_needed(0.01), cases_needed(0.05)) == (299, 59)
    assert judge(figures(ok=299), LIMITS, HOUR).outcome is Outcome.PASS
    verdict = judge(figures(ok=298), LIMITS, HOUR)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "298 of 299" in check(figures(ok=298), "errors").why
    assert check(figures(ok=58), "p95").outcome is Outcome.INCONCLUSIVE
    assert check(figures(ok=59), "p95").outcome is Outcome.PASS


def test_a_stricter_threshold_needs_more_traffic() -> None:
    """The minimum follows from the threshold."""
    assert check(figures(ok=1000), "errors", Thresholds(error_share=0.001)).needed == 2995
    assert judge(figures(ok=1000), Thresholds(error_share=0.001), HOUR).outcome is Outcome.INCONCLUSIVE


def test_no_traffic_at_all_is_inconclusive() -> None:
    """No division by zero, and no pass."""
    nothing = judge(figures(ok=0, attempts={}, buckets={}), LIMITS, HOUR)
    assert nothing.outcome is Outcome.INCONCLUSIVE
    assert judge(Figures(), LIMITS, HOUR).outcome is Outcome.INCONCLUSIVE


def test_few_turns_fail_when_they_are_surely_too_bad() -> None:
    """Four errors of ten turns need no 299; one of ten may be chance."""
    assert check(figures(ok=6, error=4), "errors").outcome is Outcome.FAIL
    assert check(figures(ok=100, error=1), "errors").outcome is Outcome.INCONCLUSIVE


def test_fast_refusals_do_not_make_the_service_look_fast_or_right() -> None:
    """A storm of them changes neither the p95 nor the error rate; it fails by itself."""
    calm, storm = figures(ok=100, error=1, slow=20), figures(ok=100, error=1, slow=20, rejected=100_000)
    for name in ("errors", "p95"):
        assert check(storm, name) == check(calm, name)
    assert check(storm, "refused").outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("missing", "names"),
    [
        ('rom_requests_total{status="error"}', ["errors", "refused"]),
        ('rom_requests_total{status="rejected"}', ["refused"]),
        ('rom_requests_duration_seconds_bucket{status="ok"}', ["p95"]),
        ('rom_model_attempts_total{outcome="throttled"}', ["throttled"]),
        ("rom_memory_used_ratio", ["memory"]),
        ("rom_instance_info", []),
    ],
)
def test_a_missing_series_cannot_be_judged(missing: str, names: list[str]) -> None:
    """However good everything else looks, and it is named; another check that fails still counts."""
    verdict = judge(figures(missing=frozenset({missing})), LIMITS, HOUR)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert [c.name for c in verdict.checks if c.outcome is Outcome.INCONCLUSIVE] == names
    assert missing in " ".join([*(c.why for c in verdict.checks), *verdict.reasons])
    worse = figures(missing=frozenset({missing}), restarts=9)
    assert judge(worse, LIMITS, HOUR).outcome is Outcome.FAIL


def test_several_instances_cannot_be_judged_at_all() -> None:
    """Differences between two processes mean nothing, not even a fail."""
    verdict = judge(figures(ok=1, error=1000, mixed=True), LIMITS, HOUR)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "instance" in verdict.reasons[0]


def test_one_scrape_makes_no_difference() -> None:
    """Two are needed."""
    assert judge(figures(scrapes=1), LIMITS, HOUR).outcome is Outcome.INCONCLUSIVE


def test_time_that_nobody_watched_forbids_a_pass_but_not_a_fail() -> None:
    """A server that was down for a fifth of the window is not healthy because the rest looked good."""
    assert judge(figures(watched=0.8 * HOUR), LIMITS, HOUR).outcome is Outcome.INCONCLUSIVE
    assert judge(figures(watched=0.8 * HOUR, memory=0.9), LIMITS, HOUR).outcome is Outcome.FAIL
    assert judge(figures(watched=0.91 * HOUR), LIMITS, HOUR).outcome is Outcome.PASS


def test_figures_of_a_failing_metrics_plugin_are_incomplete() -> None:
    """It may have failed to count exactly the errors."""
    assert judge(figures(observer_errors=1), LIMITS, HOUR).outcome is Outcome.INCONCLUSIVE


def test_a_p95_bound_between_two_buckets_cannot_be_judged() -> None:
    """Interpolation is a guess: the edges that there are get named."""
    between = check(figures(), "p95", Thresholds(p95_seconds=25))
    assert between.outcome is Outcome.INCONCLUSIVE
    assert "10, 30, 45" in between.why


def test_p95_is_interpolated_within_its_bucket() -> None:
    """As Prometheus does; beyond the last edge it has no bound, and without turns no value."""
    assert p95({10.0: 90.0, 20.0: 100.0, math.inf: 100.0}) == pytest.approx(15.0)
    assert p95({10.0: 100.0, math.inf: 100.0}) == pytest.approx(9.5)
    assert p95({10.0: 90.0, math.inf: 100.0}) == math.inf
    assert p95({}) is None
    assert p95({10.0: 0.0, math.inf: 0.0}) is None


def test_a_watch_ends_early_only_when_it_is_certain_to_fail() -> None:
    """One error among the first turns is no verdict; a hundred are, and so are memory, restarts and a changed id."""
    assert not certain_to_fail(figures(ok=20, error=1), LIMITS)
    assert not certain_to_fail(figures(ok=0), LIMITS)
    assert not certain_to_fail(figures(ok=980, error=13), LIMITS)
    assert certain_to_fail(figures(ok=20, error=100), LIMITS)
    assert certain_to_fail(figures(memory=0.8), LIMITS)
    assert certain_to_fail(figures(restarts=2), LIMITS)
    assert certain_to_fail(figures(mixed=True), LIMITS)


def test_chance_is_the_binomial_tail() -> None:
    """Against the plain sum."""
    for bad, cases, share in ((1, 50, 0.01), (4, 10, 0.01), (9, 59, 0.05), (59, 59, 0.5)):
        plain = sum(math.comb(cases, k) * share**k * (1 - share) ** (cases - k) for k in range(bad, cases + 1))
        assert chance_of(bad, cases, share) == pytest.approx(plain, rel=1e-9)


@given(st.integers(0, 2000), st.integers(0, 2000), st.floats(0.001, 0.5))
def test_more_errors_never_improve_a_verdict(ok: int, error: int, share: float) -> None:
    """With the same number of turns."""
    order = [Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL]
    limits = Thresholds(error_share=share)
    now = check(figures(ok=ok + 1, error=error), "errors", limits)
    worse = check(figures(ok=ok, error=error + 1), "errors", limits)
    assert order.index(worse.outcome) >= order.index(now.outcome)


@pytest.mark.parametrize(
    "wrong",
    [
        {"error_share": 0.0},
        {"error_share": 1.0},
        {"memory_ratio": 75.0},
        {"p95_seconds": math.inf},
        {"p95_seconds": 0.0},
        {"throttled_share": math.nan},
        {"restarts": -1},
    ],
)
def test_thresholds_that_judge_nothing_are_refused(wrong: dict[str, Any]) -> None:
    """75 for 75 % would let everything pass."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Thresholds(**wrong)


def test_the_gate_proves_itself() -> None:
    """With sensible thresholds it does; with ones under which a wreck passes it says so."""
    prove(LIMITS)
    prove(Thresholds(error_share=0.001, p95_seconds=900, memory_ratio=0.1))
    with pytest.raises(GateBroken, match="errors"):
        prove(Thresholds(error_share=0.9))


def test_a_gate_that_cannot_tell_bad_from_good_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a metric had another name than the gate looks for, no verdict would be given."""
    monkeypatch.setattr("rom_core.gate.figures.TURNS", "rom_turns_total")
    with pytest.raises(GateBroken):
        prove(LIMITS)


def test_machines_get_valid_json_values() -> None:
    """No NaN and no infinity."""
    verdict = judge(figures(ok=400, buckets={30.0: 0, math.inf: 400}), LIMITS, HOUR).as_dict()
    assert verdict["outcome"] == "fail"
    assert next(c for c in verdict["checks"] if c["name"] == "p95")["value"] is None
