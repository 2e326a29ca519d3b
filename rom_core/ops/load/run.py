"""One run: users play, the server is watched, everything is kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rom_core.concurrency.clock import Clock
from rom_core.gate import Figures, Scrape, ScrapeFailed, Window
from rom_core.ops.load.players import STOP_SECONDS, Players
from rom_core.ops.load.recording import COST, OVERHEAD, Recording, Totals, sample_of
from rom_core.ops.load.scenario_orders import Orders

LOOK_SECONDS = 2.0
# How long after its time a run may go on: turns that still run are waited for.
_GRACE_SECONDS = STOP_SECONDS + 30.0


class Disturber(Protocol):
    """What happens to the server on purpose while a run lasts."""

    def step(self, recording: Recording) -> bool:
        """Called at every look; whether the time is disturbed now. It keeps `recording.disturbances`."""

    def end(self, recording: Recording) -> None:
        """Undo everything."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`seconds` of `users`; `faults` is the share of upstream requests that fail.

    `ceiling` in USD, None for no limit; `spent`: USD spent by earlier steps.
    """

    users: int
    seconds: float
    profile: str = "team"
    faults: float = 0.0
    ceiling: float | None = None
    spent: float = 0.0
    seed: int = 0


def run(
    plan: Plan,
    url: str,
    *,
    stand_in: bool,
    scrape: Callable[[], Scrape],
    clock: Clock,
    stop: threading.Event,
    folder: Path,
    environ: Mapping[str, str],
    disturber: Disturber | None = None,
    on_progress: Callable[[Recording], None] = lambda _: None,
    enough: Callable[[Recording], bool] = lambda _: False,
) -> Recording:
    """Play `plan` against `url`. It ends when its time is over, `stop` is set, or its cost has reached the ceiling.

    `enough` ends it early; no reason is noted. Raises LoadFailed if nothing could be collected at all.
    """
    name = f"r{int(clock.time())}n{plan.users}"
    orders = Orders(url, str(folder / f"{name}.jsonl"), name, plan.profile, stand_in, plan.faults, plan.seed)
    recording = Recording(url, plan.users, plan.seconds, clock.time(), stand_in, plan.faults)
    watch = _Watch(recording, scrape, clock)
    watch.look(calm=True)
    players = Players(folder, orders, plan.users, plan.seconds, environ)
    start = clock.monotonic()
    try:
        while players.running:
            calm = disturber is None or not disturber.step(recording)
            recording.turns += players.new_turns()
            watch.look(calm=calm)
            recording.elapsed = clock.monotonic() - start
            on_progress(recording)
            if plan.ceiling is not None and plan.spent + recording.cost >= plan.ceiling:
                recording.stopped = f"the ceiling of {plan.ceiling:g} USD was reached"
                break
            if stop.is_set():
                recording.stopped = "interrupted"
                break
            if recording.elapsed > plan.seconds + _GRACE_SECONDS:
                recording.stopped = "the users did not come to an end and were stopped"
                break
            if enough(recording):
                break
            clock.sleep(LOOK_SECONDS, stop)
    finally:
        players.end()
        if disturber is not None:
            disturber.end(recording)
    players.check()
    recording.turns += players.new_turns()
    recording.elapsed = clock.monotonic() - start
    watch.look(calm=True)
    return recording


class _Watch:
    """Looks at /metrics; time that was disturbed on purpose is left out of the figures that are judged."""

    def __init__(self, recording: Recording, scrape: Callable[[], Scrape], clock: Clock) -> None:
        self._recording = recording
        self._scrape = scrape
        self._clock = clock
        self._totals = Totals()
        self._window = Window(LOOK_SECONDS)
        self._past: list[Figures] = []
        self._calm = True
        self._calm_since = clock.monotonic()

    def look(self, *, calm: bool) -> None:
        """One look, into the recording."""
        recording = self._recording
        now = self._clock.monotonic()
        if self._calm:
            recording.calm_seconds += now - self._calm_since
        self._calm_since = now
        try:
            scrape = self._scrape()
        except ScrapeFailed as error:
            if self._calm and calm:
                self._window.fail()
            recording.troubles.append(str(error))
        else:
            self._totals.add(scrape)
            recording.samples.append(sample_of(scrape, self._totals, self._clock.time()))
            recording.cost = self._totals.of(COST)
            recording.overhead = self._totals.buckets(OVERHEAD)
            if self._calm:
                self._window.add(scrape)
            elif calm:
                self._window = Window(LOOK_SECONDS)
                self._window.add(scrape)
        if self._calm and not calm:
            self._past.append(self._window.figures)
            self._window = Window(LOOK_SECONDS)
        self._calm = calm
        recording.figures = Figures.in_turn([*self._past, self._window.figures])
