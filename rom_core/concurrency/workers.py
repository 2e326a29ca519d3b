"""A bounded pool of daemon threads whose jobs can be waited for with a cancel token and a deadline.

The standard executor joins its threads at interpreter exit, so one hung tool would keep a drained server alive for
ever; and it queues without a limit. This pool refuses when it is full, and a job that nobody waits for any more keeps
its thread, is counted as abandoned, and holds nothing else.
"""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import structlog

from rom_core.concurrency.cancel import CancelToken
from rom_core.concurrency.clock import Clock, Signal

T = TypeVar("T")
logger = structlog.get_logger("rom.workers")


class PoolSaturated(Exception):
    """Every thread is busy and every waiting place is taken."""


class Job(Generic[T]):
    """One piece of work in a pool."""

    __slots__ = (
        "_context",
        "_lock",
        "abandoned",
        "done",
        "error",
        "function",
        "on_late",
        "result",
        "started",
        "woken",
    )

    def __init__(self, function: Callable[[], T], on_late: Callable[[T], None] | None) -> None:
        self.function = function
        self.on_late = on_late
        self.started = False
        self.done = False
        self.abandoned = False
        self.result: T | None = None
        self.error: BaseException | None = None
        self._lock = threading.Lock()
        self._context = contextvars.copy_context()
        # Set when the job is done, or when whoever waits for it shall not wait any longer.
        self.woken = Signal()

    def value(self) -> T:
        """The result, or the exception the function raised."""
        if self.error is not None:
            raise self.error
        return self.result  # type: ignore[return-value]

    def abandon(self) -> bool:
        """Nobody waits any more; False if it was done or given up by then. A late result goes to `on_late`."""
        with self._lock:
            if self.done or self.abandoned:
                return False
            self.abandoned = True
            return True

    def run(self) -> None:
        """Run the function, unless it was given up before; called by the pool's thread."""
        with self._lock:
            self.started = not self.abandoned
        try:
            if self.started:
                self.result = self._context.run(self.function)
        except BaseException as error:  # noqa: BLE001 - handed to the waiter
            self.error = error
        with self._lock:
            self.done = True
            late = self.abandoned
        if late and self.on_late is not None and self.error is None and self.result is not None:
            try:
                self.on_late(self.result)
            except Exception:
                # The thread, and the count of those given up, must not be lost over what its result could not let go.
                logger.exception("pool.release_failed")


class WorkerPool:
    """At most `size` threads, started when first needed, and at most `waiting` jobs in line behind them."""

    def __init__(self, name: str, size: int, *, waiting: int = 0) -> None:
        self.name = name
        self.size = size
        self.waiting = waiting
        self._jobs: queue.SimpleQueue[Job[Any] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._outstanding = 0
        self._abandoned = 0
        self._threads: list[threading.Thread] = []
        self._stopped = False

    @property
    def outstanding(self) -> int:
        """Jobs that run or stand in line, abandoned ones included."""
        return self._outstanding

    @property
    def abandoned(self) -> int:
        """Jobs that still occupy a thread although nobody waits for them."""
        return self._abandoned

    def submit(self, function: Callable[[], T], *, on_late: Callable[[T], None] | None = None) -> Job[T]:
        """Run `function` in a thread of the pool, in a copy of the caller's context.

        `on_late` receives the result if the job finishes after it was abandoned, to release what it holds.
        Raises PoolSaturated when there is no thread and no place in line, or the pool was stopped.
        """
        job = Job(function, on_late)
        with self._lock:
            if self._stopped or self._outstanding >= self.size + self.waiting:
                raise PoolSaturated(self.name)
            if len(self._threads) < min(self.size, self._outstanding + 1):
                self._add_thread()
            self._outstanding += 1
        self._jobs.put(job)
        return job

    def wait(self, job: Job[Any], clock: Clock, cancel: CancelToken, seconds: float) -> bool:
        """Wait until `job` is done, `cancel` is set, or `seconds` have passed; True if it is done.

        A job that is not done stays as it is: the caller decides whether to `abandon` it. One thread waits for it.
        """
        if not job.done:
            with cancel.calling(job.woken.set):
                clock.wait(job.woken, seconds)
        return job.done

    def abandon(self, job: Job[Any]) -> None:
        """Give a job up and count its thread as abandoned until it returns."""
        with self._lock:
            self._abandoned += job.abandon()

    def stop(self, seconds: float = 0.5) -> None:
        """Take no more jobs and let the threads end; those that are stuck are daemons and are left behind."""
        with self._lock:
            self._stopped = True
            threads, self._threads = self._threads, []
        for _ in threads:
            self._jobs.put(None)
        for thread in threads:
            thread.join(timeout=seconds / max(1, len(threads)))

    def _add_thread(self) -> None:
        thread = threading.Thread(target=self._work, name=f"rom-{self.name}-{len(self._threads)}", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # The system has no thread to give at the moment; the ones there are take the job, if there are any.
            if not self._threads:
                raise PoolSaturated(self.name) from None
        else:
            self._threads.append(thread)

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            job.run()
            with self._lock:
                self._outstanding -= 1
                self._abandoned -= job.abandoned
            # PERF: the last thing before this thread rests, or the one that wakes would have to wait for it.
            job.woken.set()
            # An idle thread must not keep the result of its last job alive.
            del job
