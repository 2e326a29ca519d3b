"""What the admin routes show of a rollout."""

from __future__ import annotations

import math
from typing import Any

from plugins.canary.rollout import Rollout
from plugins.canary.watcher import COHORTS
from rom_core.concurrency.clock import iso
from rom_core.errors import CanaryConflict
from rom_core.gate.verdict import p95


def shown(rollout: Rollout) -> dict[str, Any]:
    """A rollout as GET /admin/canary shows it, the figures of both cohorts side by side."""
    judged, phase = rollout.judged, rollout.phase
    approvable, why_not = approval(rollout)
    return {
        "status": rollout.status,
        "by": rollout.by,
        "why": rollout.why,
        "percent": phase.percent,
        "phase": rollout.index + 1,
        "phases": [{"percent": each.percent, "seconds": each.seconds} for each in rollout.plan.phases],
        "block": dict(rollout.plan.block),
        "held": rollout.held,
        "ended_because": rollout.ended_because,
        "gate": "watching" if judged is None else judged.outcome,
        "approvable": approvable,
        "why_not": why_not,
        "window_seconds": phase.seconds,
        "watched_seconds": round(rollout.figures("canary").watched, 1),
        "current": {cohort: _counts(rollout, cohort) for cohort in COHORTS},
        "judged": None
        if judged is None
        else {"at": iso(judged.at), "outcome": judged.outcome, "why": judged.why, "cohorts": dict(judged.cohorts)},
    }


def approval(rollout: Rollout, failing: str = "") -> tuple[str, str]:
    """Whether a person may approve: yes, no, or with_reason; and why not just so. `failing` as `may_leave` takes it."""
    try:
        rollout.may_leave("", failing)
    except CanaryConflict as refusal:
        try:
            rollout.may_leave("a reason", failing)
        except CanaryConflict:
            return "no", refusal.detail
        return "with_reason", refusal.detail
    return "yes", ""


def _counts(rollout: Rollout, cohort: str) -> dict[str, float | None]:
    """Turns by status, and the p95 of the good ones in seconds; None if there is none, or no bound to it."""
    figures = rollout.figures(cohort)
    slowest = p95(figures.buckets)
    counts = {status: figures.turns.get(status, 0.0) for status in ("ok", "error", "rejected")}
    return {**counts, "p95_seconds": slowest if slowest is not None and math.isfinite(slowest) else None}
