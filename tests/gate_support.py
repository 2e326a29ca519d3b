"""A server that is watched by the gate, on an injected clock."""

from __future__ import annotations

import threading
from collections.abc import Callable

from scrapes import Served

from rom_core.concurrency.clock import FakeClock
from rom_core.gate import Scrape, ScrapeFailed, Thresholds, Verdict, WatchProgress, watch

HOUR = 3600.0


class Scene:
    """A server and a clock; `at(look, action)` does something just before a look, counted from 0."""

    def __init__(self) -> None:
        self.server = Served()
        self.clock = FakeClock()
        self.looks: list[WatchProgress] = []
        self.plan: dict[int, Callable[[], None]] = {}
        self.each: Callable[[], None] = lambda: self.server.serve(5)
        self.stop = threading.Event()
        self._count = 0

    def at(self, look: int, action: Callable[[], None]) -> None:
        """Plan it."""
        self.plan[look] = action

    def scrape(self) -> Scrape:
        """The next look."""
        number, self._count = self._count, self._count + 1
        self.each()
        self.plan.get(number, lambda: None)()
        return self.server.scrape(self.clock.monotonic())

    def run(self, window: float = HOUR, interval: float = 30.0) -> Verdict:
        """Watch."""
        return watch(
            self.scrape,
            self.clock,
            self.stop,
            window=window,
            interval=interval,
            thresholds=Thresholds(),
            on_progress=self.looks.append,
        )


def unreachable() -> None:
    """What a scrape does when nobody answers."""
    raise ScrapeFailed("no connection")


def refused() -> None:
    """What a scrape does with a token that is not the right one."""
    raise ScrapeFailed("HTTP 401", permanent=True)
