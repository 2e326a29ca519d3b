"""The last hour as points of ten seconds, kept in memory: what plots are drawn of."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rom_core.events import AttemptFinished, Event, RequestRejected, TurnFinished
from rom_core.telemetry.accounts import cost_usd
from rom_core.telemetry.outcome import status_of

POINT_SECONDS = 10
POINTS = 360
# What cost per hour is reckoned from: long enough to be steady, short enough to show that it rises.
_RATE_POINTS = 60


@dataclass(slots=True)
class Point:
    """What happened within ten seconds that began at `at` (seconds since the epoch), and what stood at their end.

    `turns` ended well or failed, `failed` of them failed; `refused` were refused by ourselves. `requests` went to
    models, `throttled` of them were answered 429. `waiting` and `running` are the most at a time. The percentiles are
    of the good turns of five minutes, as health has them.
    """

    at: int
    turns: int = 0
    failed: int = 0
    refused: int = 0
    requests: int = 0
    throttled: int = 0
    cost_usd: float = 0.0
    waiting: int = 0
    running: int = 0
    memory_ratio: float | None = None
    p50_seconds: float | None = None
    p95_seconds: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {name: _rounded(getattr(self, name)) for name in FIELDS}


COUNTED = frozenset({TurnFinished, RequestRejected, AttemptFinished})
"""The types of events that are counted."""
FIELDS = tuple(Point.__dataclass_fields__)


class Hour:
    """Counts events into the point that is under way; whoever measures calls `sample` about once a second.

    Thread-safe.
    """

    def __init__(self, time: Callable[[], float]) -> None:
        """`time` is in seconds since the epoch."""
        self._time = time
        self._lock = threading.Lock()
        self._points: deque[Point] = deque(maxlen=POINTS)
        self._now = Point(self._slot())

    def observe(self, event: Event) -> None:
        """Count it."""
        if isinstance(event, TurnFinished):
            status = status_of(200, event.error)
            if status in ("ok", "error"):
                with self._lock:
                    point = self._current()
                    point.turns += 1
                    point.failed += status == "error"
        elif isinstance(event, RequestRejected):
            if event.code != "draining":
                with self._lock:
                    self._current().refused += 1
        elif isinstance(event, AttemptFinished) and event.outcome != "cancelled":
            attempt = event.attempt
            cost = 0.0 if attempt.usage is None else cost_usd(attempt.model, attempt.usage)
            with self._lock:
                point = self._current()
                point.requests += 1
                point.throttled += event.outcome == "throttled"
                point.cost_usd += cost

    def sample(
        self,
        *,
        waiting: int,
        running: int,
        memory_ratio: float | None,
        p50_seconds: float | None,
        p95_seconds: float | None,
    ) -> None:
        """What stands at this moment."""
        with self._lock:
            point = self._current()
            point.waiting, point.running = max(point.waiting, waiting), max(point.running, running)
            point.memory_ratio, point.p50_seconds, point.p95_seconds = memory_ratio, p50_seconds, p95_seconds

    def columns(self) -> Mapping[str, Any]:
        """{seconds, fields by name: a list each, oldest first}: the points that are complete."""
        with self._lock:
            self._current()
            rows = [point.as_dict() for point in self._points]
        return {"seconds": POINT_SECONDS, **{name: [row[name] for row in rows] for name in FIELDS}}

    def since(self, at: int) -> list[dict[str, Any]]:
        """The complete points that began after `at`."""
        with self._lock:
            self._current()
            return [point.as_dict() for point in self._points if point.at > at]

    @property
    def last(self) -> int:
        """When the newest complete point began, 0 without any."""
        with self._lock:
            return self._points[-1].at if self._points else 0

    def cost(self) -> dict[str, float]:
        """{last_hour_usd, per_hour_usd: what the last ten minutes come to if they go on}."""
        with self._lock:
            current = self._current()
            costs = [*(point.cost_usd for point in self._points if point.at > current.at - 3600), current.cost_usd]
            since = current.at - (_RATE_POINTS - 1) * POINT_SECONDS
            recent = sum(point.cost_usd for point in self._points if point.at >= since) + current.cost_usd
        return {
            "last_hour_usd": round(sum(costs), 6),
            "per_hour_usd": round(recent * 3600 / (_RATE_POINTS * POINT_SECONDS), 6),
        }

    def _current(self) -> Point:
        slot = self._slot()
        # A clock that is put back does not make the hour begin anew.
        if slot > self._now.at:
            self._points.append(self._now)
            self._now = Point(slot)
        return self._now

    def _slot(self) -> int:
        return int(self._time()) // POINT_SECONDS * POINT_SECONDS


def _rounded(value: float | None) -> float | None:
    return round(value, 6) if isinstance(value, float) else value
