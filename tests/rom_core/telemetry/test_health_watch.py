"""Health over time: counted from events, held for a while, told at every change, also without any plugin."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import structlog
from support import Recorder, failure, make_runtime, make_turn, says
from waiting import until

from plugins.limiter import Limiter
from rom_core.concurrency.clock import FakeClock
from rom_core.errors import ModelRefused, RomError
from rom_core.events import CircuitClosed, CircuitHalfOpened, CircuitOpened, CircuitReported, HealthChanged
from rom_core.runtime import Runtime
from rom_core.telemetry.health_counts import HealthCounts
from rom_core.telemetry.health_shape import health_of
from rom_core.telemetry.health_watch import PERIOD_SECONDS


def watched(*steps: Any, **options: Any) -> tuple[Runtime, Recorder, FakeClock]:
    """A runtime that was not started: it looks when it is asked."""
    recorder, clock = Recorder(), FakeClock()
    runtime, _ = make_runtime(*steps, plugins={"recorder": recorder}, clock=clock, **options)
    return runtime, recorder, clock


def run(runtime: Runtime, turns: int, **request: Any) -> None:
    """Turns one after the other."""
    for _ in range(turns):
        with contextlib.suppress(RomError):
            runtime.run(make_turn(runtime, **request))


def changes(recorder: Recorder) -> list[tuple[str, str]]:
    """The changes of state that were told."""
    told = [event for event in recorder.events if isinstance(event, HealthChanged)]
    return [(event.before, event.after) for event in told if event.before != event.after]


def test_an_outage_is_told_at_the_next_look_and_is_over_a_minute_after_the_last_sign_of_it() -> None:
    """Down at once; degraded while the bad minute passes; well when nothing was found for another one."""
    runtime, recorder, clock = watched(*[failure(ModelRefused)] * 6, says("ok"))
    run(runtime, 6)
    shown = health_of(runtime.health)
    assert (shown["state"], shown["capacity"]) == ("down", "critical")
    assert shown["why"][0]["text"] == "6 of 6 turns of the last minute failed (upstream_refused)"
    assert (shown["last_minute"]["failed"], shown["last_minute"]["failed_by_code"]) == (6, {"upstream_refused": 6})
    run(runtime, 7)
    clock.advance(11)
    assert health_of(runtime.health)["state"] == "degraded"
    clock.advance(50)
    run(runtime, 1)
    shown = health_of(runtime.health)
    assert shown["state"] == "degraded"
    assert shown["why"][0]["text"].endswith(" (over for 50 s)")
    assert not any(why["act"] for why in shown["why"])
    clock.advance(11)
    shown = health_of(runtime.health)
    assert (shown["state"], shown["why"]) == ("well", [])
    assert changes(recorder) == [("well", "down"), ("down", "degraded"), ("degraded", "well")]


def test_a_good_turn_ends_the_row_of_failed_ones() -> None:
    """Down after five in a row amid many good ones; after a good one it is the share that counts."""
    steps = [*[says("ok")] * 30, *[failure(ModelRefused)] * 5, says("ok")]
    runtime, recorder, clock = watched(*steps)
    run(runtime, 34)
    assert health_of(runtime.health)["state"] == "degraded"
    run(runtime, 1)
    assert health_of(runtime.health)["state"] == "down"
    run(runtime, 1)
    clock.advance(10)
    assert health_of(runtime.health)["state"] == "degraded"
    assert changes(recorder) == [("well", "degraded"), ("degraded", "down"), ("down", "degraded")]


def test_what_nobody_asks_about_stays_as_it_was_seen_last() -> None:
    """Without a turn in the last minute the last five count: an outage is not over because everybody has left."""
    runtime, _, clock = watched(failure(ModelRefused))
    run(runtime, 6)
    runtime.health.look()
    clock.advance(200)
    assert health_of(runtime.health)["why"][0]["text"].startswith("6 of 6 turns of the last 5 minutes failed")
    assert runtime.health.state == "down"
    clock.advance(170)
    assert health_of(runtime.health)["state"] == "well"


def test_an_outage_that_is_over_does_not_come_back_when_everybody_leaves() -> None:
    """Failed turns of some minutes ago, good ones since, and nobody who asks any more."""
    runtime, recorder, clock = watched(*[failure(ModelRefused)] * 6, says("ok"))
    run(runtime, 6)
    runtime.health.look()
    for _ in range(13):
        clock.advance(10)
        run(runtime, 1)
        runtime.health.look()
    assert runtime.health.state == "well"
    for _ in range(10):
        clock.advance(10)
        runtime.health.look()
    assert changes(recorder) == [("well", "down"), ("down", "degraded"), ("degraded", "well")]


def test_a_share_that_swings_around_a_threshold_is_one_change() -> None:
    """Two failures every eighty seconds, now of 38 turns and now of 30, for a quarter of an hour."""
    runtime, recorder, clock = watched(says("ok"))
    steps: list[Any] = []
    runtime.transport.steps = steps  # type: ignore[attr-defined]
    for time in range(10):
        steps[:] = [*[failure(ModelRefused)] * 2, *[says("ok")] * 60]
        run(runtime, 38 if time % 2 else 30)
        for _ in range(8):
            runtime.health.look()
            clock.advance(10)
    assert changes(recorder) == [("well", "degraded")]


def test_the_line_of_a_change_is_in_the_log_whatever_plugins_there_are() -> None:
    """`health.changed`, an error once it is down: the core writes it, without a webhook and without the log plugin."""
    runtime, _ = make_runtime(failure(ModelRefused), clock=FakeClock())
    run(runtime, 2)
    with structlog.testing.capture_logs() as lines:
        runtime.health.look()
        runtime.health.look()
    (line,) = [line for line in lines if line["event"] == "health.changed"]
    assert (line["before"], line["after"], line["log_level"]) == ("well", "down", "error")
    assert "2 of 2 turns of the last minute failed (upstream_refused)" in line["why"]
    assert "docs/operate.md#failed-turns" in line["read"]


def test_that_a_process_shuts_down_is_no_warning() -> None:
    """It happens at every release."""
    runtime, _ = make_runtime(clock=FakeClock())
    runtime.draining.set()
    with structlog.testing.capture_logs() as lines:
        runtime.health.look()
    (line,) = [line for line in lines if line["event"] == "health.changed"]
    assert (line["after"], line["log_level"]) == ("degraded", "info")


def test_a_started_runtime_looks_by_itself() -> None:
    """Nobody asks, and the event is told: once a second, so that it is in the log within two seconds of its cause."""
    assert PERIOD_SECONDS <= 1
    recorder = Recorder()
    runtime, _ = make_runtime(failure(ModelRefused), plugins={"recorder": recorder}, clock=FakeClock())
    runtime.start()
    run(runtime, 2)
    try:
        assert until(lambda: changes(recorder) == [("well", "down")])
    finally:
        runtime.stop()


def test_the_kill_switch_and_draining_are_seen() -> None:
    """Off is down; a server that stops is degraded, and nobody has to act."""
    runtime, _, _ = watched(BEDROCK_ENABLED=False)
    assert [(why["reason"], why["act"]) for why in health_of(runtime.health)["why"]] == [("bedrock_off", True)]
    runtime.drain()
    assert [why["reason"] for why in health_of(runtime.health)["why"]] == ["bedrock_off", "draining"]


def test_a_cohort_is_judged_by_its_own_turns() -> None:
    """What the canary's turns come to says nothing of the stable ones."""
    runtime, _, _ = watched(failure(ModelRefused))
    run(runtime, 2)
    assert runtime.health.failing("stable") == "2 of 2 of its turns in the last minute failed"
    assert runtime.health.failing("canary") == ""


