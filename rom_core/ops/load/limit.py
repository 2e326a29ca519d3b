"""How many users a server carries: more and more of them until the gate fails, then closer to where it did."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rom_core.gate import Outcome
from rom_core.ops.load.judging import LoadVerdict, percentile
from rom_core.ops.load.recording import Recording

GROWTH = 1.5
# Relative precision; below it chance decides.
PRECISION = 0.1
MOST_USERS = 1000


@dataclass(frozen=True, slots=True)
class Limit:
    """`steps` are the runs in order. `carried` is the most users with a pass, 0 if none; `why` not more."""

    steps: tuple[tuple[Recording, LoadVerdict], ...]
    carried: int
    why: str

    @property
    def outcome(self) -> Outcome:
        """Pass if some users were carried, fail if not even the first step was, else it cannot be told."""
        if self.carried:
            return Outcome.PASS
        return Outcome.FAIL if self.steps[-1][1].outcome is Outcome.FAIL else Outcome.INCONCLUSIVE

    def as_dict(self) -> dict[str, Any]:
        """For machines: what was found, and the figures of each step (seconds, MB, USD; None if unknown)."""
        by_users = sorted(self.steps, key=lambda step: step[0].users)
        return {"carried": self.carried, "why": self.why, "steps": [_step(*step) for step in by_users]}

    def notes(self) -> list[str]:
        """Sentences for a report."""
        steps = [f"{one.users} users: {verdict.outcome}" for one, verdict in self.steps]
        return [f"This server carries {self.carried} users. Not more: {self.why}", "; ".join(steps)]


def find_limit(first: int, step: Callable[[int], tuple[Recording, LoadVerdict]]) -> Limit:
    """Run `step` with `first` users, then half as many more, until one does not pass; then between the two.

    It ends when the number is known within PRECISION, or a step cannot be judged: it was interrupted, or too short.
    """
    done: list[tuple[Recording, LoadVerdict]] = []
    users, carried, refused = first, 0, MOST_USERS + 1
    reason = f"no more than {MOST_USERS} are tried"
    while carried < users < refused:
        recording, verdict = step(users)
        done.append((recording, verdict))
        if verdict.outcome is Outcome.PASS:
            carried = users
        else:
            refused, reason = users, f"with {users} users {why(verdict)}"
        if verdict.outcome is Outcome.INCONCLUSIVE or not carried:
            break
        if refused > MOST_USERS:
            users = math.ceil(users * GROWTH)
        elif refused - carried <= max(1, PRECISION * carried):
            break
        else:
            users = (carried + refused) // 2
    return Limit(tuple(done), carried, reason)


def _step(recording: Recording, verdict: LoadVerdict) -> dict[str, Any]:
    good = [turn.seconds for turn in recording.turns if turn.status == "ok"]
    memory = [sample.memory_mb for sample in recording.samples if sample.memory_mb is not None]
    return {
        "users": recording.users,
        "outcome": verdict.outcome.value,
        "turns": len(recording.turns),
        "turns_per_second": round(len(recording.turns) / recording.elapsed, 3) if recording.elapsed else None,
        "p50": percentile(good, 0.5),
        "p95": percentile(good, 0.95),
        "p99": percentile(good, 0.99),
        "failed": sum(turn.status in ("error", "rejected") for turn in recording.turns),
        "memory_mb": max(memory, default=None),
        "cost_an_answer": recording.cost / len(good) if good else None,
    }


def why(verdict: LoadVerdict) -> str:
    """What kept it from a pass."""
    sides = (("client", verdict.client), ("server", verdict.server.checks))
    found = [
        f"{check.name} ({side}): {check.why}"
        for side, checks in sides
        for check in checks
        if check.outcome is verdict.outcome
    ]
    found += [f"{kind}: {count}" for kind, count in verdict.violations.items() if count]
    return "; ".join([*found, *verdict.reasons]) or "nothing more is known"
