"""The thread that looks at intervals, as long as there is something to look at."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog
from prometheus_client import generate_latest

from rom_core.errors import RomError
from rom_core.gate import BadScrape, Scrape, parse
from rom_core.runtime import Runtime

logger = structlog.get_logger("rom.canary")


class Looking:
    """Calls `look` every `interval()` seconds, from `begin` until `interval()` is None or `stop`."""

    def __init__(self, look: Callable[[], None], interval: Callable[[], float | None]) -> None:
        self._look = look
        self._interval = interval
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._stopped = False
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """See to it that there are looks, if there is something to look at."""
        with self._lock:
            if self._thread is None and not self._stopped and self._interval() is not None:
                self._thread = threading.Thread(target=self._run, name="rom-canary", daemon=True)
                self._thread.start()

    def wake(self) -> None:
        """Look now."""
        self._woken.set()

    def rest(self, seconds: float) -> None:
        """Within a look, wait a moment."""
        threading.Event().wait(seconds)

    def stop(self) -> None:
        """Look no more."""
        with self._lock:
            self._stopped = True
            thread = self._thread
        self._woken.set()
        if thread is not None:
            thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stopped:
            self._woken.clear()
            try:
                self._look()
            except RomError as error:
                logger.warning("canary.look_failed", reason=error.detail)
            except Exception:
                logger.exception("canary.look_failed")
            with self._lock:
                # Under the lock, so that a rollout that starts now either finds this thread at work or starts its own.
                interval = self._interval()
                if interval is None or self._stopped:
                    self._thread = None
                    return
            # Of the machine, whatever clock the rules are tested with: a thread has to rest between two looks.
            self._woken.wait(interval)


def scrape_of(runtime: Runtime) -> Scrape | None:
    """What this process counts, None if it cannot be read."""
    try:
        return parse(generate_latest(runtime.registry).decode(), runtime.clock.monotonic())
    except BadScrape:
        logger.exception("canary.look_failed")
        return None
