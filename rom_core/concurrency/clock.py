"""Time, waiting and randomness, injected everywhere so that timing rules are tested without waiting.

`SystemClock` is the real one; `FakeClock` moves only when someone waits on it or calls `advance`.
"""

from __future__ import annotations

import random
import threading
import time
from datetime import UTC, datetime
from typing import Protocol


class Waitable(Protocol):
    """A threading.Event, or as much of one as a wait needs."""

    def is_set(self) -> bool:
        """Whether what is waited for has happened."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for it, at most `timeout` seconds; True if it has happened."""


class Signal:
    """An event that is set once and that one thread waits for.

    PERF: a lock of the interpreter's own does it, for less than a tenth of what a threading.Event costs.
    """

    __slots__ = ("_guard", "_set", "_unset")

    def __init__(self) -> None:
        self._set = False
        self._guard = threading.Lock()
        self._unset = threading.Lock()
        self._unset.acquire()

    def is_set(self) -> bool:
        """Whether `set` was called."""
        return self._set

    def set(self) -> None:
        """Let the one who waits go on."""
        with self._guard:
            if self._set:
                return
            self._set = True
        self._unset.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, at most `timeout` seconds; True if it is."""
        if not self._set and self._unset.acquire(timeout=-1 if timeout is None else max(0.0, timeout)):
            self._unset.release()
        return self._set


class Clock(Protocol):
    """What the core and the plugins may know of time and chance."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back; only differences mean something."""

    def time(self) -> float:
        """Seconds since the epoch, for people and logs."""

    def wait(self, event: Waitable, seconds: float) -> bool:
        """Wait for `event`, which another thread sets, at most `seconds`; True if it is set."""

    def sleep(self, seconds: float, wake: threading.Event) -> bool:
        """Let `seconds` pass unless `wake` is set first; True if it is set."""

    def uniform(self, low: float, high: float) -> float:
        """A random number from [low, high], evenly spread."""


class SystemClock:
    """The machine's own time and randomness."""

    def __init__(self) -> None:
        self._random = random.Random()  # noqa: S311 - jitter, not secrets

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)

    def wait(self, event: Waitable, seconds: float) -> bool:
        """`event.wait`, with a negative time taken as none."""
        return event.wait(max(0.0, seconds))

    def sleep(self, seconds: float, wake: threading.Event) -> bool:
        """The same as `wait`: only a fake clock tells the two apart."""
        return wake.wait(max(0.0, seconds))

    def uniform(self, low: float, high: float) -> float:
        """`random.uniform`."""
        return self._random.uniform(low, high)


class FakeClock:
    """A clock for tests: `sleep` passes at once; `wait` ends when the event is set or the test calls `advance`.

    `sleeps` lists every sleep asked for, in seconds, in order. Randomness is seeded.
    """

    def __init__(self, start: float = 1000.0, seed: int = 0) -> None:
        self._now = start
        self._random = random.Random(seed)  # noqa: S311 - reproducible tests
        self._lock = threading.Lock()
        self._waiting: set[int] = set()
        self.sleeps: list[float] = []

    @property
    def waiting(self) -> frozenset[int]:
        """The idents of the threads that wait: until when, later calls of `advance` no longer change."""
        with self._lock:
            return frozenset(self._waiting)

    def monotonic(self) -> float:
        """The time that tests set."""
        return self._now

    def time(self) -> float:
        """The same time, read as seconds since the epoch."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        with self._lock:
            self._now += seconds

    def wait(self, event: Waitable, seconds: float) -> bool:
        """Wait until the event is set or the fake time has passed; sixty real seconds are a failed test."""
        give_up, me = time.monotonic() + 60, threading.get_ident()
        with self._lock:
            until = self._now + seconds
            self._waiting.add(me)
        try:
            while not event.wait(0.001) and self._now < until:
                if time.monotonic() > give_up:
                    raise AssertionError(f"nobody set the event or advanced the clock by {seconds} s")
        finally:
            with self._lock:
                self._waiting.discard(me)
        return event.is_set()

    def sleep(self, seconds: float, wake: threading.Event) -> bool:
        """Note the sleep and let it pass without sleeping."""
        self.sleeps.append(seconds)
        if not wake.is_set():
            self.advance(max(0.0, seconds))
        return wake.is_set()

    def uniform(self, low: float, high: float) -> float:
        """Seeded."""
        return self._random.uniform(low, high)


def iso(seconds: float) -> str:
    """Seconds since the epoch as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
