"""The circuit of one model: closed, open, half-open, as a state machine without a clock and without settings.

Each state has a generation number; what was admitted in one generation cannot change the state of a later one, so
neither a late success nor a late failure is taken for news. In half-open exactly one request, the probe, holds a lease
at any time; a probe that never comes back loses it.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Literal

State = Literal["closed", "open", "half_open"]
Force = Literal["auto", "open", "closed"]


@dataclass(frozen=True, slots=True)
class CircuitConfig:
    """So many `failures` within `window_seconds` open the circuit for `open_seconds`, which is also the lease."""

    failures: int
    window_seconds: float
    open_seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Permit:
    """Leave for one request; to be given back with exactly one of `succeeded`, `failed` and `released`."""

    generation: int
    probe: bool


@dataclass(frozen=True, slots=True)
class Change:
    """A transition: the new state, why, and the failures within the window that led to it."""

    state: State
    reason: str
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Admission:
    """A permit, or the seconds after which it is worth asking again; and the transition that asking brought about.

    `retry_after` None: the circuit is held open, and nobody knows until when.
    """

    permit: Permit | None
    retry_after: float | None = 0.0
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class View:
    """What an operator sees. `seconds_to_probe`: 0 = the next request is one; None = there is none to come."""

    state: State
    forced: bool
    recent_failures: int
    seconds_to_probe: float | None


class Circuit:
    """Thread-safe. Times are monotonic seconds, given by the caller; no method blocks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state: State = "closed"
        self._forced = False
        self._generation = 0
        self._failures: deque[float] = deque()
        self._broken_off: deque[float] = deque()
        self._opened_at = 0.0
        self._probe: Permit | None = None
        self._probe_since = 0.0

    def admit(self, now: float, config: CircuitConfig) -> Admission:
        """Ask for leave to send one request."""
        with self._lock:
            if self._state == "closed":
                return Admission(Permit(self._generation, probe=False))
            if self._forced:
                return Admission(None, retry_after=None)
            if wait := self._seconds_to_probe(now, config):
                return Admission(None, wait)
            change = None
            if self._state == "open":
                self._enter("half_open")
                change = Change("half_open", "time")
            self._probe = Permit(self._generation, probe=True)
            self._probe_since = now
            return Admission(self._probe, change=change)

    def succeeded(self, permit: Permit) -> Change | None:
        """The request was answered in full: a probe closes the circuit, any other makes up for answers broken off."""
        with self._lock:
            if permit.generation != self._generation:
                return None
            self._broken_off.clear()
            if not permit.probe:
                return None
            self._enter("closed")
            return Change("closed", "probe_succeeded")

    def failed(self, permit: Permit, now: float, config: CircuitConfig, *, began: bool = False) -> Change | None:
        """The model failed: a probe opens the circuit again, other failures do once there are enough of them.

        `began`: it broke off an answer. That counts until the next answer in full: a model that answers is not away.
        """
        with self._lock:
            if permit.generation != self._generation or self._forced:
                return None
            (self._broken_off if began else self._failures).append(now)
            self._forget(now, config)
            failures = len(self._failures) + len(self._broken_off)
            if not permit.probe and failures < config.failures:
                return None
            self._enter("open")
            self._opened_at = now
            return Change("open", "probe_failed" if permit.probe else "failures", failures)

    def released(self, permit: Permit) -> None:
        """The request ended without a verdict on the model; if it was the probe, the next request is."""
        with self._lock:
            if self._probe is permit:
                self._probe = None

    def force(self, to: Force) -> Change | None:
        """Hold the circuit open or closed whatever happens, or (auto) start anew from closed.

        Every order to hold it is a Change, so that none goes without a trace; None where there was nothing to let go.
        """
        with self._lock:
            state: State = "open" if to == "open" else "closed"
            idle = to == "auto" and self._state == "closed" and not self._forced
            self._forced = to != "auto"
            self._enter(state)
            self._clear()
            if idle:
                return None
            return Change(state, "forced" if self._forced else "reset")

    def view(self, now: float, config: CircuitConfig) -> View:
        """The state at this moment."""
        with self._lock:
            self._forget(now, config)
            waiting = self._state != "closed" and not self._forced
            return View(
                self._state,
                self._forced,
                len(self._failures) + len(self._broken_off),
                self._seconds_to_probe(now, config) if waiting else None,
            )

    def _seconds_to_probe(self, now: float, config: CircuitConfig) -> float:
        since = self._opened_at
        if self._state == "half_open":
            if self._probe is None:
                return 0.0
            since = self._probe_since
        return max(0.0, since + config.open_seconds - now)

    def _enter(self, state: State) -> None:
        self._state = state
        self._generation += 1
        self._probe = None
        if state == "closed":
            self._clear()

    def _clear(self) -> None:
        self._failures.clear()
        self._broken_off.clear()

    def _forget(self, now: float, config: CircuitConfig) -> None:
        for times in (self._failures, self._broken_off):
            while times and times[0] <= now - config.window_seconds:
                times.popleft()
