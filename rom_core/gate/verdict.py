"""The verdict: a pure function of figures and thresholds.

A share of bad cases is judged with as many cases as are needed to be 95 % sure: if none of n is bad, the true share is
below p with that certainty once (1 - p)^n <= 0.05, which takes 299 cases for 1 % and 59 for 5 %. That a p95 is below a
bound is the same as less than 5 % of the cases lying above it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rom_core.gate.figures import Figures

DOUBT = 0.05
# While the window lasts the figures are looked at again and again, so an early end must be far surer.
EARLY_DOUBT = 0.0001
P95_SHARE = 0.05
# Share of the window that must have been watched.
WATCHED = 0.9


class Outcome(StrEnum):
    """Inconclusive is an outcome of its own: not enough to judge by, and never a pass."""

    PASS = "pass"  # noqa: S105 - not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What is good enough. Shares are between 0 and 1, exclusive; p95_seconds must be an edge of the histogram.

    Raises ValueError for a threshold that would let everything or nothing pass.
    """

    error_share: float = 0.01
    p95_seconds: float = 30.0
    memory_ratio: float = 0.75
    throttled_share: float = 0.05
    refused_share: float = 0.05
    restarts: int = 1

    def __post_init__(self) -> None:
        for name in ("error_share", "memory_ratio", "throttled_share", "refused_share"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} must lie between 0 and 1, both excluded")
        if not 0 < self.p95_seconds < math.inf:
            raise ValueError("p95_seconds must be a positive number of seconds")
        if self.restarts < 0:
            raise ValueError("restarts cannot be negative")


@dataclass(frozen=True, slots=True)
class Check:
    """One question and its answer. `value` is None if there is none; `cases` of `needed` were there to judge by."""

    name: str
    outcome: Outcome
    value: float | None
    limit: float
    cases: int
    needed: int
    why: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """All checks, and what made the whole window unfit to judge by, if anything."""

    outcome: Outcome
    checks: tuple[Check, ...]
    reasons: tuple[str, ...]
    figures: Figures

    def as_dict(self) -> dict[str, Any]:
        """For machines; an unbounded value is null."""
        figures = self.figures
        return {
            "outcome": self.outcome.value,
            "reasons": list(self.reasons),
            "checks": [
                {
                    "name": check.name,
                    "outcome": check.outcome.value,
                    "value": check.value if check.value is not None and math.isfinite(check.value) else None,
                    "limit": check.limit,
                    "cases": check.cases,
                    "needed": check.needed,
                    "why": check.why,
                }
                for check in self.checks
            ],
            "watched_seconds": round(figures.watched, 1),
            "scrapes": figures.scrapes,
            "failed_scrapes": figures.failed,
            "restarts": figures.restarts,
        }


def judge(figures: Figures, thresholds: Thresholds, window: float) -> Verdict:
    """The verdict at the end of a window of so many seconds."""
    checks = _checks(figures, thresholds, DOUBT)
    unfit = _unfit(figures)
    reasons = unfit + _gaps(figures, window)
    outcomes = {check.outcome for check in checks}
    if unfit:
        outcome = Outcome.INCONCLUSIVE
    elif Outcome.FAIL in outcomes:
        outcome = Outcome.FAIL
    elif reasons or Outcome.INCONCLUSIVE in outcomes:
        outcome = Outcome.INCONCLUSIVE
    else:
        outcome = Outcome.PASS
    return Verdict(outcome, checks, reasons, figures)


def certain_to_fail(figures: Figures, thresholds: Thresholds) -> bool:
    """Whether the rest of the window cannot change the verdict: it surely fails, or several processes answer as one."""
    if figures.mixed or figures.scrapes < 2:
        return figures.mixed
    return any(check.outcome is Outcome.FAIL for check in _checks(figures, thresholds, EARLY_DOUBT, early=True))


def cases_needed(share: float) -> int:
    """How many cases, none of them bad, make it 95 % sure that the true share is below this one."""
    return math.ceil(math.log(DOUBT) / math.log1p(-share))


def chance_of(bad: int, cases: int, share: float) -> float:
    """The chance of at least `bad` bad ones among `cases`, if each is bad with this probability (binomial tail)."""
    if bad <= cases * share:
        return 1.0
    log_term = (
        math.lgamma(cases + 1)
        - math.lgamma(bad + 1)
        - math.lgamma(cases - bad + 1)
        + bad * math.log(share)
        + (cases - bad) * math.log1p(-share)
    )
    term = math.exp(log_term)
    total = 0.0
    # Above the mean the terms only shrink.
    for count in range(bad, cases + 1):
        total += term
        term *= (cases - count) / (count + 1) * share / (1 - share)
        if term < total * 1e-12:
            break
    return min(1.0, total)


def p95(buckets: Mapping[float, float]) -> float | None:
    """The 95th percentile, as `quantile` estimates it."""
    return quantile(buckets, 1 - P95_SHARE)


def quantile(buckets: Mapping[float, float], share: float) -> float | None:
    """Where this share of the cases lies, by interpolation within its bucket, as Prometheus does.

    `buckets` are cumulative counts by upper edge. inf beyond the last finite edge; None without any case.
    """
    edges = sorted(buckets)
    total = buckets.get(math.inf, 0.0)
    if total <= 0:
        return None
    rank = share * total
    lower, below = 0.0, 0.0
    for edge in edges:
        count = buckets[edge]
        if count >= rank:
            return edge if math.isinf(edge) else lower + (edge - lower) * (rank - below) / (count - below)
        lower, below = edge, count
    return math.inf


