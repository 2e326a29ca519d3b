"""What one instance counts in the window under way, and the sum over all instances by which the gate judges."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rom_core.gate import Figures, Scrape, Window

COHORTS = ("canary", "stable")


@dataclass(frozen=True, slots=True)
class Told:
    """The figures that one instance tells of a window, by cohort. `closed`: it has ended in good order since."""

    instance: str
    rollout: str
    window: int
    cohorts: Mapping[str, Figures]
    closed: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The figures as JSON."""
        return {cohort: figures.as_dict() for cohort, figures in self.cohorts.items()}

    @property
    def watched(self) -> float:
        """Seconds for which this instance has watched."""
        return self.cohorts["canary"].watched


class Watcher:
    """Counts for the instance `instance`. Not for several threads at once."""

    def __init__(self, instance: str) -> None:
        self.instance = instance
        self._of: tuple[str, int] | None = None
        self._windows: dict[str, Window] = {}

    def follow(self, rollout: str, window: int, interval: float, scrape: Scrape | None) -> None:
        """Begin to count for this window, from `scrape` on; harmless if it is the one under way."""
        if self._of == (rollout, window):
            return
        self._of = (rollout, window)
        self._windows = {cohort: Window(interval, cohort) for cohort in COHORTS}
        if scrape is not None:
            self._add(scrape)

    def look(self, rollout: str, window: int, interval: float, scrape: Scrape | None) -> Told:
        """Take a look, None for one that failed; what there is to tell."""
        if self._of != (rollout, window):
            self.follow(rollout, window, interval, scrape)
        elif scrape is not None:
            self._add(scrape)
        else:
            for each in self._windows.values():
                each.fail()
        return self.told(rollout, window)

    def told(self, rollout: str, window: int, *, closed: bool = False) -> Told:
        """What was counted so far."""
        own = self._windows if self._of == (rollout, window) else {}
        figures = {cohort: own[cohort].figures if own else Figures() for cohort in COHORTS}
        return Told(self.instance, rollout, window, figures, closed)

    def _add(self, scrape: Scrape) -> None:
        for window in self._windows.values():
            window.add(scrape)


def together(told: Sequence[Told], live: Collection[str], watched: float) -> dict[str, Figures]:
    """The figures of all instances by cohort; `watched` are the seconds for which all of those `live` have watched.

    One that is gone without having ended in good order has taken with it what it counted since it last told: a restart,
    as the gate counts them.
    """
    lost = sum(1 for each in told if not each.closed and each.instance not in live)
    sums = {}
    for cohort in COHORTS:
        parts = [each.cohorts[cohort] for each in told]
        whole = Figures.together([*parts, Figures(restarts=lost)])
        sums[cohort] = dataclasses.replace(whole, watched=watched, scrapes=max((p.scrapes for p in parts), default=0))
    return sums
