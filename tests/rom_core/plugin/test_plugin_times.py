"""Time spent per plugin: measured when PLUGIN_TIMES is on, and nothing changes but that."""

from __future__ import annotations

from typing import Any

import pytest
from support import make_runtime, make_turn, says

from rom_core.concurrency.clock import FakeClock
from rom_core.errors import QueueFull
from rom_core.hookspecs import hookimpl
from rom_core.plugin.plugin_times import PluginTimes


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """The clock that the stopwatch of a new runtime reads."""
    clock = FakeClock()
    monkeypatch.setattr("rom_core.runtime.PluginTimes", lambda: PluginTimes(clock.monotonic))
    return clock


class Slow:
    """Takes 2 s before a turn, 1 s after it, and 4 s for an event."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock

    @hookimpl(wrapper=True)
    def rom_turn(self) -> Any:
        self._clock.advance(2)
        result = yield
        self._clock.advance(1)
        return result

    @hookimpl
    def rom_event(self, event: Any) -> None:
        if event.name == "turn.started":
            self._clock.advance(4)


def test_each_plugin_is_charged_its_own_time(clock: FakeClock) -> None:
    """A wrapper is not charged for what it wraps, the other plugin within it is."""
    plugins = {"outer": Slow(clock), "inner": Slow(clock)}
    runtime, _ = make_runtime(says("ok"), plugins=plugins, clock=clock, PLUGIN_TIMES=True)
    assert runtime.run(make_turn(runtime)).reply == "ok"
    times = dict(runtime.plugin_times.items())
    assert times[("outer", "rom_turn")] == times[("inner", "rom_turn")] == 3
    assert times[("outer", "rom_event")] == times[("inner", "rom_event")] == 4


def test_nothing_is_measured_unless_it_is_switched_on(clock: FakeClock) -> None:
    """Off by default: the plugin's own functions are called."""
    runtime, _ = make_runtime(says("ok"), plugins={"slow": Slow(clock)}, clock=clock)
    runtime.run(make_turn(runtime))
    assert runtime.plugin_times.items() == []


@pytest.mark.parametrize("measured", [True, False])
def test_refusals_and_errors_pass_through(clock: FakeClock, measured: bool) -> None:
    """A wrapper that refuses, one that sees the error of what it wraps, and one that replaces it work as ever."""
    seen: list[str] = []

    class Refuses:
        @hookimpl(wrapper=True)
        def rom_turn(self) -> Any:
            raise QueueFull
            yield

    class Watches:
        @hookimpl(wrapper=True)
        def rom_turn(self) -> Any:
            try:
                return (yield)
            except QueueFull as error:
                seen.append(error.code)
                raise

    runtime, transport = make_runtime(
        says("ok"),
        plugins={"watches": Watches(), "refuses": Refuses()},
        clock=clock,
        PLUGINS=["watches", "refuses"],
        PLUGIN_TIMES=measured,
    )
    with pytest.raises(QueueFull):
        runtime.run(make_turn(runtime))
    assert (seen, transport.requests) == (["queue_full"], [])
