"""What the local Bedrock needs to know of time; tests pass a clock of their own."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two readings, in seconds."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back; only differences mean something."""

    def time(self) -> float:
        """Seconds since the epoch."""


class SystemClock:
    """The machine's own time."""

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)
