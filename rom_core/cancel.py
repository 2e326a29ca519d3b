"""Cancellation and deadline of a turn: the two reasons for which every wait ends early."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from rom_core.clock import Clock
from rom_core.errors import DeadlineExceeded, Draining, RomError, TurnCancelled

logger = structlog.get_logger("rom.cancel")

# Callbacks do not block, so this is only what a stuck one can cost.
_CALLBACK_SECONDS = 1.0
_REASONS: dict[str, Callable[[], RomError]] = {
    "client_gone": TurnCancelled,
    "deadline": DeadlineExceeded,
    "draining": lambda: Draining("the server is shutting down and the turn had no time left"),
}


class CancelToken:
    """Set once, by whoever first has a reason; wakes everyone who waits on it.

    Reasons: "client_gone", "deadline", "draining". The first one stays.
    """

    def __init__(self) -> None:
        self.event = threading.Event()
        self.reason: str | None = None
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []
        self._called = threading.Event()
        self._calling: int | None = None

    def cancel(self, reason: str) -> bool:
        """Cancel for `reason`; False if it was cancelled before. Callbacks run in the calling thread."""
        if reason not in _REASONS:
            raise ValueError(f"unknown reason {reason!r}; known: {', '.join(_REASONS)}")
        with self._lock:
            if self.reason is not None:
                return False
            self.reason = reason
            callbacks, self._callbacks = self._callbacks, []
            self._calling = threading.get_ident()
        self.event.set()
        try:
            for callback in callbacks:
                try:
                    callback()
                except Exception:
                    logger.exception("cancel.callback_failed", reason=reason)
        finally:
            self._called.set()
        return True

    @property
    def cancelled(self) -> bool:
        """Whether a reason was given."""
        return self.reason is not None

    def error(self) -> RomError:
        """The error that stands for the reason."""
        return _REASONS[self.reason or "client_gone"]()

    @contextmanager
    def calling(self, callback: Callable[[], None]) -> Iterator[None]:
        """Within the block `callback` is called once when the token is cancelled (at once if it is already).

        The callback must not block: it runs in the thread that cancels. It does not run after the block: leaving waits
        for one that is running.
        """
        with self._lock:
            now = self.reason is not None
            if not now:
                self._callbacks.append(callback)
        if now:
            callback()
        try:
            yield
        finally:
            with self._lock:
                waiting = callback in self._callbacks
                if waiting:
                    self._callbacks.remove(callback)
                running = not waiting and not now and self._calling != threading.get_ident()
            if running:
                self._called.wait(_CALLBACK_SECONDS)


class Deadline:
    """A point on the injected clock by which something must have ended."""

    __slots__ = ("_clock", "at", "started")

    def __init__(self, clock: Clock, seconds: float, *, started: float | None = None) -> None:
        self._clock = clock
        self.started = clock.monotonic() if started is None else started
        self.at = self.started + seconds

    def remaining(self) -> float:
        """Seconds left, negative once it has passed."""
        return self.at - self._clock.monotonic()

    def elapsed(self) -> float:
        """Seconds since it started to run."""
        return self._clock.monotonic() - self.started

    @property
    def passed(self) -> bool:
        """Whether no time is left."""
        return self.remaining() <= 0
