"""From scrapes to what happened between them: increases, whatever restarts and gaps there were."""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from rom_core.gate.scrape import (
    ATTEMPTS,
    DURATIONS,
    INSTANCE,
    MEMORY,
    OBSERVER_ERRORS,
    RESUMED,
    START_TIME,
    TURNS,
    Scrape,
    Series,
)

Key = TypeVar("Key")

TURN_ROUTES = ("/api/chat", "/v1/chat/completions", "/v1/messages")
"""The routes that run turns: rates and percentiles count these alone, or health checks would drown every error."""
COUNTERS = frozenset({TURNS, DURATIONS, ATTEMPTS, OBSERVER_ERRORS, RESUMED})
# Without one of these there is nothing to judge by; the server exposes all of them before anything happens.
NEEDED = (
    *((TURNS, "status", status) for status in ("ok", "error", "rejected")),
    (DURATIONS, "status", "ok"),
    *((ATTEMPTS, "outcome", outcome) for outcome in ("ok", "throttled")),
    (MEMORY, "", ""),
    (INSTANCE, "", ""),
)
# A gap of more intervals than this between two scrapes is time that nobody watched; so is one, however short, in which
# the server was told to count nothing for a while.
GAP_INTERVALS = 3.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What a window shows. Counts are increases, never totals.

    turns: by status. buckets: turns with status ok that took at most so many seconds, cumulative, +Inf for all.
    attempts: requests to models, by outcome. memory: the highest share of the limit, None if never known.
    watched: seconds between scrapes that were close enough to each other. scrapes, failed: looks that succeeded and
    that did not. restarts: of a process. mixed: several processes answered as one. missing: series that a scrape
    lacked or had no number for. observer_errors: of the plugin that counts all this.
    """

    turns: Mapping[str, float] = field(default_factory=dict)
    buckets: Mapping[float, float] = field(default_factory=dict)
    attempts: Mapping[str, float] = field(default_factory=dict)
    memory: float | None = None
    watched: float = 0.0
    scrapes: int = 0
    failed: int = 0
    restarts: int = 0
    mixed: bool = False
    missing: frozenset[str] = frozenset()
    observer_errors: float = 0.0

    @staticmethod
    def together(parts: Sequence[Figures]) -> Figures:
        """Of several processes, each watched by itself: counts added, the worst of the rest."""
        memories = [part.memory for part in parts if part.memory is not None]
        return Figures(
            turns=_added(part.turns for part in parts),
            buckets=_added(part.buckets for part in parts),
            attempts=_added(part.attempts for part in parts),
            memory=max(memories, default=None),
            watched=min((part.watched for part in parts), default=0.0),
            scrapes=min((part.scrapes for part in parts), default=0),
            failed=sum(part.failed for part in parts),
            restarts=sum(part.restarts for part in parts),
            mixed=any(part.mixed for part in parts),
            missing=frozenset().union(*(part.missing for part in parts)),
            observer_errors=sum(part.observer_errors for part in parts),
        )

    @staticmethod
    def in_turn(parts: Sequence[Figures]) -> Figures:
        """Of one process after another, or of one that was watched with pauses: time is added up too."""
        whole = Figures.together(parts)
        return dataclasses.replace(
            whole, watched=sum(part.watched for part in parts), scrapes=sum(part.scrapes for part in parts)
        )

    def as_dict(self) -> dict[str, Any]:
        """As JSON; `Figures.of` reads it."""
        values = dataclasses.asdict(self) | {"missing": sorted(self.missing)}
        return values | {"buckets": {str(edge): count for edge, count in self.buckets.items()}}

    @staticmethod
    def of(values: Mapping[str, Any]) -> Figures:
        """What `as_dict` gave. Raises TypeError, KeyError or ValueError for anything else."""
        buckets = {float(edge): count for edge, count in values["buckets"].items()}
        return Figures(**(dict(values) | {"buckets": buckets, "missing": frozenset(values["missing"])}))


class Window:
    """Takes the scrapes of one process in order and adds up what happened from one to the next.

    `interval` is how far apart they are meant to be, in seconds. `cohort` is "stable", "canary" or None for all turns;
    requests to models are counted for all, their metric has no cohort.
    """

    def __init__(self, interval: float, cohort: str | None = None) -> None:
        self._interval = interval
        self._cohort = cohort
        self._last: Scrape | None = None
        self._instances: set[str] = set()
        self._several = False
        self._missing: set[str] = set()
        self._increase: defaultdict[Series, float] = defaultdict(float)
        self._memory: float | None = None
        self._watched = 0.0
        self._scrapes = 0
        self._failed = 0
        self._restarts = 0

    def add(self, scrape: Scrape) -> None:
        """The next scrape."""
        self._scrapes += 1
        self._look_for_gaps_in(scrape)
        # Prometheus keeps a label `instance` of its own, and then calls ours `exported_instance`.
        names = [
            _label(series, "exported_instance") or _label(series, "instance")
            for series in scrape.values
            if series[0] == INSTANCE
        ]
        self._several = self._several or len(names) > 1
        self._instances.update(names)
        memory = next((value for series, value in scrape.values.items() if series[0] == MEMORY), math.nan)
        if math.isfinite(memory):
            self._memory = memory if self._memory is None else max(self._memory, memory)
        if self._last is not None:
            self._difference(self._last, scrape)
        self._last = scrape

    def fail(self) -> None:
        """The server could not be scraped."""
        self._failed += 1

    @property
    def figures(self) -> Figures:
        """All that happened so far."""
        turns: defaultdict[str, float] = defaultdict(float)
        buckets: defaultdict[float, float] = defaultdict(float)
        attempts: defaultdict[str, float] = defaultdict(float)
        observer_errors = 0.0
        for series, value in self._increase.items():
            name = series[0]
            if name == TURNS and self._counts(series):
                turns[_label(series, "status")] += value
            elif name == DURATIONS and self._counts(series) and _label(series, "status") == "ok":
                buckets[float(_label(series, "le"))] += value
            elif name == ATTEMPTS:
                attempts[_label(series, "outcome")] += value
            elif name == OBSERVER_ERRORS and _label(series, "plugin") == "metrics":
                observer_errors += value
        return Figures(
            turns=dict(turns),
            buckets=dict(buckets),
            attempts=dict(attempts),
            memory=self._memory,
            watched=self._watched,
            scrapes=self._scrapes,
            failed=self._failed,
            restarts=self._restarts,
            mixed=self._several or len(self._instances) > 1,
            missing=frozenset(self._missing),
            observer_errors=observer_errors,
        )

    def _difference(self, old: Scrape, new: Scrape) -> None:
        restarted = _restarted(old, new)
        self._restarts += restarted
        gap = new.at - old.at
        if gap <= GAP_INTERVALS * self._interval and not _resumed(old, new, restarted=restarted):
            self._watched += gap
        for series, value in new.values.items():
            if series[0] in COUNTERS and math.isfinite(value):
                before = 0.0 if restarted else old.values.get(series, 0.0)
                # A total that was not a number tells nothing about how far it was.
                if math.isfinite(before):
                    self._increase[series] += value - before
        if not restarted:
            gone = {series for series in old.values.keys() - new.values.keys() if series[0] in COUNTERS}
            self._missing |= {_shown(series) for series in gone if self._counts(series)}

    def _look_for_gaps_in(self, scrape: Scrape) -> None:
        for name, label, wanted in NEEDED:
            values = [
                value
                for series, value in scrape.values.items()
                if series[0] == name and (not label or _label(series, label) == wanted) and self._counts(series)
            ]
            # A memory ratio of 0 is how the server says that it does not know.
            if not values or not all(math.isfinite(value) for value in values) or (name == MEMORY and values == [0.0]):
                self._missing.add(f'{name}{{{label}="{wanted}"}}' if label else name)

    def _counts(self, series: Series) -> bool:
        """Whether it is about turns of our cohort; what has neither route nor cohort always is."""
        route, cohort = _label(series, "route"), _label(series, "cohort")
        return (not route or route in TURN_ROUTES) and (not cohort or self._cohort in (None, cohort))


def _restarted(old: Scrape, new: Scrape) -> bool:
    """A process that began anew counts from 0, all of it, also what has grown beyond its old total since."""
    began = [_began(scrape) for scrape in (old, new)]
    if None not in began and began[0] != began[1]:
        return True
    return any(value < old.values.get(series, value) for series, value in new.values.items() if series[0] in COUNTERS)


def _resumed(old: Scrape, new: Scrape, *, restarted: bool) -> bool:
    """Whether counting was switched off and on again in between: what happened meanwhile is in no total."""
    before, after = (_value(scrape, RESUMED) or 0.0 for scrape in (old, new))
    return after > (0.0 if restarted else before)


def _began(scrape: Scrape) -> float | None:
    return _value(scrape, START_TIME)


def _value(scrape: Scrape, name: str) -> float | None:
    """Of a series without labels; None if it is not there or not a number."""
    value = next((value for series, value in scrape.values.items() if series[0] == name), math.nan)
    return value if math.isfinite(value) else None


def _label(series: Series, name: str) -> str:
    return next((value for key, value in series[1] if key == name), "")


def _shown(series: Series) -> str:
    labels = ",".join(f'{key}="{value}"' for key, value in sorted(series[1]))
    return f"{series[0]}{{{labels}}}"


def _added(parts: Iterable[Mapping[Key, float]]) -> dict[Key, float]:
    total: defaultdict[Key, float] = defaultdict(float)
    for part in parts:
        for key, value in part.items():
            total[key] += value
    return dict(total)
