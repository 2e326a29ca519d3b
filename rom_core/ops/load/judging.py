"""The verdict on a run: by the rules of the gate, over what the clients saw and over what /metrics shows."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from rom_core.gate import Check, Figures, Outcome, Thresholds, Verdict, certain_to_fail, judge
from rom_core.ops.load.invariants import KINDS
from rom_core.ops.load.recording import Recording

# What a client can tell of the gate's checks.
_OF_CLIENTS = ("errors", "p95", "refused")


@dataclass(frozen=True, slots=True)
class LoadVerdict:
    """`client` and `server` hold the checks of each side; `violations` counts what may never happen, by kind."""

    outcome: Outcome
    client: tuple[Check, ...]
    server: Verdict
    violations: dict[str, int]
    reasons: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        server = self.server.as_dict()
        client = Verdict(self.outcome, self.client, (), Figures()).as_dict()["checks"]
        return {
            "outcome": self.outcome.value,
            "reasons": list(self.reasons),
            "never": self.violations,
            "client": client,
            "server": server["checks"],
        }


def verdict_on(recording: Recording, thresholds: Thresholds) -> LoadVerdict:
    """Both sides must pass, and nothing may have happened that never may; one fail of either is a fail."""
    server = judge(recording.figures, thresholds, recording.calm_seconds)
    client = client_checks(recording, thresholds)
    found = Counter(kind for turn in recording.turns for kind in turn.violations)
    counts = {kind: found[kind] for kind in KINDS}
    unrecovered = [one.name for one in recording.disturbances if one.recovered is None and not one.cut_short]
    reasons = [*server.reasons]
    reasons += [f"too short a run to see it recover: {one.name}" for one in recording.disturbances if one.cut_short]
    reasons += [f"too short a run to try: {name}" for name in recording.untried]
    if recording.stopped:
        reasons.append(f"{recording.stopped} after {recording.elapsed:.0f} s of {recording.seconds:.0f} s")
    outcomes = {check.outcome for check in (*client, *server.checks)}
    if found or unrecovered or any(check.outcome is Outcome.FAIL for check in client) or server.outcome is Outcome.FAIL:
        outcome = Outcome.FAIL
    elif reasons or Outcome.INCONCLUSIVE in outcomes:
        outcome = Outcome.INCONCLUSIVE
    else:
        outcome = Outcome.PASS
    reasons += [f"no good answer came any more after: {name}" for name in unrecovered]
    return LoadVerdict(outcome, client, server, counts, tuple(reasons))


def client_checks(recording: Recording, thresholds: Thresholds) -> tuple[Check, ...]:
    """The gate's checks that clients can answer for."""
    verdict = judge(_client_figures(recording, thresholds), thresholds, recording.calm_seconds)
    return tuple(check for check in verdict.checks if check.name in _OF_CLIENTS)


def surely_failing(recording: Recording, thresholds: Thresholds) -> bool:
    """Whether the rest of the run cannot change the verdict."""
    if any(turn.violations for turn in recording.turns):
        return True
    figures = replace(_client_figures(recording, thresholds), scrapes=2)
    return certain_to_fail(figures, thresholds) or certain_to_fail(recording.figures, thresholds)


def percentile(values: list[float], share: float) -> float | None:
    """The smallest value that at least this share of all does not exceed; None without any."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def _client_figures(recording: Recording, thresholds: Thresholds) -> Figures:
    turns = recording.calm_turns
    good = sorted(turn.seconds for turn in turns if turn.status == "ok")
    buckets = {seconds: float(number) for number, seconds in enumerate(good, start=1)}
    edge = thresholds.p95_seconds
    buckets |= {edge: float(sum(seconds <= edge for seconds in good)), math.inf: float(len(good))}
    return Figures(
        turns={status: float(count) for status, count in Counter(t.status for t in turns).items()}, buckets=buckets
    )
