"""How near this process is to its limits: memory, throttling and failed turns, as one of three levels."""

from __future__ import annotations

import math
import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

Level = Literal["normal", "alert", "critical"]
LEVELS: tuple[Level, ...] = ("normal", "alert", "critical")
WINDOW_SECONDS = 300.0
"""What rates and percentiles look back on."""
MIN_ATTEMPTS = 20
"""With fewer requests to the model in the window, one throttled request would look like a crisis."""
HOLD_SECONDS = 60.0
"""A level falls only after things have been better for so long, so that a value at a threshold is one change."""
FEWEST_FAILED = 2
"""Failed turns without which no share of them counts.

By the statistics of the gate (`rom_core.gate.verdict`): one failed turn, even the only one there was, may be chance;
two of at most 7 are surely more than a twentieth, two of at most 35 surely more than the 1 % that the gate allows.
"""
ALERT_ONE_IN, CRITICAL_ONE_IN = 20, 5
"""Shares of failed turns, inclusive: a twentieth, a fifth."""
TURN_SECONDS = (0.1, 1, 2.5, 5, 10, 20, 30, 45, 120)
"""Upper edges of the histograms of turns: with +Inf ten buckets, each a line of a scrape for every set of labels."""

MEMORY_LEVELS: Mapping[str, float] = {"alert": 0.75, "critical": 0.90}
"""Of the memory limit, exclusive."""
THROTTLED_LEVELS: Mapping[str, float] = {"alert": 0.05, "critical": 0.10}
"""Shares of requests that were answered 429, exclusive."""

_SLOT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Reading:
    """What was measured. Ratios are from 0 to 1, None where nothing is known.

    `memory_ratio`: resident memory by the limit. `throttled_ratio`: requests to the model that were answered 429, by
    `attempts`, all requests. `p95_seconds`: 95 of 100 good turns took no longer, estimated as the gate does. `failed`
    of `turns`: those of the last minute; if none ended in it and the ones before it failed, those of the last five.
    """

    memory_ratio: float | None = None
    throttled_ratio: float | None = None
    attempts: int = 0
    p95_seconds: float | None = None
    failed: int = 0
    turns: int = 0

    @property
    def memory(self) -> Level:
        """What memory says; "above" a threshold excludes the threshold itself, here and for throttling."""
        return _level(self.memory_ratio, MEMORY_LEVELS)

    @property
    def throttling(self) -> Level:
        """What the share of 429s says."""
        return _level(self.throttled_ratio if self.attempts >= MIN_ATTEMPTS else None, THROTTLED_LEVELS)

    @property
    def failures(self) -> Level:
        """What the share of failed turns says."""
        if self.failed < FEWEST_FAILED or self.failed * ALERT_ONE_IN < self.turns:
            return "normal"
        return "critical" if self.failed * CRITICAL_ONE_IN >= self.turns else "alert"

    @property
    def level(self) -> Level:
        """The worst of the three."""
        return max(self.memory, self.throttling, self.failures, key=LEVELS.index)


def _level(value: float | None, above: Mapping[str, float]) -> Level:
    if value is None or value <= above["alert"]:
        return "normal"
    return "critical" if value > above["critical"] else "alert"


class Hold:
    """A level that rises at once and falls when nothing as bad was seen for HOLD_SECONDS."""

    def __init__(self, now: float, *, seconds: float = HOLD_SECONDS) -> None:
        """`now` is on a monotonic clock, in seconds."""
        self._seconds = seconds
        self._seen: list[tuple[float, int]] = []
        self.level = 0
        self.since = now

    def update(self, now: float, level: int) -> bool:
        """Take a new measurement, 0 being the best; True if the level changed."""
        self._seen = [(at, seen) for at, seen in self._seen if now - at < self._seconds and seen > level]
        self._seen.append((now, level))
        worst = max(seen for _, seen in self._seen)
        if worst == self.level:
            return False
        self.level, self.since = worst, now
        return True


class RollingCounts:
    """Counts of names over the last WINDOW_SECONDS, in slots of two seconds. Thread-safe."""

    def __init__(self) -> None:
        self._slots: deque[tuple[int, Counter[str]]] = deque(maxlen=int(WINDOW_SECONDS / _SLOT_SECONDS))
        self._lock = threading.Lock()

    def add(self, now: float, name: str) -> None:
        """One more of `name`; `now` on a monotonic clock."""
        number = int(now / _SLOT_SECONDS)
        with self._lock:
            if not self._slots or self._slots[-1][0] < number:
                self._slots.append((number, Counter()))
            self._slots[-1][1][name] += 1

    def totals(self, now: float, seconds: float = WINDOW_SECONDS) -> Counter[str]:
        """How many of each there were in the last `seconds`, at most WINDOW_SECONDS."""
        oldest = int(now / _SLOT_SECONDS) - int(seconds / _SLOT_SECONDS)
        total: Counter[str] = Counter()
        with self._lock:
            for number, counts in self._slots:
                if number > oldest:
                    total.update(counts)
        return total


class RollingHistogram:
    """Durations of the last WINDOW_SECONDS, in buckets that end at `edges` and one beyond them. Thread-safe."""

    def __init__(self, edges: Sequence[float]) -> None:
        self._edges = {str(edge): edge for edge in (*edges, math.inf)}
        self._counts = RollingCounts()

    def add(self, now: float, seconds: float) -> None:
        """One more duration, known at `now`."""
        self._counts.add(now, next(name for name, edge in self._edges.items() if seconds <= edge))

    def buckets(self, now: float) -> Mapping[float, float]:
        """Cumulative counts by upper edge, as a histogram of Prometheus has them."""
        totals = self._counts.totals(now)
        return dict(zip(self._edges.values(), accumulate(float(totals[name]) for name in self._edges), strict=True))
