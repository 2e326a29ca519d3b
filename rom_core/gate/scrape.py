"""One look at /metrics: the samples that the gate needs, out of the Prometheus text format."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeAlias

TURNS = "rom_requests_total"
DURATIONS = "rom_requests_duration_seconds_bucket"
ATTEMPTS = "rom_model_attempts_total"
MEMORY = "rom_memory_used_ratio"
INSTANCE = "rom_instance_info"
OBSERVER_ERRORS = "rom_observer_errors_total"
RESUMED = "rom_metrics_resumed_total"
START_TIME = "process_start_time_seconds"
NAMES = (TURNS, DURATIONS, ATTEMPTS, MEMORY, INSTANCE, OBSERVER_ERRORS, RESUMED, START_TIME)

Labels: TypeAlias = frozenset[tuple[str, str]]
Series: TypeAlias = tuple[str, Labels]


class BadScrape(Exception):
    """What was read is not Prometheus text."""


class ScrapeFailed(Exception):
    """A scrape failed; the text says why, for a person. `permanent`: another try would fail in the same way."""

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


@dataclass(frozen=True, slots=True)
class Scrape:
    """Samples of one moment, of NAMES and what else was wanted. `at`: seconds, on one clock for a window's scrapes."""

    at: float
    values: Mapping[Series, float]


def parse(text: str, at: float, more: Collection[str] = ()) -> Scrape:
    """Read the text format 0.0.4: NAMES and the samples named by `more`. Raises BadScrape."""
    from prometheus_client.parser import text_string_to_metric_families

    try:
        families = list(text_string_to_metric_families(text))
    except (ValueError, KeyError, IndexError) as error:
        raise BadScrape(f"this is not the Prometheus text format: {error}") from None
    return Scrape(
        at,
        {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
            if sample.name in NAMES or sample.name in more
        },
    )
