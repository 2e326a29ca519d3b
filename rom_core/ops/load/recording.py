"""What a run collects: turns as their clients saw them, and looks at /metrics."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from rom_core.gate import Figures, Scrape
from rom_core.gate.scrape import ATTEMPTS, MEMORY, Series
from rom_core.ops.load.player import Turn

MEMORY_BYTES = "rom_memory_used_bytes"
QUEUE = "rom_queue_depth"
ACTIVE = "rom_active_requests"
COST = "rom_bedrock_cost_usd_total"
OVERHEAD = "rom_overhead_seconds_bucket"
WANTED = frozenset({MEMORY_BYTES, QUEUE, ACTIVE, COST, OVERHEAD})


class LoadFailed(Exception):
    """Nothing can be judged; the text says why, for a person."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the server. `at` is in seconds since the epoch; `throttled` counts 429s since the run began."""

    at: float
    memory_mb: float | None
    memory_ratio: float | None
    queue: float
    active: float
    throttled: float
    cost: float


@dataclass(slots=True)
class Disturbance:
    """Something done to the server or its upstream on purpose, and what it cost.

    Times are in seconds since the epoch; `recovered` is when the first turn that began after its end was answered,
    None if none was. `failed` of `turns` failed between its beginning and then. `cut_short`: the run ended too soon to
    tell.
    """

    name: str
    began: float
    ended: float
    recovered: float | None = None
    failed: int = 0
    turns: int = 0
    cut_short: bool = False

    @property
    def seconds_to_recover(self) -> float | None:
        """From its end until the first good answer."""
        return None if self.recovered is None else max(0.0, self.recovered - self.ended)


class Totals:
    """How much counters grew from scrape to scrape, whatever restarts there were."""

    def __init__(self) -> None:
        self._last: Mapping[Series, float] | None = None
        self.grown: defaultdict[Series, float] = defaultdict(float)

    def add(self, scrape: Scrape) -> None:
        """The next scrape; what the first one shows happened before."""
        if self._last is not None:
            for series, value in scrape.values.items():
                before = self._last.get(series, 0.0)
                if math.isfinite(value):
                    self.grown[series] += value - before if value >= before else value
        self._last = scrape.values

    def of(self, name: str, **labels: str) -> float:
        """The growth of all series of this name with these labels."""
        return sum(
            value
            for (series, having), value in self.grown.items()
            if series == name and set(labels.items()) <= set(having)
        )

    def buckets(self, name: str) -> dict[float, float]:
        """The growth of a histogram, by upper edge."""
        found: defaultdict[float, float] = defaultdict(float)
        for (series, having), value in self.grown.items():
            if series == name:
                found[float(dict(having)["le"])] += value
        return dict(found)


@dataclass(slots=True)
class Recording:
    """One run. `seconds` is how long it was meant to last, `elapsed` how long it did; `stopped` why it ended early."""

    url: str
    users: int
    seconds: float
    began: float
    stand_in: bool
    faults: float = 0.0
    elapsed: float = 0.0
    turns: list[Turn] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    disturbances: list[Disturbance] = field(default_factory=list)
    figures: Figures = field(default_factory=Figures)
    overhead: dict[float, float] = field(default_factory=dict)
    cost: float = 0.0
    calm_seconds: float = 0.0
    stopped: str = ""
    untried: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    @property
    def calm_turns(self) -> list[Turn]:
        """Those that no disturbance touched."""
        return [turn for turn in self.turns if not any(touches(turn, one) for one in self.disturbances)]


def sample_of(scrape: Scrape, totals: Totals, at: float) -> Sample:
    """What of a scrape is shown over time."""

    def value(name: str) -> float | None:
        found = next((value for (series, _), value in scrape.values.items() if series == name), math.nan)
        return found if math.isfinite(found) else None

    memory = value(MEMORY_BYTES)
    return Sample(
        at=at,
        memory_mb=memory / 1e6 if memory is not None else None,
        memory_ratio=value(MEMORY),
        queue=value(QUEUE) or 0.0,
        active=value(ACTIVE) or 0.0,
        throttled=totals.of(ATTEMPTS, outcome="throttled"),
        cost=totals.of(COST),
    )


def touches(turn: Turn, one: Disturbance) -> bool:
    """Whether the turn ran while `one` lasted, or before the server had recovered from it."""
    end = one.recovered if one.recovered is not None else math.inf
    return turn.at <= end and turn.at + turn.seconds >= one.began
