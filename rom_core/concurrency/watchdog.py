"""One thread that looks after what runs: deadlines that pass, clients that leave while their turn waits elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

logger = structlog.get_logger("rom.watchdog")
Check = Callable[[], None]


class Watchdog:
    """Calls every registered check, by default ten times a second.

    A check must not block. One that raises is logged and goes on being called.
    """

    def __init__(self, interval: float = 0.1) -> None:
        """`interval` in seconds."""
        self._interval = interval
        self._checks: dict[object, Check] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="rom-watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread and wait for it."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def watching(self, check: Check) -> Watching:
        """Have `check` called while the block runs."""
        return Watching(self, check)

    def add(self, key: object, check: Check) -> None:
        """Have `check` called until `remove`."""
        with self._lock:
            self._checks[key] = check

    def remove(self, key: object) -> None:
        """End that; harmless if it has ended."""
        with self._lock:
            self._checks.pop(key, None)

    def tick(self) -> None:
        """Call every check once."""
        with self._lock:
            checks = list(self._checks.values())
        for check in checks:
            try:
                check()
            except Exception:
                logger.exception("watchdog.check_failed")

    def _run(self) -> None:
        # Polling costs less than being woken by every turn: most of them end before the first look.
        while not self._stopped.wait(self._interval):
            self.tick()


class Watching:
    """The block of Watchdog.watching."""

    __slots__ = ("_check", "_watchdog")

    def __init__(self, watchdog: Watchdog, check: Check) -> None:
        self._watchdog = watchdog
        self._check = check

    def __enter__(self) -> None:
        self._watchdog.add(self, self._check)

    def __exit__(self, *_: object) -> None:
        self._watchdog.remove(self)