def test_who_left_or_asked_wrongly_is_no_failure_and_exhaustive_turns_may_take_long() -> None:
    """Only ok, error and our own refusals are counted; a turn of the mode exhaustive is in no percentile."""
    runtime, _, _ = watched(says("ok"))
    turn = make_turn(runtime)
    turn.cancel.cancel("client_gone")
    with pytest.raises(RomError):
        runtime.run(turn)
    run(runtime, 1, mode="exhaustive")
    shown = health_of(runtime.health)
    assert (shown["last_minute"]["turns"], shown["last_minute"]["failed"], shown["p95_seconds"]) == (1, 0, None)


def test_a_refusal_is_counted_once_whether_a_turn_had_begun_or_not() -> None:
    """The limiter refuses at the door and within the turn; the latter ends as a turn too."""
    runtime, _ = make_runtime(plugins={"limiter": Limiter()}, clock=FakeClock(), MEMORY_LIMIT_MB=1)
    runtime.start()
    try:
        run(runtime, 1)
        with pytest.raises(RomError):
            runtime.admit("/api/chat")
    finally:
        runtime.stop()
    assert dict(runtime.health.signs().minute.refused) == {"memory_pressure": 2}


def test_circuits_are_known_from_their_events() -> None:
    """Open until its probe is due, forced until it is let go; nobody asks the breaker."""
    clock = FakeClock()
    counts = HealthCounts(clock)
    counts.observe(CircuitOpened("a", "failures", 5, 30.0))
    counts.observe(CircuitOpened("b", "forced", 0, None, by="ana"))
    assert counts.circuits() == {"a": "open", "b": "forced"}
    clock.advance(30)
    assert counts.circuits() == {"b": "forced"}, "one that nobody asks is no trouble"
    counts.observe(CircuitHalfOpened("a"))
    assert counts.circuits()["a"] == "open"
    counts.observe(CircuitClosed("a", "probe_succeeded"))
    counts.observe(CircuitReported("b", "closed", forced=False))
    assert counts.circuits() == {}
    counts.observe(CircuitReported("b", "open", forced=True))
    assert counts.circuits() == {"b": "forced"}
