"""How near the process is to its limits, as the status shows it and each change tells it."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import pytest
from metrics_support import measured, value
from support import failure, make_turn, says

from rom_core.concurrency.clock import FakeClock
from rom_core.errors import ModelThrottled, RomError
from rom_core.events import (
    CapacityChanged,
    Event,
)
from rom_core.gate.verdict import p95
from rom_core.markers import hookimpl


class Changes:
    """An observer that keeps changes of capacity."""

    def __init__(self) -> None:
        self.seen: list[CapacityChanged] = []

    @hookimpl
    def rom_event(self, event: Event) -> None:
        if isinstance(event, CapacityChanged):
            self.seen.append(event)


def test_capacity_is_part_of_the_status_and_each_change_is_an_event() -> None:
    """Throttled above 10 % is critical at once; it is normal again when that is over and a minute has passed."""
    changes, clock = Changes(), FakeClock()
    throttled: list[Any] = [failure(ModelThrottled)] * 3
    runtime, metrics = measured(*throttled, *[says("ok")] * 30, plugins={"c": changes}, clock=clock)
    for _ in range(3):
        with pytest.raises(RomError):
            runtime.run(make_turn(runtime))
    assert metrics.rom_status()["capacity"] == "normal"
    for _ in range(17):
        runtime.run(make_turn(runtime))
    status = metrics.rom_status()
    assert (status["capacity"], status["throttled_ratio"], status["attempts"]) == ("critical", 0.15, 20)
    assert status["p95_seconds"] == p95({0.1: 17.0, math.inf: 17.0}), "as the gate estimates it from the same buckets"
    assert datetime.fromisoformat(status["since"]).tzinfo is not None
    assert metrics.rom_status()["capacity"] == "critical"
    clock.advance(301)
    assert metrics.rom_status()["capacity"] == "normal"
    runtime.stop()
    assert [(event.before, event.after) for event in changes.seen] == [("normal", "critical"), ("critical", "normal")]
    assert value(runtime, "rom_capacity_changes_total", to="critical") == 1


def test_memory_decides_against_the_limit_in_force() -> None:
    """MEMORY_LIMIT_MB far below what this process uses is critical; refused turns do not count for the p95."""
    changes = Changes()
    runtime, metrics = measured(plugins={"c": changes}, MEMORY_LIMIT_MB=1)
    status = metrics.rom_status()
    runtime.stop()
    assert status["capacity"] == "critical"
    assert status["memory_ratio"] > 1
    assert (status["throttled_ratio"], status["p95_seconds"]) == (None, None)
    assert len(changes.seen) == 1


def test_the_watch_stops_with_the_process() -> None:
    """No thread is left behind."""
    import threading

    runtime, _ = measured()
    assert "rom-capacity" in {thread.name for thread in threading.enumerate()}
    runtime.stop()
    assert "rom-capacity" not in {thread.name for thread in threading.enumerate()}
