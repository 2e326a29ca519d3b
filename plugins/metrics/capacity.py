"""Watching this process's capacity: measures, keeps the level, tells when it changes."""

from __future__ import annotations

import math
import threading
from typing import Any

import structlog

from plugins.metrics.figures import TURN_SECONDS
from rom_core.concurrency.clock import iso
from rom_core.events import CapacityChanged
from rom_core.gate.verdict import p95
from rom_core.runtime import Runtime
from rom_core.telemetry.capacity import LEVELS, Hold, Reading, RollingCounts, RollingHistogram
from rom_core.telemetry.memory import MemoryGauge

logger = structlog.get_logger("rom.capacity")
PERIOD_SECONDS = 5.0


class CapacityWatch:
    """Looks every five seconds, in a thread of its own, for as long as the plugin `name` is switched on."""

    def __init__(self, runtime: Runtime, name: str) -> None:
        self._runtime = runtime
        self._name = name
        self._clock = runtime.clock
        self._attempts = RollingCounts()
        self._turns = RollingHistogram(TURN_SECONDS)
        self._hold = Hold(self._clock.monotonic())
        self._since = self._clock.time()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._memory = MemoryGauge()

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="rom-capacity", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread and wait for it."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=2)

    def attempt(self, outcome: str) -> None:
        """A request to a model came to an end."""
        self._attempts.add(self._clock.monotonic(), "throttled" if outcome == "throttled" else "other")

    def turn(self, seconds: float) -> None:
        """A turn that was answered took so long."""
        self._turns.add(self._clock.monotonic(), seconds)

    @property
    def memory(self) -> MemoryGauge:
        """The gauge, with the limit that is in force."""
        self._memory.limit_mb = int(self._runtime.current.settings.MEMORY_LIMIT_MB)
        return self._memory

    @property
    def level(self) -> int:
        """The level as it stands, 0 the best."""
        return self._hold.level

    def reading(self) -> Reading:
        """What is measured now."""
        now = self._clock.monotonic()
        counts = self._attempts.totals(now)
        attempts = counts.total()
        return Reading(
            memory_ratio=self.memory.ratio(),
            throttled_ratio=counts["throttled"] / attempts if attempts else None,
            attempts=attempts,
            p95_seconds=self._p95(now),
        )

    def look(self) -> Reading:
        """Measure once, and emit CapacityChanged if the level changed."""
        reading = self.reading()
        with self._lock:
            before = self._hold.level
            changed = self._hold.update(self._clock.monotonic(), LEVELS.index(reading.level))
            after = self._hold.level
            if changed:
                self._since = self._clock.time()
        if changed:
            self._runtime.emit(
                CapacityChanged(
                    before=LEVELS[before],
                    after=LEVELS[after],
                    memory_ratio=reading.memory_ratio,
                    throttled_ratio=reading.throttled_ratio,
                    attempts=reading.attempts,
                    p95_seconds=reading.p95_seconds,
                )
            )
        return reading

    def status(self) -> dict[str, Any]:
        """For /admin/status: the level, since when, and the figures behind it."""
        reading = self.look()
        return {
            "capacity": LEVELS[self._hold.level],
            "since": iso(self._since),
            "memory_ratio": reading.memory_ratio,
            "throttled_ratio": reading.throttled_ratio,
            "attempts": reading.attempts,
            "p95_seconds": reading.p95_seconds,
        }

    def _p95(self, now: float) -> float | None:
        """As the gate estimates it; the last edge stands for all beyond it, as in Prometheus."""
        seconds = p95(self._turns.buckets(now))
        return TURN_SECONDS[-1] if seconds == math.inf else seconds

    def _run(self) -> None:
        while not self._stopped.wait(PERIOD_SECONDS):
            if self._name in self._runtime.current.pipeline.plugins:
                try:
                    self.look()
                except Exception:
                    logger.exception("capacity.check_failed")
