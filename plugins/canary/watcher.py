"""What one instance counts in the window under way, and the sum over all instances by which the gate judges."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rom_core.gate import Figures, Scrape, Window

COHORTS = ("canary", "stable")


@dataclass(frozen=True, slots=True)
class Report:
    """What one instance has counted in a window, by cohort. `closed`: the instance has shut down cleanly since."""

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

    def look(self, rollout: str, window: int, interval: float, scrape: Scrape | None) -> Report:
        """Add a scrape, None for one that failed; the report after it."""
        if self._of != (rollout, window):
            self.follow(rollout, window, interval, scrape)
        elif scrape is not None:
            self._add(scrape)
        else:
            for each in self._windows.values():
                each.fail()
        return self.report(rollout, window)

    def report(self, rollout: str, window: int, *, closed: bool = False) -> Report:
        """What was counted so far."""
        own = self._windows if self._of == (rollout, window) else {}
        figures = {cohort: own[cohort].figures if own else Figures() for cohort in COHORTS}
        return Report(self.instance, rollout, window, figures, closed)

    def _add(self, scrape: Scrape) -> None:
        for window in self._windows.values():
            window.add(scrape)


def together(reports: Sequence[Report], live: Collection[str], watched: float) -> dict[str, Figures]:
    """The figures of all instances by cohort; `watched` are the seconds for which all of those `live` have watched.

    What an instance that did not shut down cleanly counted after its last report is lost: the gate counts that as a
    restart.
    """
    lost = sum(1 for each in reports if not each.closed and each.instance not in live)
    sums = {}
    for cohort in COHORTS:
        parts = [each.cohorts[cohort] for each in reports]
        whole = Figures.together([*parts, Figures(restarts=lost)])
        sums[cohort] = dataclasses.replace(whole, watched=watched, scrapes=max((p.scrapes for p in parts), default=0))
    return sums
