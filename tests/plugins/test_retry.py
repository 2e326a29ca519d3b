"""Retry: what is tried again, when, how often, and when it is not."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from resilience import FIRST, SECOND, THIRD, Bench, declined, fails, server_error
from support import make_turn, says

from plugins.retry import backoff
from rom_core.concurrency.clock import FakeClock
from rom_core.errors import (
    ModelConnectionError,
    ModelCredentialsError,
    ModelError,
    ModelNotServed,
    ModelRefused,
    ModelServerError,
    ModelStreamTruncated,
    ModelThrottled,
    ModelTimeout,
    TurnCancelled,
)
from rom_core.turn import Attempt
from rom_core.turn_values import ModelReply


def waits(bench: Bench) -> list[float]:
    """The seconds that were slept, in order."""
    assert isinstance(bench.clock, FakeClock)
    return bench.clock.sleeps


# -- what and when ---------------------------------------------------------------------------------------------------


def test_three_retries_after_one_two_and_four_seconds() -> None:
    """Four requests in all, then the last error comes out and the client is told not to multiply them."""
    bench = Bench(fails(server_error()), plugins="retry")
    with pytest.raises(ModelServerError) as caught:
        bench.runtime.run(make_turn(bench.runtime))
    assert waits(bench) == [1.0, 2.0, 4.0]
    assert bench.models == [FIRST] * 4
    assert caught.value.should_retry is False
    assert declined(bench.recorder) == ["retries_spent"]


def test_a_retry_that_succeeds_is_an_ordinary_answer() -> None:
    """Nothing of the failed attempts shows in the answer."""
    bench = Bench(server_error(), server_error(), says("whole"), plugins="retry")
    result = bench.runtime.run(make_turn(bench.runtime))
    assert (result.reply, result.degraded, result.model) == ("whole", False, FIRST)
    assert waits(bench) == [1.0, 2.0]


@pytest.mark.parametrize(
    ("error", "requests"),
    [
        (ModelThrottled("", kind="ThrottlingException"), 4),
        (ModelThrottled("", kind="ModelNotReadyException"), 4),
        (ModelServerError("", kind="http_502"), 4),
        (ModelTimeout("", kind="ModelTimeoutException", http_status=408), 4),
        (ModelTimeout("", kind="connect_timeout"), 4),
        (ModelConnectionError("", kind="connection_refused"), 4),
        (ModelStreamTruncated("", kind="no_message_stop"), 4),
        (ModelTimeout("", kind="read_timeout"), 2),
        (ModelRefused("", kind="ValidationException", http_status=400), 1),
        (ModelError("", kind="ModelErrorException", http_status=424), 1),
        (ModelNotServed("", kind="ResourceNotFoundException", http_status=404), 1),
        (ModelCredentialsError("", kind="ExpiredTokenException", http_status=403), 1),
        (ModelError("", kind="unknown"), 1),
    ],
    ids=lambda value: value.kind if isinstance(value, ModelError) else None,
)
def test_only_what_may_pass_is_retried(error: ModelError, requests: int) -> None:
    """429, 5xx, timeouts (408 too) and broken connections; a read timeout once; never another 4xx."""
    bench = Bench(fails(error), plugins="retry")
    with pytest.raises(type(error)):
        bench.runtime.run(make_turn(bench.runtime))
    assert len(bench.models) == requests


def test_jitter_is_uniform_within_a_fifth_either_way() -> None:
    """Waits stay within ±20 % of 1, 2 and 4 s and fill that range evenly."""
    bench = Bench(fails(server_error()), plugins="retry", RETRY_JITTER=0.2, RETRY_BUDGET_PERCENT=0)
    for _ in range(200):
        with pytest.raises(ModelServerError):
            bench.runtime.run(make_turn(bench.runtime))
    shares = [wait / (1, 2, 4)[number % 3] for number, wait in enumerate(waits(bench))]
    assert len(shares) == 600
    assert 0.8 <= min(shares) < 0.803
    assert 1.197 < max(shares) <= 1.2
    tenths = [sum(0.8 + low / 25 <= share < 0.8 + (low + 1) / 25 for share in shares) for low in range(10)]
    assert all(40 < count < 80 for count in tenths), tenths


@pytest.mark.parametrize(("steps", "expected"), [((1.0, 2.0, 4.0), [1, 2, 4, 4, 4]), ((), [0, 0, 0, 0, 0])])
def test_the_last_step_repeats(steps: tuple[float, ...], expected: list[float]) -> None:
    """More retries than steps wait as long as the last one; no steps, no wait."""
    assert [backoff(steps, number) for number in range(1, 6)] == expected


def test_a_longer_retry_after_is_honoured_and_a_shorter_one_is_not() -> None:
    """The service knows best when it is back, but not that we may hurry."""
    errors = (ModelThrottled("", kind="429", retry_after=wait) for wait in (7.0, 0.5, 30.0))
    bench = Bench(*errors, says("ok"), plugins="retry")
    assert bench.runtime.run(make_turn(bench.runtime)).reply == "ok"
    assert waits(bench) == [7.0, 2.0, 30.0]


def test_a_retry_after_beyond_the_deadline_is_no_retry() -> None:
    """The client is told the time instead, in its own Retry-After."""
    bench = Bench(ModelThrottled("", kind="429", retry_after=500.0), plugins="retry")
    with pytest.raises(ModelThrottled) as caught:
        bench.runtime.run(make_turn(bench.runtime))
    assert (waits(bench), caught.value.retry_after) == ([], 500.0)
    assert declined(bench.recorder) == ["deadline"]


# -- when not --------------------------------------------------------------------------------------------------------


def test_no_retry_that_the_deadline_would_cut_short() -> None:
    """With 4.5 s left after two retries, a wait of 4 s would leave no time to answer."""
    bench = Bench(fails(server_error(), seconds=2.5), plugins="retry", TURN_DEADLINE_SECONDS=15)
    with pytest.raises(ModelServerError):
        bench.runtime.run(make_turn(bench.runtime))
    assert waits(bench) == [1.0, 2.0]
    assert declined(bench.recorder) == ["deadline"]


def test_no_retry_after_the_client_has_left() -> None:
    """A client that leaves during the wait ends it; nothing more goes on the wire."""
    bench = Bench(server_error(), says("never"), plugins="retry")
    turn = make_turn(bench.runtime)
    clock = bench.clock
    assert isinstance(clock, FakeClock)
    slept = threading.Event()

    def leave(seconds: float, wake: threading.Event) -> bool:
        slept.set()
        turn.cancel.cancel("client_gone")
        return wake.is_set()

    clock.sleep = leave  # type: ignore[method-assign]
    with pytest.raises(TurnCancelled):
        bench.runtime.run(turn)
    assert slept.is_set()
    assert len(bench.models) == 1


def partly(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
    """Say something, then break."""
    attempt.text("half ")
    raise ModelStreamTruncated("", kind="no_message_stop")


def test_no_retry_once_a_delta_reached_the_client() -> None:
    """Streamed: an error, never a second beginning. Unstreamed: nothing was handed over, so it is retried."""
    bench = Bench(partly, says("whole"), plugins="retry")
    with pytest.raises(ModelStreamTruncated):
        bench.runtime.run(make_turn(bench.runtime, sink=lambda name, data: None))
    assert len(bench.models) == 1
    bench = Bench(partly, says("whole"), plugins="retry")
    assert bench.runtime.run(make_turn(bench.runtime)).reply == "whole"


def test_what_is_left_of_the_deadline_stays_with_the_fallback() -> None:
    """A read timeout of 60 s out of 120 s is retried if nobody else could answer, but not if another model can."""
    alone = Bench(fails(ModelTimeout("", kind="read_timeout"), seconds=60), plugins="retry")
    with pytest.raises(ModelTimeout):
        alone.runtime.run(make_turn(alone.runtime))
    assert alone.models == [FIRST] * 2
    backed = Bench(
        fails(ModelTimeout("", kind="read_timeout"), seconds=60), says("from the second"), plugins="retry fallback"
    )
    assert backed.runtime.run(make_turn(backed.runtime)).model == SECOND
    assert backed.models == [FIRST, SECOND]
    assert declined(backed.recorder) == ["fallback_time"]


def test_the_last_models_get_their_request_too() -> None:
    """Retries leave one request of MAX_MODEL_REQUESTS to each model that may take over."""
    bench = Bench(fails(server_error()), plugins="retry fallback")
    with pytest.raises(ModelServerError):
        bench.runtime.run(make_turn(bench.runtime))
    assert bench.models == [FIRST] * 4 + [SECOND] * 3 + [THIRD]


def test_fewer_requests_than_retries() -> None:
    """MAX_MODEL_REQUESTS ends the retries, and the client is told that there were enough."""
    bench = Bench(fails(server_error()), plugins="retry", MAX_MODEL_REQUESTS=2)
    with pytest.raises(ModelServerError) as caught:
        bench.runtime.run(make_turn(bench.runtime))
    assert len(bench.models) == 2
    assert caught.value.should_retry is False


def test_switched_off_it_does_nothing() -> None:
    """RETRY_ENABLED off: one request, its error as it is, and the client's own retries are left to it."""
    bench = Bench(fails(server_error()), plugins="retry", RETRY_ENABLED=False)
    with pytest.raises(ModelServerError) as caught:
        bench.runtime.run(make_turn(bench.runtime))
    assert len(bench.models) == 1
    assert caught.value.should_retry is None
