"""A rollout as a state machine: phases, windows, verdicts, approvals. It reads no metrics and changes no flags.

A window is as long as what was really watched: time between two looks that were close enough to each other, at every
instance, added up over restarts. Waiting for a person, and too little traffic, only make a phase longer.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from plugins.canary.phases import Phase
from plugins.canary.recent import Recent
from plugins.canary.watcher import COHORTS, Report, together
from rom_core.concurrency.clock import Clock
from rom_core.errors import CanaryConflict
from rom_core.gate import Figures, Outcome, Thresholds, Verdict, certain_to_fail, judge

GATE = "gate"
Status: TypeAlias = Literal["running", "completed", "aborted"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is rolled out, and how: the canary block {flags, include, salt}, phases, limits, seconds between looks."""

    block: Mapping[str, Any]
    phases: tuple[Phase, ...]
    thresholds: Thresholds
    interval: float


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the audit trail: `at` in seconds since the epoch, `by` whom, and JSON `details`."""

    at: float
    by: str
    action: str
    why: str = ""
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judged:
    """A finished window's verdict on both cohorts. `thin`: nothing was wrong but that there was too little traffic."""

    outcome: str
    thin: bool
    at: float
    cohorts: Mapping[str, Any]
    why: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look came to: the gate `passed`, is `inconclusive` over a full window, or `failed`."""

    action: Literal["passed", "inconclusive", "failed"]
    judged: Judged


@dataclass
class Rollout:
    """One rollout. Not for several threads at once.

    `window` is the number of the window under way. `version` is that of the settings with which the newest decision is
    in force; 0 while the rollout is only about to begin.
    """

    plan: Plan
    clock: Clock
    by: str
    why: str
    index: int = 0
    status: Status = "running"
    held: bool = False
    ended_because: str = ""
    judged: Judged | None = None
    window: int = 1
    version: int = 0
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    began: float | None = None
    _figures: dict[str, Figures] = field(default_factory=lambda: {name: Figures() for name in COHORTS})
    _watched: dict[str, float] = field(default_factory=dict)
    _recent: Recent = field(default_factory=Recent)

    def __post_init__(self) -> None:
        self.began = self.clock.time() if self.began is None else self.began

    # -- where it is -------------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.status == "running"

    @property
    def phase(self) -> Phase:
        """The phase it is in, or ended in."""
        return self.plan.phases[self.index]

    @property
    def following(self) -> Phase | None:
        """The phase after this one; None if this is the last."""
        return self.plan.phases[self.index + 1] if self.index + 1 < len(self.plan.phases) else None

    def figures(self, cohort: str) -> Figures:
        """What the current window has shown so far of a cohort, as of the last look."""
        return self._figures[cohort]

    # -- looking -----------------------------------------------------------------------------------------------------

    def look(self, reports: Sequence[Report], live: Collection[str]) -> Finding | None:
        """Add up the reports, time only while all `live` instances watch; what it came to, if it is news.

        After `failed` the caller withdraws the flags and calls `abort`; until then each look fails again.
        """
        if not self.running:
            return None
        of_window = [each for each in reports if (each.rollout, each.window) == (self.id, self.window)]
        watched = self.figures("canary").watched + self._time(of_window, live)
        self._figures = together(of_window, live, watched)
        figures, limits = self.figures("canary"), self.plan.thresholds
        self._recent.add(self.clock.time(), figures.turns)
        full = figures.watched >= self.phase.seconds
        if not full and not certain_to_fail(figures, limits):
            return None
        judged = self._judge()
        if judged.outcome == Outcome.FAIL:
            return Finding("failed", judged)
        if not full:
            return None
        if judged.outcome == Outcome.PASS:
            self.judged = judged
            self._begin()
            return Finding("passed", judged)
        before = self.judged
        if before is not None and before.outcome == Outcome.PASS:
            # The gate has held once; a quiet window afterwards takes nothing back.
            self._begin()
            return None
        self.judged = judged
        if not judged.thin:
            # Nothing that is added can repair figures with a hole in them.
            self._begin()
        elif before is not None and before.thin:
            return None
        return Finding("inconclusive", judged)

    def _time(self, reports: Sequence[Report], live: Collection[str]) -> float:
        """Seconds since the last look for which every instance has watched."""
        before, self._watched = self._watched, {each.instance: each.watched for each in reports}
        return min((self._watched.get(each, 0.0) - before.get(each, 0.0) for each in live), default=0.0)

    # -- people ------------------------------------------------------------------------------------------------------

    def may_leave(self, why: str, failing: str = "") -> None:
        """Whether a person may approve now, with this reason. Raises CanaryConflict.

        `failing`: how many turns fail, as who asks has just seen; "" if few do. No reason outweighs that, and no
        window that went well before.
        """
        self._must_run()
        if self.held:
            raise CanaryConflict("it is held; release it first")
        if failing := failing or self._recent.failing():
            raise CanaryConflict(f"{failing}: no reason is enough; wait until they go well, or abort it")
        judged = self.judged
        if judged is None:
            watched, wanted = self.figures("canary").watched, self.phase.seconds
            raise CanaryConflict(f"the gate has not held for the whole window: {watched:.0f} s of {wanted:.0f} s")
        if judged.outcome == Outcome.PASS:
            return
        if not judged.thin:
            raise CanaryConflict(f"the gate cannot judge, and not for want of traffic: {judged.why}")
        if not why:
            raise CanaryConflict("too little traffic to judge: approving takes a reason")

    def approve(self, by: str, why: str) -> Entry:
        """Leave the phase. Raises CanaryConflict as `may_leave`."""
        self.may_leave(why)
        return self.leave(by, why)

    def leave(self, by: str, why: str) -> Entry:
        """Leave the phase, as was decided when it might be left."""
        entry = self._entry("approved", by, why)
        self.judged = None
        if self.following is None:
            self.status, self.ended_because = "completed", why
        else:
            self.index += 1
            self._begin()
        return entry

    def hold(self, by: str, why: str, *, held: bool = True) -> Entry:
        """Refuse approvals, or (`held` False) no longer; the gate goes on watching. Raises CanaryConflict."""
        self._must_run()
        if self.held == held:
            raise CanaryConflict("it is held already" if held else "it is not held")
        self.held = held
        return self._entry("held" if held else "released", by, why)

    def abort(self, by: str, why: str, judged: Judged | None = None) -> Entry:
        """End it. Raises CanaryConflict if it has ended."""
        self._must_run()
        self.status, self.ended_because = "aborted", why
        self.judged = judged or self.judged
        return self._entry("aborted", by, why, judged or self._judge())

    def entry(self, action: str, by: str, why: str, judged: Judged | None = None) -> Entry:
        """An entry for the audit trail, with the figures it rests on: those given, else of the last judged window."""
        return self._entry(action, by, why, judged)

    # -- keeping -----------------------------------------------------------------------------------------------------

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        plan = self.plan
        return {
            "plan": {
                "block": dict(plan.block),
                "phases": [asdict(phase) for phase in plan.phases],
                "thresholds": asdict(plan.thresholds),
                "interval": plan.interval,
            },
            "by": self.by,
            "why": self.why,
            "index": self.index,
            "status": self.status,
            "held": self.held,
            "ended_because": self.ended_because,
            "judged": None if self.judged is None else asdict(self.judged),
            "figures": {cohort: self.figures(cohort).as_dict() for cohort in COHORTS},
            "window": self.window,
            "version": self.version,
            "id": self.id,
            "began": self.began,
            "watched": dict(self._watched),
            "recent": self._recent.as_list(),
        }

    @staticmethod
    def of(values: Mapping[str, Any], clock: Clock) -> Rollout:
        """What `as_dict` gave. Raises KeyError, TypeError or ValueError for anything else."""
        plan, judged = values["plan"], values["judged"]
        return Rollout(
            Plan(
                plan["block"],
                tuple(Phase(**phase) for phase in plan["phases"]),
                Thresholds(**plan["thresholds"]),
                plan["interval"],
            ),
            clock,
            values["by"],
            values["why"],
            values["index"],
            values["status"],
            values["held"],
            values["ended_because"],
            None if judged is None else Judged(**judged),
            values.get("window", 1),
            values.get("version", 0),
            values.get("id") or secrets.token_hex(8),
            values.get("began"),
            {cohort: Figures.of(values["figures"][cohort]) for cohort in COHORTS},
            {str(instance): float(seconds) for instance, seconds in values.get("watched", {}).items()},
            Recent(values.get("recent", ())),
        )

    def _judge(self) -> Judged:
        verdicts = {cohort: judge(self.figures(cohort), self.plan.thresholds, self.phase.seconds) for cohort in COHORTS}
        own, stable = verdicts["canary"], verdicts["stable"]
        thin = own.outcome is Outcome.INCONCLUSIVE and not own.reasons and not own.figures.missing
        why = f"{_why(own)}; stable meanwhile: {stable.outcome}"
        if stable.outcome is Outcome.FAIL:
            why += f" ({_why(stable)}), so it need not be the canary's doing"
        shown = {cohort: verdict.as_dict() for cohort, verdict in verdicts.items()}
        return Judged(own.outcome.value, thin, self.clock.time(), shown, why)

    def _begin(self) -> None:
        """A new window."""
        self.window += 1
        self._figures = {name: Figures() for name in COHORTS}
        self._watched = {}
        self._recent = Recent()

    def _must_run(self) -> None:
        if not self.running:
            raise CanaryConflict(f"it has ended: {self.status}")

    def _entry(self, action: str, by: str, why: str, judged: Judged | None = None) -> Entry:
        shown = judged or self.judged
        details: dict[str, Any] = {"phase": self.index + 1, "percent": self.phase.percent}
        if shown is not None:
            details |= {"outcome": shown.outcome, "figures": dict(shown.cohorts)}
        return Entry(self.clock.time(), by, action, why, details)


def _why(verdict: Verdict) -> str:
    """What decided, in words."""
    deciding = [f"{check.name}: {check.why}" for check in verdict.checks if check.outcome is verdict.outcome]
    gaps = () if verdict.outcome is Outcome.FAIL else verdict.reasons
    return "; ".join([*gaps, *deciding])
