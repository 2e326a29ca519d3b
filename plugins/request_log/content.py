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
    """Ends LOG_CONTENT in staging, LOG_CONTENT_MINUTES after this process has first seen it on."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._since: float | None = None
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
        settings, flags = self._runtime.current.settings, self._runtime.flags
        if not settings.LOG_CONTENT or settings.environment != "staging" or flags is None:
            self._since = None
            return
        now, minutes = self._runtime.clock.monotonic(), settings.LOG_CONTENT_MINUTES
        if self._since is None:
            self._since = now
        elif now - self._since >= 60 * minutes:
            flags.change({"LOG_CONTENT": None}, Author("rom", f"LOG_CONTENT ends after {minutes} minutes in staging"))
            self._since = None

    def _run(self) -> None:
        while not self._stopped.wait(_LOOK_SECONDS):
            try:
                self.look()
            except Exception:
                logger.exception("log_content.not_ended")