def _checks(figures: Figures, limits: Thresholds, doubt: float, *, early: bool = False) -> tuple[Check, ...]:
    turns, attempts = figures.turns, figures.attempts
    ok, errors, refused = (turns.get(status, 0.0) for status in ("ok", "error", "rejected"))
    missing = figures.missing
    return (
        _share("errors", errors, ok + errors, limits.error_share, doubt, early, _about(missing, "ok", "error")),
        _duration(figures, limits.p95_seconds, doubt, early),
        _memory(figures, limits.memory_ratio),
        _share(
            "throttled",
            attempts.get("throttled", 0.0),
            sum(attempts.values()),
            limits.throttled_share,
            doubt,
            early,
            [name for name in missing if "model_attempts" in name],
        ),
        _share(
            "refused",
            refused,
            ok + errors + refused,
            limits.refused_share,
            doubt,
            early,
            _about(missing, "ok", "error", "rejected"),
        ),
        _restarts(figures, limits.restarts),
    )


def _share(name: str, bad: float, cases: float, limit: float, doubt: float, early: bool, missing: list[str]) -> Check:
    count, total, needed = round(bad), round(cases), cases_needed(limit)
    value = count / total if total else None
    if missing:
        outcome, why = Outcome.INCONCLUSIVE, f"missing: {', '.join(sorted(missing))}"
    elif total and chance_of(count, total, limit) < doubt:
        outcome, why = Outcome.FAIL, f"{count} of {total} is surely more than {limit:.2%}"
    elif total < needed or early:
        outcome, why = Outcome.INCONCLUSIVE, f"not enough traffic to judge: {total} of {needed} cases"
    elif count / total >= limit:
        outcome, why = Outcome.FAIL, f"{count} of {total} is not below {limit:.2%}"
    else:
        outcome, why = Outcome.PASS, f"{count} of {total}"
    return Check(name, outcome, value, limit, total, needed, why)


def _duration(figures: Figures, limit: float, doubt: float, early: bool) -> Check:
    buckets = figures.buckets
    total = buckets.get(math.inf, 0.0)
    missing = [name for name in figures.missing if "duration" in name]
    if not missing and buckets and limit not in buckets:
        near = ", ".join(f"{edge:g}" for edge in sorted(buckets) if math.isfinite(edge))
        missing = [f"a bucket that ends at {limit:g} s (there are: {near})"]
    beyond = max(0.0, total - buckets.get(limit, 0.0))
    share = _share("p95", beyond, total, P95_SHARE, doubt, early, missing)
    slow = f"{round(beyond)} of {round(total)} took over {limit:g} s"
    why = share.why if share.outcome is Outcome.INCONCLUSIVE else slow
    return Check("p95", share.outcome, p95(buckets), limit, share.cases, share.needed, why)


def _memory(figures: Figures, limit: float) -> Check:
    value = figures.memory
    if value is not None and value >= limit:
        outcome, why = Outcome.FAIL, f"{value:.1%} at its highest is not below {limit:.0%}"
    elif value is None or any("memory" in name for name in figures.missing):
        outcome, why = Outcome.INCONCLUSIVE, "missing: rom_memory_used_ratio, or 0, which means that no limit was found"
    else:
        outcome, why = Outcome.PASS, f"{value:.1%} at its highest"
    return Check("memory", outcome, value, limit, figures.scrapes, 2, why)


def _restarts(figures: Figures, limit: int) -> Check:
    """What a process counted between its last scrape and its end is lost, so one that keeps ending hides its errors."""
    bad = figures.restarts > limit
    outcome = Outcome.FAIL if bad else Outcome.PASS
    return Check("restarts", outcome, figures.restarts, limit, figures.scrapes, 2, f"{figures.restarts} in the window")


def _unfit(figures: Figures) -> tuple[str, ...]:
    """Why the figures mean nothing at all."""
    reasons = []
    if figures.mixed:
        reasons.append("the instance id changed between scrapes: several instances, or a new one, behind one address")
    if figures.scrapes < 2:
        reasons.append(f"{figures.scrapes} scrapes succeeded; a difference takes two")
    return tuple(reasons)


def _gaps(figures: Figures, window: float) -> tuple[str, ...]:
    """Why what was seen is not enough for a pass, although it may be for a fail."""
    reasons = []
    if figures.watched < WATCHED * window:
        reasons.append(f"only {figures.watched:.0f} s of {window:.0f} s were watched, {figures.failed} scrapes failed")
    if "rom_instance_info" in figures.missing:
        reasons.append("missing: rom_instance_info, so that several instances could not be told apart")
    if figures.observer_errors:
        reasons.append(f"the metrics plugin failed {round(figures.observer_errors)} times: its figures are incomplete")
    return tuple(reasons)


def _about(missing: frozenset[str], *statuses: str) -> list[str]:
    """The missing series about turns of these statuses."""
    return [
        name
        for name in missing
        if name.startswith("rom_requests_total") and any(f'status="{status}"' in name for status in statuses)
    ]
