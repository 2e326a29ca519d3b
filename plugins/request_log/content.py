"""LOG_CONTENT, which puts conversations into the log: where it may be on, and for how long."""

from __future__ import annotations

import threading

import structlog

from rom_core.flags import Author
from rom_core.runtime import Runtime
from rom_core.settings import Settings
from rom_core.settings.layers import OVERRIDE

_LOOK_SECONDS = 5.0
logger = structlog.get_logger("rom.log")


def content_is_an_exception(settings: Settings) -> str | None:
    """What is wrong with LOG_CONTENT in this environment, None if nothing is."""
    if settings.LOG_CONTENT and settings.environment == "production":
        return "is refused in production: conversations would be in the log"
    if settings.LOG_CONTENT and settings.environment == "staging" and settings.source("LOG_CONTENT") != OVERRIDE:
        return "is refused in staging but at run time, where it ends by itself (LOG_CONTENT_MINUTES)"
    return None


class ContentLimit:
    """Ends LOG_CONTENT in staging, LOG_CONTENT_MINUTES after it was switched on, whichever process saw that.

    The override says when, by the clock of the day; a clock that was set back meanwhile prolongs nothing beyond the
    same minutes in this process.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        # When this process first saw which override, by its time.
        self._seen: tuple[float, float] | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rom-log-content", daemon=True)

    def start(self) -> None:
        """Start the thread that looks."""
        self._thread.start()

    def stop(self) -> None:
        """Stop it."""
        self._stopped.set()

    def look(self) -> None:
        """Look once."""
        settings, flags, clock = self._runtime.current.settings, self._runtime.flags, self._runtime.clock
        override = None if flags is None else flags.now.state.overrides.get("LOG_CONTENT")
        if not settings.LOG_CONTENT or settings.environment != "staging" or flags is None or override is None:
            self._seen = None
            return
        now, minutes = clock.monotonic(), settings.LOG_CONTENT_MINUTES
        if self._seen is None or self._seen[1] != override.at:
            self._seen = now, override.at
        if max(now - self._seen[0], clock.time() - override.at) >= 60 * minutes:
            flags.change({"LOG_CONTENT": None}, Author("rom", f"LOG_CONTENT ends after {minutes} minutes in staging"))
            self._seen = None

    def _run(self) -> None:
        while not self._stopped.wait(_LOOK_SECONDS):
            try:
                self.look()
            except Exception:
                logger.exception("log_content.not_ended")
