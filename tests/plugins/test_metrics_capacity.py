"""How near the process is to its limits, as the status shows it and each change tells it."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import pytest
from metrics_support import measured, value
from support import failure, make_turn, says
from waiting import until

from rom_core.concurrency.clock import FakeClock
from rom_core.errors import ModelRefused, ModelThrottled, RomError
from rom_core.events import (
    CapacityChanged,
    Event,
)
from rom_core.gate.verdict import p95
from rom_core.markers import hookimpl
from rom_core.telemetry.health import REASONS
from rom_core.turn_values import TryAgain


class Changes:
    """An observer that keeps changes of capacity."""

    def __init__(self) -> None:
        self.seen: list[CapacityChanged] = []

    @hookimpl
    def rom_event(self, event: Event) -> None:
        if isinstance(event, CapacityChanged):
            self.seen.append(event)


class Again:
    """Tries everything again at once."""

    @hookimpl
    def rom_model_failed(self) -> TryAgain:
        return TryAgain(0.0)


def test_capacity_is_part_of_the_status_and_each_change_is_an_event() -> None:
    """Throttled above 10 % is critical at once; it is normal again when that is over and a minute has passed."""
    changes, clock = Changes(), FakeClock()
    again = Again()
    throttled: list[Any] = [failure(ModelThrottled)] * 3
    runtime, metrics = measured(*throttled, *[says("ok")] * 30, plugins={"a": again, "c": changes}, clock=clock)
    runtime.run(make_turn(runtime))
    assert metrics.rom_status()["capacity"] == "normal"
    for _ in range(16):
        runtime.run(make_turn(runtime))
    status = metrics.rom_status()
    assert (status["capacity"], status["throttled_ratio"], status["attempts"]) == ("critical", 0.15, 20)
    assert (status["failed"], status["turns"]) == (0, 17)
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


@pytest.mark.parametrize(
    ("ok", "level"), [(39, "normal"), (38, "alert"), (9, "alert"), (8, "critical"), (0, "critical")]
)
def test_failed_turns_of_the_last_minute_decide_too(ok: int, level: str) -> None:
    """Two failed ones are a twentieth of 40 and a fifth of 10; the status, the event and the gauge say the same."""
    changes = Changes()
    steps: list[Any] = [*[failure(ModelRefused)] * 2, says("ok")]
    runtime, metrics = measured(*steps, plugins={"c": changes})
    for _ in range(2):
        with pytest.raises(RomError):
            runtime.run(make_turn(runtime))
    for _ in range(ok):
        runtime.run(make_turn(runtime))
    status = metrics.rom_status()
    gauge = value(runtime, "rom_capacity_level")
    runtime.stop()
    assert status["capacity"] == level
    assert [(event.after, event.failed, event.turns) for event in changes.seen] == (
        [] if level == "normal" else [(level, 2, 2 + ok)]
    )
    assert gauge == ("normal", "alert", "critical").index(level)


def test_health_is_exposed_with_its_reasons() -> None:
    """`rom_health_state` 2 is down; every reason is there, at 1 while it counts; each change is counted."""
    runtime, metrics = measured(failure(ModelRefused))
    assert value(runtime, "rom_health_state") == 0
    for _ in range(2):
        with pytest.raises(RomError):
            runtime.run(make_turn(runtime))
    metrics.rom_status()
    assert value(runtime, "rom_health_state") == 2
    standing = {name: value(runtime, "rom_health_reason", reason=name) for name in REASONS}
    runtime.stop()
    assert {name for name, there in standing.items() if there} == {"failed_turns", "failed_requests"}
    assert set(standing.values()) == {0, 1}
    assert value(runtime, "rom_health_changes_total", to="down") == 1
    assert value(runtime, "rom_health_changes_total", to="well") == 0


def test_the_watch_stops_with_the_process() -> None:
    """No thread is left behind."""
    runtime, _ = measured()
    thread = runtime.health._thread
    assert thread is not None
    assert thread.is_alive()
    runtime.stop()
    assert until(lambda: not thread.is_alive())
