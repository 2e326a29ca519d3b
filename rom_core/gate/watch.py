"""Watching one server for a window of time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from rom_core.concurrency.clock import Clock
from rom_core.gate.figures import Figures, Window
from rom_core.gate.scrape import Scrape, ScrapeFailed
from rom_core.gate.verdict import Thresholds, Verdict, certain_to_fail, judge


class Interrupted(Exception):
    """The watching was stopped before its end; there is no verdict."""


@dataclass(frozen=True, slots=True)
class WatchProgress:
    """After each scrape: seconds since the beginning, the figures so far, and why this scrape failed, if it did."""

    elapsed: float
    figures: Figures
    failure: str | None


def watch(
    scrape: Callable[[], Scrape],
    clock: Clock,
    stop: threading.Event,
    *,
    window: float,
    interval: float,
    thresholds: Thresholds,
    cohort: str | None = None,
    on_progress: Callable[[WatchProgress], None] = lambda _: None,
) -> Verdict:
    """Scrape every `interval` seconds for `window` seconds and judge; end early only when nothing can help any more.

    A look that fails is counted and the next one tried: the server may only be starting. Raises ScrapeFailed if there
    is no hope from the very first look (a wrong token), Interrupted once `stop` is set.
    """
    tally = Window(interval, cohort)
    start, looks = clock.monotonic(), 0
    while True:
        failure = None
        try:
            tally.add(scrape())
        except ScrapeFailed as error:
            if error.permanent and tally.figures.scrapes == 0:
                raise
            failure = str(error)
            tally.fail()
        figures, elapsed = tally.figures, clock.monotonic() - start
        on_progress(WatchProgress(elapsed, figures, failure))
        if elapsed >= window or certain_to_fail(figures, thresholds):
            return judge(figures, thresholds, window)
        # Looks keep to their grid; those that a slow server made impossible are left out.
        looks = max(looks + 1, int(elapsed // interval) + 1)
        if clock.sleep(min(looks * interval, window) - elapsed, stop):
            raise Interrupted("interrupted before the end of the window")
