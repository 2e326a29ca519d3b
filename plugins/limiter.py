"""Limiter: so many turns run, so many wait for at most so long, the rest is told at once when to come back.

A slot is taken for the whole turn, before any work, and given back when the turn has ended, however it ended. First in,
first out, except that nobody waits behind a turn that is held back by a cap of its own (exhaustive mode, one person).
The limits are those of the newest settings, also for turns that wait already.

Hooks: rom_settings, rom_start, rom_turn (takes the slot), rom_event (limits changed, server draining), rom_status.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Generator, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rom_core.config import Rule, Setting, Settings
from rom_core.errors import Draining, MemoryPressure, QueueFull, QueueTimeout, RomError
from rom_core.events import Event, QueueEntered, QueueLeft, RequestRejected, ServerDraining, SettingsChanged
from rom_core.hookspecs import hookimpl
from rom_core.memory import MemoryGauge
from rom_core.runtime import RESERVED_THREADS, Runtime
from rom_core.turn import Turn, TurnResult

# Events wake whoever waits; a limiter that was switched off gets none, so that each looks for itself now and then.
_LOOK_AGAIN_SECONDS = 0.5
_MEMORY_SECONDS = 0.25
# What a turn is taken to last before any has ended, and how much the latest counts for the average.
_FIRST_GUESS_SECONDS = 10.0
_WEIGHT = 0.2
MAX_RETRY_AFTER = 60.0
_STIRRING = (ServerDraining, SettingsChanged)


@dataclass(frozen=True, slots=True)
class Limits:
    """How many may run, how many may wait, how many of mode exhaustive and of one person may run (0 = any)."""

    running: int
    waiting: int
    exhaustive: int
    per_user: int = 0

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """As the settings say."""
        return cls(
            settings.MAX_CONCURRENT_REQUESTS,
            settings.MAX_QUEUE_SIZE,
            settings.MAX_CONCURRENT_EXHAUSTIVE,
            settings.MAX_CONCURRENT_PER_USER,
        )


@dataclass(eq=False, slots=True)
class Ticket:
    """One turn before the limiter; `person` is whom the cap per user counts, `since` when it came or got its slot."""

    person: Hashable = None
    exhaustive: bool = False
    since: float = 0.0
    state: Literal["new", "waiting", "running", "gone"] = "new"
    wake: threading.Event | None = field(default=None, repr=False)


class Line:
    """Who runs and who waits. No clock, no lock, no I/O: every call settles, and returns whose state it changed."""

    def __init__(self) -> None:
        self.running: dict[Ticket, None] = {}
        self.waiting: dict[Ticket, None] = {}
        self.exhaustive = 0
        self._persons: Counter[Hashable] = Counter()

    def enter(self, ticket: Ticket, limits: Limits) -> list[Ticket]:
        """Put a new ticket at the end; it runs, waits, or is gone again because the line is full."""
        ticket.state = "waiting"
        self.waiting[ticket] = None
        return self.settle(limits)

    def leave(self, ticket: Ticket, limits: Limits) -> list[Ticket]:
        """Take a ticket out, whether it runs or waits; one that is gone already changes nothing."""
        if ticket.state == "running":
            del self.running[ticket]
            self.exhaustive -= ticket.exhaustive
            self._persons[ticket.person] -= 1
            if not self._persons[ticket.person]:
                del self._persons[ticket.person]
        elif ticket.state == "waiting":
            del self.waiting[ticket]
        ticket.state = "gone"
        return self.settle(limits)

    def settle(self, limits: Limits) -> list[Ticket]:
        """Let everyone run who may, in order; then send the newest away while too many wait."""
        changed = []
        if self.waiting and len(self.running) < limits.running:
            for ticket in list(self.waiting):
                if self._may_run(ticket, limits):
                    self._run(ticket)
                    changed.append(ticket)
        while len(self.waiting) > limits.waiting:
            ticket, _ = self.waiting.popitem()
            ticket.state = "gone"
            changed.append(ticket)
        return changed

    def _may_run(self, ticket: Ticket, limits: Limits) -> bool:
        if len(self.running) >= limits.running:
            return False
        if ticket.exhaustive and self.exhaustive >= limits.exhaustive:
            return False
        return not limits.per_user or self._persons[ticket.person] < limits.per_user

    def _run(self, ticket: Ticket) -> None:
        del self.waiting[ticket]
        ticket.state = "running"
        self.running[ticket] = None
        self.exhaustive += ticket.exhaustive
        self._persons[ticket.person] += 1


class Limiter:
    """The plugin: a line behind a lock, which is never held while anybody waits or is told."""

    _runtime: Runtime

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._line = Line()
        self._hold = _FIRST_GUESS_SECONDS
        self._gauge = MemoryGauge()
        self._gauge_mb = 0
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

    @hookimpl(wrapper=True)
    def rom_turn(self, turn: Turn) -> Generator[None, TurnResult, TurnResult]:
        """Hold a slot while the turn runs. Raises MemoryPressure, QueueFull, QueueTimeout, or what ended the wait."""
        self._check_memory(turn)
        request = turn.request
        ticket = Ticket((request.key_name, request.user), request.mode == "exhaustive", turn.clock.monotonic())
        try:
            self._enter(turn, ticket)
            return (yield)
        finally:
            self._leave(turn, ticket)

    @hookimpl
    def rom_event(self, event: Event) -> None:
        """Everyone who waits looks again when the limits may have changed or the server drains."""
        if isinstance(event, _STIRRING):
            with self._lock:
                self._wake(self._line.settle(self._limits()))
                self._wake(self._line.waiting)

    @hookimpl
    def rom_status(self) -> dict[str, Any]:
        """Who runs and waits, how long a turn lasts, how full the memory is."""
        limits, line = self._limits(), self._line
        return {
            "running": len(line.running),
            "running_exhaustive": line.exhaustive,
            "waiting": len(line.waiting),
            "max_running": limits.running,
            "max_waiting": limits.waiting,
            "turn_seconds": round(self._hold, 3),
            "memory_ratio": self._gauge.ratio(),
        }

    # -- taking and giving back --------------------------------------------------------------------------------------

    def _enter(self, turn: Turn, ticket: Ticket) -> None:
        with self._lock:
            self._wake(self._line.enter(ticket, self._limits()))
            if ticket.state == "waiting":
                ticket.wake = threading.Event()
        if ticket.state == "gone":
            raise self._refusal(turn, QueueFull, "every slot and every waiting place is taken")
        if ticket.wake is not None:
            self._wait(turn, ticket, ticket.wake)

    def _leave(self, turn: Turn, ticket: Ticket) -> None:
        now = turn.clock.monotonic()
        with self._lock:
            if ticket.state == "running":
                self._hold += _WEIGHT * (now - ticket.since - self._hold)
            self._wake(self._line.leave(ticket, self._limits()))

    def _wait(self, turn: Turn, ticket: Ticket, wake: threading.Event) -> None:
        line, came = self._line, ticket.since
        outcome = "cancelled"
        turn.emit(QueueEntered(turn, len(line.waiting), len(line.running)))
        switched_on = self._settings.BOTTLENECK_LIMITER_ENABLED
        try:
            with turn.cancel.calling(wake.set):
                while True:
                    wake.clear()
                    now = turn.clock.monotonic()
                    turn.queue_wait = now - came
                    settings = self._settings
                    with self._lock:
                        self._wake(line.settle(self._limits()))
                    if ticket.state == "running":
                        outcome, ticket.since = "started", now
                        return
                    if switched_on and not settings.BOTTLENECK_LIMITER_ENABLED:
                        outcome = "released"
                        return
                    left = min(settings.QUEUE_TIMEOUT_SECONDS - turn.queue_wait, turn.deadline.remaining())
                    if turn.cancel.cancelled or turn.deadline.passed:
                        outcome = "deadline" if turn.deadline.passed else turn.cancel.reason or outcome
                        turn.check()
                    if self._runtime.draining.is_set():
                        outcome = "draining"
                        raise self._refusal(turn, Draining, "the server is shutting down", seconds=10)
                    if ticket.state == "gone":
                        outcome = "full"
                        raise self._refusal(turn, QueueFull, "the queue was made shorter")
                    if left <= 0:
                        outcome = "timeout"
                        raise self._refusal(turn, QueueTimeout, "no slot came free in time")
                    turn.clock.wait(wake, min(left, _LOOK_AGAIN_SECONDS))
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

    def _check_memory(self, turn: Turn) -> None:
        now, settings = turn.clock.monotonic(), self._settings
        if self._memory is None or not 0 <= now - self._memory[0] < _MEMORY_SECONDS:
            if self._gauge_mb != settings.MEMORY_LIMIT_MB:
                self._gauge_mb = settings.MEMORY_LIMIT_MB
                self._gauge = MemoryGauge(self._gauge_mb)
            self._memory = (now, self._gauge.ratio())
        ratio = self._memory[1]
        if ratio is not None and ratio > settings.MEMORY_REJECT_RATIO:
            raise self._refusal(turn, MemoryPressure, "too little memory is left for another turn")

    def _refusal(self, turn: Turn, error: type[RomError], detail: str, seconds: float | None = None) -> RomError:
        """The error, told to the observers. Unless `seconds` says otherwise it asks for as long as the line lasts."""
        turn.emit(RequestRejected(turn.route, error.code))
        if seconds is None:
            seconds = self._seconds_until_served(turn.clock.monotonic())
        return error(detail, retry_after=min(seconds, MAX_RETRY_AFTER))

    def _seconds_until_served(self, now: float) -> float:
        """When those who wait now will have their slots, from how long turns last, lately or already."""
        with self._lock:
            running, waiting = list(self._line.running), len(self._line.waiting)
        ages = [now - ticket.since for ticket in running]
        hold = max([self._hold, sum(ages) / len(ages)] if ages else [self._hold])
        return hold * max(1, waiting) / self._limits().running

    @property
    def _settings(self) -> Settings:
        return self._runtime.current.settings

    def _limits(self) -> Limits:
        settings = self._settings
        known = self._known
        if known is None or known[0] is not settings:
            known = self._known = settings, Limits.of(settings)
        return known[1]


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
