"""Limiter: so many turns run, so many wait for at most so long, the rest is refused at once with a Retry-After.

A slot is taken for the whole turn, before any work, and given back when the turn has ended, however it ended. API keys
share slots and waiting places fairly (line.py); a key alone has all of them, first in, first out. Nobody waits behind a
turn that is held back by a cap of its own (exhaustive mode, one person), and exhaustive turns may fill no more than
half of the waiting places.
The limits are those of the newest settings, also for turns that wait already.

Hooks: rom_settings, rom_start, rom_admit (refuses what no body could change), rom_turn (takes the slot), rom_status.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any

from plugins.limiter.line import Limits, Line, Ticket
from rom_core.errors import Draining, MemoryPressure, QueueFull, QueueTimeout, RomError
from rom_core.events import QueueEntered, QueueLeft, RequestRejected
from rom_core.markers import hookimpl
from rom_core.runtime import RESERVED_THREADS, Runtime
from rom_core.settings import Rule, Setting, Settings
from rom_core.telemetry.memory import MemoryGauge
from rom_core.turn import Turn
from rom_core.turn_values import TurnResult

_MEMORY_SECONDS = 0.25
# The moving average of turn durations: its start value, and the weight of the latest turn.
_FIRST_GUESS_SECONDS = 10.0
_WEIGHT = 0.2
MAX_RETRY_AFTER = 60.0
# Memory comes back when turns end or garbage is collected, which no queue length predicts.
_MEMORY_RETRY_AFTER = 20.0
_DRAINING_RETRY_AFTER = 10.0
_FULL = "no slot and no waiting place is free"
_DISPLACED = "its waiting place went to another API key, which held fewer"


class Limiter:
    """The plugin: a line behind a lock, which is never held while anybody waits or is answered."""

    _runtime: Runtime

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._line = Line()
        self._average_seconds = _FIRST_GUESS_SECONDS
        self._average_seconds_exhaustive = _FIRST_GUESS_SECONDS
        self._gauge = MemoryGauge()
        self._memory: tuple[float, float | None] | None = None
        self._known: tuple[Settings, Limits] | None = None

    @hookimpl
    def rom_settings(self) -> Sequence[Setting | Rule]:
        """The switch, the limits, and that there are threads for them."""
        return [
            Setting("BOTTLENECK_LIMITER_ENABLED", bool, False, "Limits how many turns run and wait.", switch=True),
            _limit("MAX_CONCURRENT_REQUESTS", 6, "Turns that run at the same time.", minimum=1),
            _limit("MAX_QUEUE_SIZE", 10, "Turns that may wait for a slot."),
            _limit("MAX_CONCURRENT_EXHAUSTIVE", 2, "Turns of mode exhaustive among those that run.", minimum=1),
            _limit("MAX_CONCURRENT_PER_USER", 0, "Slots for one person (API key and user); 0 = no limit."),
            Setting(
                "QUEUE_TIMEOUT_SECONDS",
                float,
                30.0,
                "Seconds that a turn waits for a slot.",
                minimum=0.1,
                maximum=3600,
                scope="process",
            ),
            Setting(
                "MEMORY_REJECT_RATIO",
                float,
                0.9,
                "Share of the memory limit above which new turns are refused.",
                minimum=0.1,
                maximum=1.0,
                scope="process",
            ),
            Rule(
                ("HTTP_THREADS", "MAX_CONCURRENT_REQUESTS", "MAX_QUEUE_SIZE", "BOTTLENECK_LIMITER_ENABLED"),
                _enough_threads,
            ),
        ]

    @hookimpl
    def rom_start(self, runtime: Runtime) -> None:
        """Limits are read from the runtime's newest settings."""
        self._runtime = runtime

    @hookimpl
    def rom_admit(self, key_name: str) -> RomError | None:
        """MemoryPressure, or QueueFull when this key would find neither a slot nor a place: no body changes that."""
        pressure = self._memory_pressure(self._runtime.clock.monotonic())
        if pressure is not None:
            return pressure
        with self._lock:
            full = self._line.full(self._limits(), key_name)
        return self._queue_full(_FULL, Ticket(key_name)) if full else None

    @hookimpl(wrapper=True)
    def rom_turn(self, turn: Turn) -> Generator[None, TurnResult, TurnResult]:
        """Hold a slot while the turn runs. Raises MemoryPressure, QueueFull, QueueTimeout, or what ended the wait."""
        now, request = turn.clock.monotonic(), turn.request
        pressure = self._memory_pressure(now)
        if pressure is not None:
            raise self._refused(turn, pressure)
        ticket = Ticket(request.key_name, (request.key_name, request.user), request.mode == "exhaustive", now)
        try:
            self._enter(turn, ticket)
            return (yield)
        finally:
            self._leave(turn, ticket)

    @hookimpl
    def rom_status(self) -> dict[str, Any]:
        """Who runs and waits, by API key too, how long a turn lasts, how full the memory is."""
        limits, line = self._limits(), self._line
        with self._lock:
            keys = line.by_key()
        return {
            "running": len(line.running),
            "running_exhaustive": line.exhaustive,
            "waiting": len(line.waiting),
            "max_running": limits.running,
            "max_waiting": limits.waiting,
            "keys": {key: {"running": runs, "waiting": waits} for key, (runs, waits) in keys.items()},
            "turn_seconds": round(self._average_seconds, 3),
            "memory_ratio": self._gauge.ratio(),
        }

    # -- taking and giving back --------------------------------------------------------------------------------------

    def _enter(self, turn: Turn, ticket: Ticket) -> None:
        with self._lock:
            self._wake(self._line.enter(ticket, self._limits()))
            if ticket.state == "waiting":
                ticket.wake = threading.Event()
        if ticket.state == "refused":
            raise self._refused(turn, self._queue_full(_FULL, ticket))
        if ticket.wake is not None:
            self._wait(turn, ticket, ticket.wake)

    def _leave(self, turn: Turn, ticket: Ticket) -> None:
        now = turn.clock.monotonic()
        with self._lock:
            if ticket.state == "running":
                held = now - ticket.since
                self._average_seconds += _WEIGHT * (held - self._average_seconds)
                if ticket.exhaustive:
                    self._average_seconds_exhaustive += _WEIGHT * (held - self._average_seconds_exhaustive)
            self._wake(self._line.leave(ticket, self._limits()))

    def _wait(self, turn: Turn, ticket: Ticket, wake: threading.Event) -> None:
        """Wait for the slot. Raises QueueTimeout, QueueFull, Draining, or what stands for the end of the turn."""
        runtime, line = self._runtime, self._line
        came, seen = ticket.since, runtime.current
        switched_on = seen.settings.BOTTLENECK_LIMITER_ENABLED
        outcome = "cancelled"

        def look() -> None:
            # An event would not do: a limiter that has just been switched off gets none.
            if runtime.draining.is_set() or runtime.current is not seen:
                wake.set()

        turn.emit(QueueEntered(turn, len(line.waiting), len(line.running)))
        try:
            with turn.cancel.calling(wake.set), runtime.watchdog.watching(look):
                while True:
                    wake.clear()
                    seen, now = runtime.current, turn.clock.monotonic()
                    turn.queue_wait = now - came
                    with self._lock:
                        self._wake(line.schedule(self._limits()))
                    if ticket.state == "running":
                        outcome, ticket.since = "started", now
                        return
                    if switched_on and not seen.settings.BOTTLENECK_LIMITER_ENABLED:
                        outcome = "released"
                        return
                    if turn.cancel.cancelled or turn.deadline.passed:
                        outcome = turn.cancel.reason or "deadline"
                        turn.check()
                    if runtime.draining.is_set():
                        outcome = "draining"
                        draining = Draining("the server is shutting down", retry_after=_DRAINING_RETRY_AFTER)
                        raise self._refused(turn, draining)
                    if ticket.state == "refused":
                        outcome = "full"
                        detail = _DISPLACED if ticket.displaced else "the queue was made shorter"
                        raise self._refused(turn, self._queue_full(detail, ticket))
                    left = seen.settings.QUEUE_TIMEOUT_SECONDS - turn.queue_wait
                    if left <= 0:
                        outcome = "timeout"
                        timeout = QueueTimeout("no slot came free in time", retry_after=self._retry_after(ticket))
                        raise self._refused(turn, timeout)
                    turn.clock.wait(wake, min(left, turn.deadline.remaining()))
        finally:
            if outcome != "started":
                self._leave(turn, ticket)
            turn.emit(QueueLeft(turn, turn.queue_wait, outcome, len(line.waiting), len(line.running)))

    @staticmethod
    def _wake(tickets: Iterable[Ticket]) -> None:
        for ticket in tickets:
            if ticket.wake is not None:
                ticket.wake.set()

    # -- refusing ----------------------------------------------------------------------------------------------------

    def _memory_pressure(self, now: float) -> MemoryPressure | None:
        settings = self._settings
        if self._memory is None or not 0 <= now - self._memory[0] < _MEMORY_SECONDS:
            self._gauge.limit_mb = int(settings.MEMORY_LIMIT_MB)
            self._memory = (now, self._gauge.ratio())
        ratio = self._memory[1]
        if ratio is None or ratio <= settings.MEMORY_REJECT_RATIO:
            return None
        return MemoryPressure("too little memory for another turn", retry_after=_MEMORY_RETRY_AFTER)

    def _queue_full(self, detail: str, ticket: Ticket) -> QueueFull:
        return QueueFull(detail, retry_after=self._retry_after(ticket))

    @staticmethod
    def _refused(turn: Turn, error: RomError) -> RomError:
        """The error, after its event; the core emits the event for those of `rom_admit`."""
        turn.emit(RequestRejected(turn.route, error.code))
        return error

    def _retry_after(self, ticket: Ticket) -> float:
        """Estimated wait in seconds: the longest over all limits that apply to this turn."""
        limits, now = self._limits(), self._runtime.clock.monotonic()
        with self._lock:
            running, waiting = list(self._line.running), list(self._line.waiting)
            seconds = [_estimated_wait(self._average_seconds, running, waiting, limits.running, now)]
            average = self._average_seconds_exhaustive if ticket.exhaustive else self._average_seconds
        caps: list[tuple[int, Callable[[Ticket], bool]]] = []
        if ticket.exhaustive:
            caps.append((limits.exhaustive, lambda other: other.exhaustive))
        if limits.per_user:
            caps.append((limits.per_user, lambda other: other.person == ticket.person))
        for slots, alike in caps:
            ahead = [other for other in running if alike(other)]
            if len(ahead) >= slots:
                behind = [other for other in waiting if alike(other)]
                seconds.append(_estimated_wait(average, ahead, behind, slots, now))
        return min(max(seconds), MAX_RETRY_AFTER)

    @property
    def _settings(self) -> Settings:
        return self._runtime.current.settings

    def _limits(self) -> Limits:
        settings = self._settings
        known = self._known
        if known is None or known[0] is not settings:
            known = self._known = settings, Limits.of(settings)
        return known[1]


def _estimated_wait(average: float, running: list[Ticket], waiting: list[Ticket], slots: int, now: float) -> float:
    """Seconds until all of `waiting` have one of `slots`.

    A turn is taken to last the moving `average` of ended turns, or the mean age of the running ones if that is higher.
    """
    ages = [now - ticket.since for ticket in running]
    if ages:
        average = max(average, sum(ages) / len(ages))
    return average * max(1, len(waiting)) / slots


def _limit(name: str, default: int, help_: str, minimum: int = 0) -> Setting:
    return Setting(name, int, default, help_, minimum=minimum, maximum=10_000, scope="process")


def _enough_threads(settings: Settings) -> str | None:
    turns = settings.MAX_CONCURRENT_REQUESTS + settings.MAX_QUEUE_SIZE
    threads = settings.HTTP_THREADS
    if not settings.BOTTLENECK_LIMITER_ENABLED or threads >= turns + RESERVED_THREADS:
        return None
    return (
        f"is {threads}, too few for {turns} turns (MAX_CONCURRENT_REQUESTS + MAX_QUEUE_SIZE) and the "
        f"{RESERVED_THREADS} kept for health, metrics and admin; {turns + RESERVED_THREADS} would do"
    )
