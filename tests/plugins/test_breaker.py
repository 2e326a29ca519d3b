"""The breaker plugin: what counts as a failure of a model."""

from __future__ import annotations

from typing import Any

import pytest
from resilience import FIRST, SECOND, Bench, advance, circuit_events, fail, run, server_error, status
from support import make_turn, says

from rom_core.errors import CircuitOpen, DeadlineExceeded, ModelRefused, ModelThrottled, TurnCancelled
from rom_core.turn import Attempt
from rom_core.turn_values import ModelReply


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
