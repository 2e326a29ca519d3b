"""The pool: bounded, interruptible from outside, and honest about the threads it cannot get back."""

from __future__ import annotations

import contextvars
import threading
import weakref
from typing import Any

import pytest
from waiting import until

from rom_core.concurrency.cancel import CancelToken
from rom_core.concurrency.clock import SystemClock
from rom_core.concurrency.workers import PoolSaturated, WorkerPool

CLOCK = SystemClock()


@pytest.fixture
def pool() -> WorkerPool:
    """Two threads and one waiting place."""
    return WorkerPool("test", 2, waiting=1)


def test_a_job_gives_its_value_or_raises_its_exception(pool: WorkerPool) -> None:
    """`value` is what the function returned or raised."""
    good, bad = pool.submit(lambda: 42), pool.submit(lambda: 1 / 0)
    assert pool.wait(good, CLOCK, CancelToken(), 60)
    assert pool.wait(bad, CLOCK, CancelToken(), 60)
    assert good.value() == 42
    with pytest.raises(ZeroDivisionError):
        bad.value()
    pool.stop()


def test_what_does_not_fit_is_refused_at_once(pool: WorkerPool) -> None:
    """Threads and waiting places are the limit; a freed one can be used again."""
    go = threading.Event()
    jobs = [pool.submit(go.wait) for _ in range(3)]
    with pytest.raises(PoolSaturated):
        pool.submit(go.wait)
    go.set()
    assert all(pool.wait(job, CLOCK, CancelToken(), 60) for job in jobs)
    assert until(lambda: pool.outstanding == 0)
    assert pool.wait(pool.submit(lambda: 1), CLOCK, CancelToken(), 60)
    pool.stop()


def test_waiting_ends_when_the_token_is_cancelled(pool: WorkerPool) -> None:
    """A wait for a job that does not end is over at once when the token is cancelled, before or during it."""
    go, cancel = threading.Event(), CancelToken()
    job = pool.submit(go.wait)
    threading.Timer(0.02, lambda: cancel.cancel("client_gone")).start()
    assert not pool.wait(job, CLOCK, cancel, 3600)
    assert not pool.wait(job, CLOCK, cancel, 3600)
    go.set()
    pool.stop()


def test_a_given_up_job_is_counted_until_it_returns_and_its_result_released(pool: WorkerPool) -> None:
    """`abandon` counts the thread; a result that comes late goes to `on_late`."""
    go = threading.Event()
    late: list[Any] = []
    job = pool.submit(lambda: go.wait() and "result", on_late=late.append)
    assert until(lambda: job.started)
    pool.abandon(job)
    assert pool.abandoned == 1
    go.set()
    assert until(lambda: pool.abandoned == 0)
    assert late == ["result"]
    pool.stop()


def test_a_late_result_that_cannot_be_released_costs_no_thread() -> None:
    """What `on_late` raises is logged; the thread takes the next job, and nothing stays counted."""
    pool, go = WorkerPool("test", 1), threading.Event()

    def refuse(_: Any) -> None:
        raise ValueError("cannot be closed")

    job = pool.submit(lambda: go.wait() and "result", on_late=refuse)
    assert until(lambda: job.started)
    pool.abandon(job)
    go.set()
    assert until(lambda: pool.outstanding == 0)
    assert pool.abandoned == 0
    following = pool.submit(lambda: "next")
    assert pool.wait(following, CLOCK, CancelToken(), 60)
    assert following.value() == "next"
    pool.stop()


def test_a_job_given_up_before_it_started_does_not_run() -> None:
    """A job in line that nobody waits for any more is skipped."""
    pool, go, ran = WorkerPool("test", 1, waiting=1), threading.Event(), []
    first = pool.submit(go.wait)
    second = pool.submit(lambda: ran.append(1))
    pool.abandon(second)
    go.set()
    assert pool.wait(first, CLOCK, CancelToken(), 60)
    assert pool.wait(second, CLOCK, CancelToken(), 60)
    assert ran == []
    pool.stop()


def test_a_job_sees_the_context_of_its_caller(pool: WorkerPool) -> None:
    """Context variables, which carry ids into log lines, follow the job into its thread."""
    variable = contextvars.ContextVar("variable", default="default")
    variable.set("caller")
    job = pool.submit(variable.get)
    pool.wait(job, CLOCK, CancelToken(), 60)
    assert job.value() == "caller"
    pool.stop()


def test_stop_ends_the_threads_and_refuses_jobs(pool: WorkerPool) -> None:
    """After `stop` no thread is left and nothing is taken."""
    pool.wait(pool.submit(lambda: 1), CLOCK, CancelToken(), 60)
    pool.stop()
    assert until(lambda: not [t for t in threading.enumerate() if t.name.startswith("rom-test")])
    with pytest.raises(PoolSaturated):
        pool.submit(lambda: 1)


def test_an_idle_thread_keeps_nothing_of_its_last_job(pool: WorkerPool) -> None:
    """A large result is gone as soon as nobody but the pool could hold it."""

    class Large:
        """Can be watched, unlike bytes."""

    job = pool.submit(Large)
    assert pool.wait(job, CLOCK, CancelToken(), 60)
    watched = weakref.ref(job.value())
    del job
    assert until(lambda: watched() is None)
