"""How many users a server carries: more and more of them until the gate fails."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from rom_core.gate import Outcome
from rom_core.ops.load.judging import LoadVerdict
from rom_core.ops.load.recording import Recording

GROWTH = 1.5
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

    def notes(self) -> list[str]:
        """Sentences for a report."""
        steps = [f"{one.users} users: {verdict.outcome}" for one, verdict in self.steps]
        return [f"This server carries {self.carried} users. Not more: {self.why}", "; ".join(steps)]


def find_limit(first: int, step: Callable[[int], tuple[Recording, LoadVerdict]]) -> Limit:
    """Run `step` with `first` users, then half as many more, until one does not pass or was interrupted."""
    done: list[tuple[Recording, LoadVerdict]] = []
    users, carried = first, 0
    while users <= MOST_USERS:
        recording, verdict = step(users)
        done.append((recording, verdict))
        if verdict.outcome is not Outcome.PASS:
            return Limit(tuple(done), carried, f"with {users} users {why(verdict)}")
        carried = users
        users = math.ceil(users * GROWTH)
    return Limit(tuple(done), carried, f"no more than {MOST_USERS} are tried")


def why(verdict: LoadVerdict) -> str:
    """What kept it from a pass."""
    sides = (("client", verdict.client), ("server", verdict.server.checks))
    found = [
        f"{check.name} ({side}): {check.why}"
        for side, checks in sides
        for check in checks
        if check.outcome is verdict.outcome
    ]
    found += [f"{kind}: {count}" for kind, count in verdict.never.items() if count]
    return "; ".join([*found, *verdict.reasons]) or "nothing more is known"
