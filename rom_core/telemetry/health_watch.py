"""Watching whether this process is well: it measures, keeps what was found for a while, and tells of every change."""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from typing import Any

import structlog

from rom_core.concurrency.clock import iso
from rom_core.concurrency.intake import Drained
from rom_core.events import CapacityChanged, Event, HealthChanged
from rom_core.gate.verdict import p95
from rom_core.markers import hookimpl
from rom_core.telemetry.capacity import LEVELS, TURN_SECONDS, Hold, Reading
from rom_core.telemetry.health import REASONS, STATES, Reason, Signs, State, judge, ordered, worst
from rom_core.telemetry.health_counts import HealthCounts
from rom_core.telemetry.memory import MemoryGauge
from rom_core.telemetry.watched import Process, trouble_of_store

PERIOD_SECONDS = 1.0
MINUTE_SECONDS = 60.0
DOWN_HOLD_SECONDS = 10.0
"""For so long it stays down after the last look that found it so: a share that swings around a half is one change."""
logger = structlog.get_logger("rom.health")


class HealthWatch:
    """Observes the events of the process and looks once a second, in a thread of its own, from `start` to `stop`.

    A reason counts at once, and until it has not been found for a minute (HOLD_SECONDS), so that what swings around a
    threshold is one change.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self._clock = process.clock
        self._counts = HealthCounts(process.clock)
        self._memory = MemoryGauge()
        self._lock = threading.Lock()
        now = self._clock.monotonic()
        self._capacity = Hold(now)
        self._reasons = {name: Hold(now) for name in REASONS}
        self._down = Hold(now, seconds=DOWN_HOLD_SECONDS)
        self._found: dict[str, tuple[Reason, float]] = {}
        self._looked = now
        self._state: State = "well"
        self._capacity_since = self._since = self._clock.time()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    # -- life --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="rom-health", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread and wait for it."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=2)

    def _run(self) -> None:
        while not self._stopped.wait(PERIOD_SECONDS):
            try:
                self.look()
            except Exception:
                logger.exception("health.check_failed")

    @hookimpl
    def rom_event(self, event: Event) -> None:
        """Take it into account."""
        self._counts.observe(event)

    # -- asking ------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """As of the last look."""
        return self._state

    @property
    def since(self) -> float:
        """When it became so, in seconds since the epoch."""
        return self._since

    @property
    def capacity_level(self) -> int:
        """Of LEVELS, as of the last look."""
        return self._capacity.level

    @property
    def memory(self) -> MemoryGauge:
        """The gauge, with the limit that is in force."""
        self._memory.limit_mb = int(self._process.current.settings.MEMORY_LIMIT_MB)
        return self._memory

    def reasons(self) -> list[Reason]:
        """Why it is not well, as of the last look.

        One that is over, and counts for the rest of its minute, says since when, and asks nothing of anybody.
        """
        with self._lock:
            return self._standing()

    def failing(self, cohort: str = "") -> str:
        """How many turns, or of a cohort, failed lately, if they are as many as make capacity `alert`; else ""."""
        counts = self._counts
        signs = Signs(
            minute=counts.span(MINUTE_SECONDS, cohort), five=counts.span(cohort=cohort), row=counts.row(cohort)
        )
        span, name = signs.recent
        if signs.reading.failures == "normal":
            return ""
        return f"{span.failures} of {span.turns} {'of its ' if cohort else ''}turns in the last {name} failed"

    def capacity(self) -> dict[str, Any]:
        """The level of capacity, since when, and the figures behind it, measured now."""
        reading = self.look().reading
        return {
            "capacity": LEVELS[self._capacity.level],
            "since": iso(self._capacity_since),
            "memory_ratio": reading.memory_ratio,
            "throttled_ratio": reading.throttled_ratio,
            "attempts": reading.attempts,
            "p95_seconds": reading.p95_seconds,
            "failed": reading.failed,
            "turns": reading.turns,
        }

    # -- looking -----------------------------------------------------------------------------------------------------

    def signs(self) -> Signs:
        """What is measured now."""
        process, counts = self._process, self._counts
        buckets = counts.buckets()
        slowest = p95(buckets)
        return Signs(
            minute=counts.span(MINUTE_SECONDS),
            five=counts.span(),
            buckets=buckets,
            # As the gate estimates it; the last edge stands for all beyond it, as in Prometheus.
            p95_seconds=TURN_SECONDS[-1] if slowest == math.inf else slowest,
            memory_ratio=self.memory.ratio(),
            circuits=counts.circuits(),
            bedrock_enabled=process.bedrock_enabled(),
            draining=process.intake.draining.is_set(),
            drained=_said(process.intake.drained),
            store=trouble_of_store(process),
            waiting=counts.waiting,
            row=counts.row(),
        )

    def look(self) -> Signs:
        """Measure and judge once; HealthChanged and CapacityChanged go out if that changed anything."""
        signs = self.signs()
        found = judge(signs)
        with self._lock:
            events = [*self._judge_capacity(signs.reading), *self._judge_health(found)]
        for event in events:
            if isinstance(event, HealthChanged):
                # By the core, so that the line is there whichever plugins are on.
                usual = logger.info if signs.draining else logger.warning
                log = logger.error if event.after == "down" else usual
                log(event.name, before=event.before, after=event.after, why=list(event.why), read=list(event.pages))
            self._process.emit(event)
        return signs

    def _judge_capacity(self, reading: Reading) -> list[Event]:
        before = self._capacity.level
        if not self._capacity.update(self._clock.monotonic(), LEVELS.index(reading.level)):
            return []
        self._capacity_since = self._clock.time()
        return [
            CapacityChanged(
                before=LEVELS[before],
                after=LEVELS[self._capacity.level],
                memory_ratio=reading.memory_ratio,
                throttled_ratio=reading.throttled_ratio,
                attempts=reading.attempts,
                p95_seconds=reading.p95_seconds,
                failed=reading.failed,
                turns=reading.turns,
            )
        ]

    def _judge_health(self, found: list[Reason]) -> list[Event]:
        now, before, had = self._clock.monotonic(), self._state, self._names()
        self._looked = now
        self._found |= {reason.name: (reason, now) for reason in found}
        for name, hold in self._reasons.items():
            hold.update(now, int(self._found.get(name, (None, -1.0))[1] == now))
        self._down.update(now, int(worst(found) == "down"))
        has = self._names()
        after = self._state = STATES[2 if self._down.level else 1 if has else 0]
        if after != before:
            self._since = self._clock.time()
        if (before, had) == (after, has):
            return []
        reasons = self._standing()
        return [
            HealthChanged(
                before,
                after,
                reasons=tuple(reason.name for reason in reasons),
                why=tuple(reason.text for reason in reasons),
                pages=tuple(reason.page for reason in reasons if reason.act),
            )
        ]

    def _names(self) -> set[str]:
        """Of the reasons that count."""
        return {name for name, hold in self._reasons.items() if hold.level}

    def _standing(self) -> list[Reason]:
        standing = []
        for reason, seen in (self._found[name] for name in self._names()):
            over = self._looked - seen
            if over:
                text = f"{reason.text} (over for {over:.0f} s)"
                standing.append(replace(reason, state="degraded", text=text, act=False))
            else:
                standing.append(reason)
        return ordered(standing)


def _said(drained: Drained | None) -> str:
    if drained is None:
        return ""
    return f"{drained.by or 'an administrator'}: {drained.why}" if drained.why else drained.by or "an administrator"
