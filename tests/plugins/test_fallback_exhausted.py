"""Fallback, when nobody can answer: the error that comes out, and the story in the log."""

from __future__ import annotations

import pytest
from fallback_support import by_model, gone, run, stories
from resilience import FIRST, SECOND, THIRD, Bench, server_error

from rom_core.errors import (
    CircuitOpen,
    DeadlineExceeded,
    Draining,
    ModelCredentialsError,
    ModelError,
    ModelMalformedReply,
    ModelNotServed,
    ModelRefused,
    ModelThrottled,
    RomError,
    TurnCancelled,
    WireSaturated,
)


def test_exhausted_the_last_cause_comes_out_and_the_story_goes_to_the_log() -> None:
    """The client reads nothing of models and attempts; the event has them all."""
    bench = Bench(
        by_model(first=server_error(), second=gone(), third=ModelThrottled("", kind="429")),
        plugins="retry fallback",
        RETRY_MAX_RETRIES=1,
    )
    error = run(bench)
    assert isinstance(error, ModelThrottled)
    assert (error.status, error.should_retry) == (503, False)
    assert "anthropic" not in error.detail
    assert stories(bench) == [
        (
            (FIRST, "server_error", "InternalServerException"),
            (FIRST, "server_error", "InternalServerException"),
            (SECOND, "refused", "ResourceNotFoundException"),
            (THIRD, "throttled", "429"),
            (THIRD, "throttled", "429"),
        )
    ]


@pytest.mark.parametrize(
    "error",
    [
        ModelError("", kind="ModelErrorException", http_status=424),
        ModelMalformedReply("", kind="malformed_tool_use"),
        WireSaturated("", kind="wire_saturated"),
    ],
    ids=lambda error: error.kind,
)
def test_a_client_does_not_retry_what_was_retried_whatever_came_last(error: ModelError) -> None:
    """x-should-retry is false once retries were spent on one model, though the last one's failure was worth none."""
    bench = Bench(by_model(first=server_error(), second=error), plugins="retry fallback", MODEL_FALLBACKS=[SECOND])
    assert run(bench) is error
    assert bench.models == [FIRST] * 4 + [SECOND]
    assert error.should_retry is False
    alone = type(error)("", kind=error.kind)
    assert run(Bench(by_model(first=alone), plugins="retry fallback", MODEL_FALLBACKS=[])) is alone
    assert alone.should_retry is None


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ModelRefused("", kind="ValidationException", http_status=400), ("refused", "ValidationException")),
        (
            ModelCredentialsError("", kind="ExpiredTokenException", http_status=403),
            ("refused", "ExpiredTokenException"),
        ),
        (DeadlineExceeded(), ("cancelled", "deadline_exceeded")),
    ],
    ids=lambda value: getattr(value, "code", None),
)
def test_the_story_is_told_whatever_ends_the_call_after_a_switch(error: RomError, told: tuple[str, str]) -> None:
    """A model that took over and failed for good, or ran out of time, leaves fallback.exhausted in the log."""
    bench = Bench(by_model(first=server_error(), second=error), plugins="fallback")
    assert run(bench) is error
    assert stories(bench) == [((FIRST, "server_error", "InternalServerException"), (SECOND, *told))]
    assert error.retry_after is None


@pytest.mark.parametrize("end", [TurnCancelled(), Draining()], ids=lambda end: end.code)
def test_nothing_is_exhausted_where_nobody_waits_for_the_answer(end: RomError) -> None:
    """A client that left and a server that stops are no failure of the models."""
    bench = Bench(by_model(first=server_error(), second=end), plugins="fallback")
    assert run(bench) is end
    assert stories(bench) == []


def test_a_mistake_that_no_other_model_was_asked_about_is_no_story() -> None:
    """A ValidationException of the first model never came near the fallback."""
    bench = Bench(by_model(first=ModelRefused("", kind="ValidationException", http_status=400)), plugins="fallback")
    assert isinstance(run(bench), ModelRefused)
    assert stories(bench) == []


def test_all_circuits_open_is_circuit_open_with_the_soonest_probe() -> None:
    """503 `circuit_open`; Retry-After is when the first of the models may be asked again."""
    bench = Bench(
        by_model(first=server_error(), second=server_error()),
        plugins="breaker fallback",
        MODEL_FALLBACKS=[SECOND],
        BREAKER_FAILURES=1,
    )
    run(bench, model=SECOND)
    bench.clock.advance(10)  # type: ignore[attr-defined]
    run(bench)
    bench.clock.advance(5)  # type: ignore[attr-defined]
    error = run(bench)
    assert isinstance(error, CircuitOpen)
    assert (error.retry_after, error.should_retry) == (15.0, False)
    assert bench.models == [SECOND, FIRST]


def test_a_known_retry_after_survives_another_cause() -> None:
    """The last cause has no time, the throttled model before it had one."""
    bench = Bench(
        by_model(first=ModelThrottled("", kind="429", retry_after=9.0), second=server_error()),
        plugins="fallback",
        MODEL_FALLBACKS=[SECOND],
    )
    error = run(bench)
    assert (error.code, error.retry_after) == ("upstream_unavailable", 9.0)


def test_switched_off_the_first_error_is_the_answer() -> None:
    """FALLBACK_ENABLED off: no other model is asked, and nothing is remembered."""
    bench = Bench(by_model(first=gone()), plugins="fallback", FALLBACK_ENABLED=False)
    for _ in range(2):
        assert isinstance(run(bench), ModelNotServed)
    assert bench.models == [FIRST, FIRST]
