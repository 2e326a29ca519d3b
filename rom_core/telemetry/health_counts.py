"""What the judgement on health rests on, counted from events: turns, requests, durations, circuits, the queue."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from rom_core.concurrency.clock import Clock
from rom_core.events import (
    AttemptFinished,
    CircuitClosed,
    CircuitHalfOpened,
    CircuitOpened,
    CircuitReported,
    Event,
    QueueEntered,
    QueueLeft,
    RequestRejected,
    TurnFinished,
)
from rom_core.telemetry.capacity import TURN_SECONDS, WINDOW_SECONDS, RollingCounts, RollingHistogram
from rom_core.telemetry.health import Span
from rom_core.telemetry.outcome import status_of

# A refusal has an event of its own, whether it came to a turn or not.
_COUNTED = ("ok", "error")
_PROBE_SECONDS = 30.0


class HealthCounts:
    """Counts over the last five minutes, and what stands as of the last event. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._turns = RollingCounts()
        self._attempts = RollingCounts()
        self._durations = RollingHistogram(TURN_SECONDS)
        self._circuits: dict[str, float | None] = {}
        self._lock = threading.Lock()
        self.waiting = 0
        self._rows: dict[str, int] = {}
        self._handlers: dict[type[Event], Callable[[Any], None]] = {
            TurnFinished: self._turn_finished,
            RequestRejected: self._rejected,
            AttemptFinished: self._attempt_finished,
            QueueEntered: self._queue,
            QueueLeft: self._queue,
            CircuitOpened: lambda event: self._circuit(event.model, event.seconds),
            # The probe is under way; until it has been answered nobody else is let through.
            CircuitHalfOpened: lambda event: self._circuit(event.model, 0.0, probing=True),
            CircuitClosed: self._circuit_closed,
            CircuitReported: self._circuit_reported,
        }

    def observe(self, event: Event) -> None:
        """Take it into account."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def span(self, seconds: float = WINDOW_SECONDS, cohort: str = "") -> Span:
        """What ended within the last `seconds`; with `cohort` only the turns that belong to it."""
        now = self._clock.monotonic()
        ok, failed, refused = 0, Counter[str](), Counter[str]()
        for name, count in self._turns.totals(now, seconds).items():
            status, of, code = name.split(" ")
            if cohort and of != cohort:
                continue
            if status == "ok":
                ok += count
            else:
                (failed if status == "error" else refused)[code] += count
        attempts = self._attempts.totals(now, seconds)
        all_ = attempts.total()
        return Span(ok, failed, refused, all_, all_ - attempts["ok"], attempts["throttled"])

    def row(self, cohort: str = "") -> int:
        """So many turns in a row went well until now, or failed if it is negative; of a cohort only those."""
        return self._rows.get(cohort, 0)

    def buckets(self) -> Mapping[float, float]:
        """The histogram of the good turns of five minutes, cumulative by upper edge."""
        return self._durations.buckets(self._clock.monotonic())

    def circuits(self) -> Mapping[str, str]:
        """The models without requests, by why: "open" or "forced".

        A circuit that is due for its probe lets the next request through: one that nobody asks is no trouble.
        """
        now = self._clock.monotonic()
        with self._lock:
            return {
                model: "forced" if until is None else "open"
                for model, until in self._circuits.items()
                if until is None or now < until
            }

    # -- events ------------------------------------------------------------------------------------------------------

    def _turn_finished(self, event: TurnFinished) -> None:
        status = status_of(200, event.error)
        if status not in _COUNTED:
            return
        now, turn = self._clock.monotonic(), event.turn
        self._count_row(turn.cohort, well=status == "ok")
        self._turns.add(now, f"{status} {turn.cohort} {event.error.code if event.error is not None else ''}")
        # An exhaustive turn takes its time by design.
        if status == "ok" and turn.request.mode != "exhaustive":
            self._durations.add(now, event.duration)

    def _count_row(self, cohort: str, *, well: bool) -> None:
        with self._lock:
            for of in ("", cohort):
                row = self._rows.get(of, 0)
                self._rows[of] = max(row, 0) + 1 if well else min(row, 0) - 1

    def _rejected(self, event: RequestRejected) -> None:
        """Before anything was done for it; perhaps nobody knows which cohort it would have been of."""
        if event.code != "draining":
            self._turns.add(self._clock.monotonic(), f"rejected unknown {event.code}")

    def _attempt_finished(self, event: AttemptFinished) -> None:
        if event.outcome != "cancelled":
            self._attempts.add(self._clock.monotonic(), event.outcome)

    def _queue(self, event: QueueEntered | QueueLeft) -> None:
        self.waiting = event.depth

    def _circuit(self, model: str, seconds: float | None, *, probing: bool = False) -> None:
        """`seconds` until its probe, None while it is forced open."""
        until = None if seconds is None else self._clock.monotonic() + (_PROBE_SECONDS if probing else seconds)
        with self._lock:
            self._circuits[model] = until

    def _circuit_closed(self, event: CircuitClosed) -> None:
        with self._lock:
            self._circuits.pop(event.model, None)

    def _circuit_reported(self, event: CircuitReported) -> None:
        """Events have told of every change already, unless it is closed or forced."""
        with self._lock:
            if event.state == "closed":
                self._circuits.pop(event.model, None)
            elif event.forced:
                self._circuits[event.model] = None
