"""The last hour: what is counted into which point, and that it stays an hour."""

from __future__ import annotations

from typing import Any

import pytest
from support import failure, make_runtime, make_turn, says

from plugins.operator.hour import FIELDS, POINT_SECONDS, POINTS, Hour
from rom_core.concurrency.clock import FakeClock
from rom_core.errors import ModelThrottled, QueueFull, RomError
from rom_core.events import RequestRejected
from rom_core.markers import hookimpl


class Watched:
    """A plugin that shows an hour every event."""

    def __init__(self, hour: Hour) -> None:
        self.hour = hour

    @hookimpl
    def rom_event(self, event: Any) -> None:
        self.hour.observe(event)


def sample(hour: Hour, waiting: int = 0, running: int = 0, p95: float | None = None) -> None:
    """What stands at this moment."""
    hour.sample(waiting=waiting, running=running, memory_ratio=0.5, p50_seconds=p95, p95_seconds=p95)


def test_turns_requests_and_their_cost_are_counted_into_the_point_they_ended_in() -> None:
    """Good and failed turns, requests answered 429, own refusals; what they cost by the prices of MODELS."""
    clock = FakeClock()
    hour = Hour(clock.time)
    runtime, _ = make_runtime(says("ok"), failure(ModelThrottled), plugins={"watched": Watched(hour)}, clock=clock)
    runtime.run(make_turn(runtime))
    clock.advance(POINT_SECONDS)
    with pytest.raises(RomError):
        runtime.run(make_turn(runtime))
    runtime.emit(RequestRejected("/api/chat", QueueFull.code))
    runtime.emit(RequestRejected("/api/chat", "draining"))
    clock.advance(POINT_SECONDS)
    first, second = hour.since(0)
    cost = (10 * 3.0 + 5 * 15.0) / 1_000_000
    counted = ("turns", "failed", "refused", "requests", "throttled", "cost_usd")
    assert [first[name] for name in counted] == [1, 0, 0, 1, 0, cost]
    assert [second[name] for name in counted] == [1, 1, 1, 1, 1, 0.0]
    assert (first["at"], second["at"]) == (1000, 1010)
    assert hour.cost() == {"last_hour_usd": cost, "per_hour_usd": pytest.approx(6 * cost)}
    clock.advance(600)
    assert hour.cost() == {"last_hour_usd": cost, "per_hour_usd": 0.0}
    clock.advance(3600)
    assert hour.cost()["last_hour_usd"] == 0.0


def test_of_what_swings_the_most_is_kept_and_of_what_stands_the_last() -> None:
    """Waiting and running turns at their most; memory and percentiles as they were at the end."""
    clock = FakeClock()
    hour = Hour(clock.time)
    sample(hour, waiting=3, running=6)
    sample(hour, running=2, p95=4.0)
    clock.advance(POINT_SECONDS)
    (point,) = hour.since(0)
    assert (point["waiting"], point["running"], point["p95_seconds"], point["memory_ratio"]) == (3, 6, 4.0, 0.5)


def test_it_is_an_hour_however_long_it_runs() -> None:
    """360 points; columns of the same length, oldest first; a clock that is put back begins nothing anew."""
    clock = FakeClock()
    hour = Hour(clock.time)
    for _ in range(POINTS + 50):
        sample(hour)
        clock.advance(POINT_SECONDS)
    columns = hour.columns()
    assert set(columns) == {"seconds", *FIELDS}
    assert {len(columns[name]) for name in FIELDS} == {POINTS}
    assert columns["at"] == sorted(columns["at"])
    assert hour.since(columns["at"][-2]) == [{name: columns[name][-1] for name in FIELDS}]
    clock.advance(-1800)
    sample(hour)
    assert hour.columns() == columns
