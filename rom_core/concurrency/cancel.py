"""Cancellation and deadline of a turn: the two reasons for which every wait ends early."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from rom_core.concurrency.clock import Clock
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
        # Of the cancelling: its thread, and when its callbacks have returned.
        self._calling: tuple[int, threading.Event] | None = None

    def cancel(self, reason: str) -> bool:
        """Cancel for `reason`; False if it was cancelled before. Callbacks run in the calling thread."""
        if reason not in _REASONS:
            raise ValueError(f"unknown reason {reason!r}; known: {', '.join(_REASONS)}")
        with self._lock:
            if self.reason is not None:
                return False
            self.reason = reason
            callbacks, self._callbacks = self._callbacks, []
            called = threading.Event()
            self._calling = threading.get_ident(), called
        self.event.set()
        try:
            for callback in callbacks:
                try:
                    callback()
                except Exception:
                    logger.exception("cancel.callback_failed", reason=reason)
        finally:
            called.set()
        return True

    @property
    def cancelled(self) -> bool:
        """Whether a reason was given."""
        return self.reason is not None

    def error(self) -> RomError:
        """The error that stands for the reason."""
        return _REASONS[self.reason or "client_gone"]()

    def check(self, deadline: Deadline) -> None:
        """Raise what stands for the reason, if there is one or `deadline` has passed, which then is the reason."""
        if self.reason is None:
            if deadline.remaining() > 0:
                return
            self.cancel("deadline")
        raise self.error()

    def calling(self, callback: Callable[[], None]) -> Calling:
        """Within the block `callback` is called once when the token is cancelled (at once if it is already).

        The callback must not block: it runs in the thread that cancels. It does not run after the block: leaving waits
        for one that is running.
        """
        return Calling(self, callback)

    def _add(self, callback: Callable[[], None]) -> bool:
        """False if the token is cancelled."""
        with self._lock:
            if self.reason is None:
                self._callbacks.append(callback)
                return True
            return False

    def _remove(self, callback: Callable[[], None]) -> None:
        with self._lock:
            if callback in self._callbacks:
                self._callbacks.remove(callback)
                return
            calling = self._calling
        if calling is not None and calling[0] != threading.get_ident():
            calling[1].wait(_CALLBACK_SECONDS)


class Calling:
    """The block of CancelToken.calling."""

    __slots__ = ("_added", "_callback", "_token")

    def __init__(self, token: CancelToken, callback: Callable[[], None]) -> None:
        self._token = token
        self._callback = callback
        self._added = False

    def __enter__(self) -> None:
        self._added = self._token._add(self._callback)
        if not self._added:
            self._callback()

    def __exit__(self, *_: object) -> None:
        if self._added:
            self._token._remove(self._callback)


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
