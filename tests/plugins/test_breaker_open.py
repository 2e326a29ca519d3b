"""The breaker plugin: what an open circuit refuses, its probe, and what a change of settings does to it."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flag_support import ANA, Site
from resilience import Bench, advance, circuit_events, fail, run, server_error, status
from support import Recorder, make_settings, make_turn, says

from plugins.breaker import Breaker
from plugins.metrics import Metrics
from rom_core.errors import BedrockDisabled, DeadlineExceeded, ModelServerError, Overloaded, RomError, TurnCancelled
from rom_core.events import CircuitClosed, CircuitReported
from rom_core.runtime import Runtime
from rom_core.turn import Attempt
from rom_core.turn_values import ModelReply


def test_the_probe_closes_or_reopens_and_is_not_retried() -> None:
    """In half-open exactly one request goes out; a bad one reopens without retries, a good one closes."""
    bench = Bench(fail, plugins="retry breaker", RETRY_MAX_RETRIES=1)
    for _ in range(5):
        run(bench)
    advance(bench, 30)
    before = len(bench.models)
    assert run(bench) == "upstream_unavailable"
    assert len(bench.models) == before + 1
    assert run(bench) == "circuit_open"
    advance(bench, 30)
    bench.transport.steps[:] = [says("back")]
    assert run(bench) == "ok"
    assert status(bench) == {"state": "closed", "forced": False, "recent_failures": 0, "seconds_to_probe": None}
    assert circuit_events(bench) == [
        "circuit.opened failures",
        "circuit.half_opened",
        "circuit.opened probe_failed",
        "circuit.half_opened",
        "circuit.closed probe_succeeded",
    ]


@pytest.mark.parametrize("end", [TurnCancelled(), DeadlineExceeded(), BedrockDisabled(), Overloaded()])
def test_a_probe_that_is_cancelled_does_not_leave_it_half_open(end: RomError) -> None:
    """However it ends, the next request is the probe."""
    bench = Bench(fail, plugins="breaker")
    for _ in range(5):
        run(bench)
    advance(bench, 30)
    bench.transport.steps[:] = [end, says("back")]
    assert run(bench) == end.code
    assert run(bench) == "ok"


def test_no_lock_is_held_during_a_call_and_one_probe_goes_through() -> None:
    """Twenty turns at once: closed, all are on the wire together; half-open, one is, and the rest are refused."""
    together = threading.Barrier(20)

    def all_at_once(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        together.wait(timeout=60)
        return says("ok")

    bench = Bench(all_at_once, plugins="breaker")
    assert run_together(bench, 20) == ["ok"] * 20
    bench.transport.steps[:] = [fail]
    for _ in range(5):
        run(bench)
    advance(bench, 30)
    refused = threading.Semaphore(0)

    def slow(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        for _ in range(19):
            assert refused.acquire(timeout=60)
        return says("ok")

    bench.transport.steps[:] = [slow]
    assert run_together(bench, 20, lambda code: refused.release() if code == "circuit_open" else None) == [
        *["circuit_open"] * 19,
        "ok",
    ]


def run_together(bench: Bench, turns: int, then: Any = lambda code: None) -> list[str]:
    """Run so many turns in threads; their codes, sorted."""
    codes: list[str] = []

    def one() -> None:
        codes.append(run(bench))
        then(codes[-1])

    threads = [threading.Thread(target=one) for _ in range(turns)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return sorted(codes)


def test_a_success_that_began_before_the_break_does_not_close_it() -> None:
    """A slow good answer from before the circuit opened comes back to an open circuit."""
    bench = Bench(plugins="breaker")

    def overtaken(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        bench.transport.steps[:] = [fail]
        for _ in range(5):
            run(bench)
        return says("late")

    bench.transport.steps[:] = [overtaken]
    assert run(bench) == "ok"
    assert status(bench)["state"] == "open"


def test_the_newest_limits_hold_for_turns_that_run_already() -> None:
    """Limits are the process's, not the turn's: a turn from before a reload opens the circuit by the new ones."""
    bench = Bench(fail, plugins="breaker")
    run(bench)
    turn = make_turn(bench.runtime)
    newer = Bench(plugins="breaker", BREAKER_FAILURES=2).runtime.current.settings
    bench.runtime.swap(replace(bench.runtime.current, settings=newer))
    with pytest.raises(ModelServerError):
        bench.runtime.run(turn)
    assert status(bench)["state"] == "open"


def test_the_kill_switch_comes_before_an_open_circuit() -> None:
    """503 `bedrock_disabled` and not `circuit_open`, also where the switch goes off while a retry waits."""

    def switch_off(runtime: Runtime) -> None:
        runtime.swap(replace(runtime.current, settings=make_settings(runtime.catalogue, BEDROCK_ENABLED=False)))

    opened = Bench(fail, plugins="breaker", BREAKER_FAILURES=1)
    assert [run(opened), run(opened)] == ["upstream_unavailable", "circuit_open"]
    switch_off(opened.runtime)
    assert run(opened) == "bedrock_disabled"

    def fail_for_the_last_time(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        switch_off(waiting.runtime)
        raise server_error()

    waiting = Bench(fail_for_the_last_time, plugins="retry breaker")
    assert run(waiting) == "bedrock_disabled"
    assert len(waiting.models) == 1


def test_switched_off_it_refuses_nothing() -> None:
    """CIRCUIT_BREAKER_ENABLED off: every request goes out."""
    bench = Bench(fail, plugins="breaker", CIRCUIT_BREAKER_ENABLED=False)
    assert {run(bench) for _ in range(10)} == {"upstream_unavailable"}
    assert len(bench.models) == 10


def test_switched_off_while_it_runs_it_closes_all_circuits_and_forgets(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """CIRCUIT_BREAKER_ENABLED=false at run time: rom_circuit_state is 0 at once, and on again nothing is left."""
    metrics, breaker, recorder = Metrics(), Breaker(), Recorder()
    site = Site(tmp_path, recorder=recorder, metrics=metrics, breaker=breaker)
    site.environ |= {"RECORDER_ENABLED": "true", "CIRCUIT_BREAKER_ENABLED": "true", "BREAKER_FAILURES": "1"}
    runtime, flags = site.start(fail)
    model = runtime.current.settings.MODEL_PRIMARY
    request.addfinalizer(runtime.stop)
    runtime.start()

    def figure() -> float | None:
        found: float | None = runtime.registry.get_sample_value("rom_circuit_state", {"model": model})
        return found

    def ask() -> None:
        with pytest.raises(ModelServerError):
            runtime.run(make_turn(runtime))

    ask()
    breaker.force("anthropic.claude-haiku-4-5", "open", ANA)
    assert (figure(), breaker.status_of(model)["state"]) == (2, "open")
    flags.change({"CIRCUIT_BREAKER_ENABLED": "false"}, ANA)
    assert figure() == 0
    closed = [event for event in recorder.events if isinstance(event, CircuitClosed)]
    assert [(e.reason, e.by, e.why, e.trace_id) for e in closed] == [("reset", "ana", "because", "trace-1")] * 2
    flags.change({"CIRCUIT_BREAKER_ENABLED": "true"}, ANA)
    found = breaker.status_of(model)
    assert (found["state"], found["recent_failures"], found["forced"]) == ("closed", 0, False)
    assert not breaker.status_of("anthropic.claude-haiku-4-5")["forced"]
    flags.change({"MAX_TOKENS": "2000"}, ANA)
    ask()
    flags.change({"MAX_TOKENS": "3000"}, ANA)
    assert figure() == 2, "any other change of the settings leaves circuits alone"


def test_every_circuit_is_reported_after_a_change_of_settings(tmp_path: Path) -> None:
    """An observer that was off while circuits changed learns what they stand at; switched off, none is reported."""
    breaker, recorder = Breaker(), Recorder()
    site = Site(tmp_path, recorder=recorder, breaker=breaker)
    site.environ |= {"RECORDER_ENABLED": "true", "CIRCUIT_BREAKER_ENABLED": "true", "BREAKER_FAILURES": "1"}
    runtime, flags = site.start(fail)
    for plugin in runtime.catalogue.plugins.values():
        plugin.call("rom_start", runtime=runtime)
    settings = runtime.current.settings
    breaker.force(settings.MODEL_FALLBACKS[0], "open", ANA)
    with pytest.raises(ModelServerError):
        runtime.run(make_turn(runtime))
    flags.change({"MAX_TOKENS": "2000"}, ANA)
    reported = {e.model: (e.state, e.forced) for e in recorder.events if isinstance(e, CircuitReported)}
    expected = dict.fromkeys(settings.models, ("closed", False))
    assert reported == expected | {
        settings.MODEL_PRIMARY: ("open", False),
        settings.MODEL_FALLBACKS[0]: ("open", True),
    }
    recorder.events.clear()
    flags.change({"CIRCUIT_BREAKER_ENABLED": "false"}, ANA)
    assert not [event for event in recorder.events if isinstance(event, CircuitReported)]
