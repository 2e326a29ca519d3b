"""The budget of retries: a share of the first tries, with a floor, that an outage cannot multiply."""

from __future__ import annotations

import threading
from typing import Any

import falcon.testing
import pytest
from resilience import Bench, declined, fails, server_error
from support import make_turn, says

from plugins.retry import RetryBudget
from rom_core.concurrency.clock import FakeClock
from rom_core.errors import ModelRefused, ModelServerError
from rom_core.events import RetryScheduled
from rom_core.http.app import create_app
from rom_core.turn import Attempt
from rom_core.turn_values import ModelReply


def test_the_budget_is_a_share_with_a_floor_over_one_minute() -> None:
    """At most 50 % of the first tries of the last 60 s, or 30; a minute later it is whole again."""
    budget = RetryBudget()
    assert sum(budget.take(0.0, 50, 30) for _ in range(100)) == 30
    for _ in range(100):
        budget.first(0.0)
    assert sum(budget.take(1.0, 50, 30) for _ in range(100)) == 20
    assert budget.counts(59.0) == (100, 50)
    assert budget.counts(61.0) == (0, 0)
    assert sum(budget.take(61.0, 50, 30) for _ in range(100)) == 30


def test_no_budget_and_no_floor() -> None:
    """RETRY_BUDGET_PERCENT 0 is no limit; RETRY_BUDGET_MIN_PER_MINUTE 0 is no floor."""
    budget = RetryBudget()
    assert all(budget.take(0.0, 0, 30) for _ in range(100))
    assert not RetryBudget().take(0.0, 50, 0)


def test_ten_users_in_an_outage_do_not_amplify_it() -> None:
    """When every request fails, ten users together put their questions and half as many retries on the wire.

    Without the budget their 200 questions would be 800 requests.
    """
    lock = threading.Lock()

    class SharedClock(FakeClock):
        """Time stands still, so that all falls into one window."""

        def sleep(self, seconds: float, wake: threading.Event) -> bool:
            with lock:
                self.sleeps.append(seconds)
            return wake.is_set()

    def fail(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
        raise server_error()

    bench = Bench(fail, plugins="retry", clock=SharedClock())

    def user() -> None:
        for _ in range(20):
            with pytest.raises(ModelServerError):
                bench.runtime.run(make_turn(bench.runtime))

    threads = [threading.Thread(target=user) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    first_tries, retries = 200, 100
    assert len(bench.models) <= first_tries + retries
    assert len(bench.models) > first_tries + 30
    assert "budget" in declined(bench.recorder)


def test_a_few_users_may_retry_whatever_the_share() -> None:
    """The floor: a single question in a quiet minute gets all its retries."""
    bench = Bench(fails(server_error()), plugins="retry")
    for _ in range(10):
        with pytest.raises(ModelServerError):
            bench.runtime.run(make_turn(bench.runtime))
    scheduled = [event for event in bench.recorder.events if isinstance(event, RetryScheduled)]
    assert len(scheduled) == 30


def flaky(attempt: Attempt, request: dict[str, Any]) -> ModelReply:
    """The first request of every call fails, the second is answered."""
    if attempt.number == 1:
        raise server_error()
    return says("ok")


def test_retries_that_lead_to_an_answer_are_given_back() -> None:
    """With every first try failing and every retry answered, a hundred questions are answered within a budget of one
    retry a minute: it is to hold back those that help nobody."""
    bench = Bench(
        flaky, plugins="retry", RETRY_BUDGET_PERCENT=1, RETRY_BUDGET_MIN_PER_MINUTE=1, RETRY_BACKOFF_SECONDS=[]
    )
    for _ in range(100):
        assert bench.runtime.run(make_turn(bench.runtime)).reply == "ok"
    assert bench.runtime.current.pipeline.status()["retry"]["retries_last_minute"] == 0


def test_a_call_gets_all_its_retries_or_none() -> None:
    """A budget of five in an outage: one call has its three, the next the two that are left, the third none; what a
    call did not need is given back."""
    values: dict[str, Any] = {"RETRY_BUDGET_PERCENT": 1, "RETRY_BUDGET_MIN_PER_MINUTE": 5, "RETRY_BACKOFF_SECONDS": []}
    bench = Bench(fails(server_error()), plugins="retry", **values)
    requests = []
    for _ in range(3):
        before = len(bench.models)
        with pytest.raises(ModelServerError):
            bench.runtime.run(make_turn(bench.runtime))
        requests.append(len(bench.models) - before)
    assert requests == [4, 3, 1]
    refused = Bench(server_error(), ModelRefused("", kind="ValidationException"), plugins="retry", **values)
    with pytest.raises(ModelRefused):
        refused.runtime.run(make_turn(refused.runtime))
    assert refused.runtime.current.pipeline.status()["retry"]["retries_last_minute"] == 1


def test_a_call_in_which_others_have_begun_to_retry_takes_nothing_from_them() -> None:
    """Two calls at once and a budget of three: the one that failed first gets them all, the other is declined at once
    and not after a retry or two that could not have helped it."""
    budget = RetryBudget()
    assert [budget.take(0.0, 50, 3, wanted=3), budget.take(0.0, 50, 3, wanted=3)] == [3, 0]
    budget.give_back([0.0, 0.0])
    assert budget.take(0.0, 50, 3, wanted=3) == 2


def test_a_clients_own_retries_count_against_the_budget() -> None:
    """A first try that the client itself calls a retry is one; the turn's later calls are first tries."""
    bench = Bench(says("ok"), plugins="retry")
    bench.runtime.run(make_turn(bench.runtime, client_retries=2))
    bench.runtime.run(make_turn(bench.runtime, client_retries=0))
    status = bench.runtime.current.pipeline.status()["retry"]
    assert status == {"first_tries_last_minute": 1, "retries_last_minute": 1}


def test_a_client_that_retries_says_so_in_a_header() -> None:
    """x-stainless-retry-count, as the official clients send it, reaches the budget through the route."""
    bench = Bench(says("ok"), plugins="retry")
    client = falcon.testing.TestClient(create_app(bench.runtime))
    for count in ("0", "1", "2"):
        answer = client.simulate_post("/api/chat", json={"message": "hi"}, headers={"x-stainless-retry-count": count})
        assert answer.status_code == 200
    status = bench.runtime.current.pipeline.status()["retry"]
    assert status == {"first_tries_last_minute": 1, "retries_last_minute": 2}


def test_a_reload_changes_the_budget_of_running_turns() -> None:
    """The budget is read from the newest settings, the schedule from the turn's own."""
    bench = Bench(server_error(), says("ok"), plugins="retry")
    other = Bench(plugins="retry", RETRY_BUDGET_MIN_PER_MINUTE=0)
    turn = make_turn(bench.runtime)
    bench.runtime.swap(other.runtime.current)
    with pytest.raises(ModelServerError):
        bench.runtime.run(turn)
    assert declined(bench.recorder) == ["budget"]
