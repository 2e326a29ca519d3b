"""The breaker plugin: what counts as a failure of a model, what an open circuit refuses, and what operators see."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flag_support import ANA, Site
from resilience import FIRST, SECOND, Bench, advance, circuit_events, fail, run, server_error, status
from support import Recorder, make_settings, make_turn, says

from plugins.breaker import Breaker
from plugins.metrics import Metrics
from rom_core.errors import (
    BedrockDisabled,
    CircuitOpen,
    DeadlineExceeded,
    ModelRefused,
    ModelServerError,
    ModelThrottled,
    Overloaded,
    RomError,
    TurnCancelled,
)
from rom_core.events import CircuitClosed, CircuitReported
from rom_core.runtime import Runtime
from rom_core.turn import Attempt
from rom_core.turn_values import ModelReply

# -- what counts -----------------------------------------------------------------------------------------------------


def test_without_retry_every_failed_request_counts() -> None:
    """Five failed requests open the circuit; the sixth is refused before the wire, with the time until the probe."""
    bench = Bench(fail, plugins="breaker")
    assert [run(bench) for _ in range(5)] == ["upstream_unavailable"] * 5
    advance(bench, 12)
    with pytest.raises(CircuitOpen) as caught:
        bench.runtime.run(make_turn(bench.runtime))
    assert (caught.value.status, caught.value.retry_after, caught.value.should_retry) == (503, 18.0, False)
    assert len(bench.models) == 5
    assert status(bench) == {"state": "open", "forced": False, "recent_failures": 5, "seconds_to_probe": 18.0}
    assert circuit_events(bench) == ["circuit.opened failures"]


def test_with_retry_a_call_counts_once() -> None:
    """Five calls of four requests each: a failure is a call that failed after its retries."""
    bench = Bench(fail, plugins="retry breaker", RETRY_BUDGET_PERCENT=0)
    for number in range(1, 6):
        assert run(bench) == "upstream_unavailable"
        assert status(bench)["recent_failures"] == number
    assert len(bench.models) == 20
    assert run(bench) == "circuit_open"


def test_one_request_in_five_throttled_leaves_the_circuit_closed() -> None:
    """What the retries repair is no failure: 200 calls with a fifth of the requests throttled all succeed."""
    sent = 0

    def throttle(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        nonlocal sent
        sent += 1
        if sent % 5 == 0:
            raise ModelThrottled("", kind="ThrottlingException")
        return says("ok")

    bench = Bench(throttle, plugins="retry breaker")
    assert {run(bench) for _ in range(200)} == {"ok"}
    assert status(bench) == {"state": "closed", "forced": False, "recent_failures": 0, "seconds_to_probe": None}


@pytest.mark.parametrize(
    "error", [ModelRefused("", kind="ValidationException"), ModelRefused("", kind="ConflictException")]
)
def test_a_clients_mistake_is_neither_failure_nor_success(error: ModelRefused) -> None:
    """A 4xx leaves a closed circuit as it is, and hands the probe on to the next request."""
    bench = Bench(*[error] * 10, fail, plugins="breaker")
    assert {run(bench) for _ in range(10)} == {"upstream_refused"}
    assert status(bench)["recent_failures"] == 0
    for _ in range(5):
        run(bench)
    advance(bench, 30)
    bench.transport.steps[:] = [error, says("ok")]
    assert run(bench) == "upstream_refused"
    assert status(bench) == {"state": "half_open", "forced": False, "recent_failures": 5, "seconds_to_probe": 0.0}
    assert run(bench) == "ok"
    assert status(bench)["state"] == "closed"


def partly(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
    """Say something, then break."""
    attempt.text("half ")
    raise server_error()


@pytest.mark.parametrize("plugins", ["breaker", "retry breaker", "retry breaker fallback"])
def test_a_failure_in_the_middle_of_a_stream_counts_once(plugins: str) -> None:
    """Nobody is asked once text was emitted; the failure is one all the same."""
    bench = Bench(partly, plugins=plugins)
    assert run(bench, sink=lambda name, data: None) == "upstream_unavailable"
    assert status(bench)["recent_failures"] == 1


def test_a_failure_at_the_limit_of_requests_counts_once() -> None:
    """Nobody is asked when MAX_MODEL_REQUESTS is used up."""
    bench = Bench(fail, plugins="retry breaker", MAX_MODEL_REQUESTS=2)
    run(bench)
    assert status(bench)["recent_failures"] == 1


def test_a_failure_whose_retry_only_the_budget_declined_does_not_count() -> None:
    """The retry might have been answered. With the budget off, and with retry off, the same failures open it."""
    none: dict[str, Any] = {"RETRY_BUDGET_PERCENT": 1, "RETRY_BUDGET_MIN_PER_MINUTE": 0}
    declined = Bench(fail, plugins="retry breaker", **none)
    assert {run(declined) for _ in range(20)} == {"upstream_unavailable"}
    assert (status(declined)["state"], status(declined)["recent_failures"]) == ("closed", 0)
    no_budget: dict[str, Any] = {"RETRY_BUDGET_PERCENT": 0}
    for plugins, values in (("retry breaker", no_budget), ("breaker", {})):
        counted = Bench(fail, plugins=plugins, **values)
        assert [run(counted) for _ in range(6)][-1] == "circuit_open"


def test_an_answer_in_full_makes_up_for_answers_broken_off() -> None:
    """A model that had begun to answer is not away: breaks in the middle count until the next answer in full, so that
    only a model that breaks off all of them opens its circuit."""

    def breaks_off(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        attempt.began = True
        raise server_error()

    bench = Bench(
        *[step for _ in range(5) for step in (breaks_off,) * 4 + (says("ok"),)], breaks_off, plugins="breaker"
    )
    for _ in range(5):
        assert [run(bench) for _ in range(5)] == ["upstream_unavailable"] * 4 + ["ok"]
        assert status(bench)["recent_failures"] == 0
    assert [run(bench) for _ in range(6)] == ["upstream_unavailable"] * 5 + ["circuit_open"]
    mixed = Bench(*[fail] * 4, says("ok"), fail, plugins="breaker")
    for _ in range(6):
        run(mixed)
    assert status(mixed)["state"] == "open", "what failed before it began is not made up for"


def test_every_model_has_its_own_circuit() -> None:
    """A fallback's failures are its own."""
    bench = Bench(fail, plugins="breaker fallback", MODEL_FALLBACKS=[SECOND])
    for _ in range(3):
        run(bench)
    assert [status(bench, model)["recent_failures"] for model in (FIRST, SECOND)] == [3, 3]
    run(bench, model=SECOND)
    assert [status(bench, model)["recent_failures"] for model in (FIRST, SECOND)] == [3, 4]


def test_our_own_deadline_is_no_failure_of_the_model() -> None:
    """A turn that ran out of time, or whose client left, says nothing about the model."""
    bench = Bench(DeadlineExceeded(), TurnCancelled(), DeadlineExceeded(), plugins="breaker", BREAKER_FAILURES=1)
    assert [run(bench) for _ in range(3)] == ["deadline_exceeded", "cancelled", "deadline_exceeded"]
    assert status(bench)["state"] == "closed"


# -- open and half-open ----------------------------------------------------------------------------------------------


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
