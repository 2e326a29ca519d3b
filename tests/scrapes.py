"""A server as the gate sees it: counters that a test turns, exposed as /metrics would."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from rom_core.gate import Scrape, parse

EDGES = (0.5, 1.0, 10.0, 30.0, 45.0, math.inf)


@dataclass
class Served:
    """What a process has counted since it began."""

    began: float = 1000.0
    instance: str = "a"
    memory: float = 0.4
    turns: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("ok", "error", "rejected", "client_error"), 0))
    seconds: list[float] = field(default_factory=list)
    attempts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("ok", "throttled"), 0))
    observer_errors: int = 0
    resumed: int = 0
    cohort: str = "stable"
    route: str = "/api/chat"
    without: tuple[str, ...] = ()

    def serve(self, count: int = 1, *, status: str = "ok", seconds: float = 2.0, attempts: int = 1) -> None:
        """So many turns came to this end."""
        self.turns[status] += count
        if status == "ok":
            self.seconds += [seconds] * count
        if status in ("ok", "error"):
            self.attempts["ok"] += count * attempts

    def restart(self) -> None:
        """All counters begin anew."""
        fresh = replace(Served(self.began + 500, self.instance, self.memory), cohort=self.cohort, route=self.route)
        self.__dict__.update(fresh.__dict__)

    @property
    def text(self) -> str:
        """The exposition. Lines that contain one of `without` are left out."""
        turn = f'route="{self.route}",cohort="{self.cohort}"'
        lines = [f'rom_requests_total{{{turn},status="{status}"}} {count}' for status, count in self.turns.items()]
        lines += ['rom_requests_total{route="/health",cohort="stable",status="error"} 100000']
        lines += [
            f'rom_requests_duration_seconds_bucket{{{turn},status="ok",le="{_edge(edge)}"}} '
            f"{sum(1 for seconds in self.seconds if seconds <= edge)}"
            for edge in EDGES
        ]
        # A storm of fast refusals: it must not make good turns look fast.
        lines += [
            f'rom_requests_duration_seconds_bucket{{{turn},status="rejected",le="{_edge(edge)}"}} 999' for edge in EDGES
        ]
        lines += [
            f'rom_model_attempts_total{{model="m",outcome="{outcome}"}} {count}'
            for outcome, count in self.attempts.items()
        ]
        lines += [
            f"rom_memory_used_ratio {self.memory}",
            f'rom_instance_info{{instance="{self.instance}",version="1"}} 1',
            f'rom_observer_errors_total{{plugin="metrics",hook="rom_event"}} {self.observer_errors}',
            f"rom_metrics_resumed_total {self.resumed}",
            f"process_start_time_seconds {self.began}",
        ]
        return "\n".join(line for line in lines if not any(word in line for word in self.without)) + "\n"

    def scrape(self, at: float) -> Scrape:
        """One look."""
        return parse(self.text, at)


def _edge(edge: float) -> str:
    return "+Inf" if math.isinf(edge) else f"{edge}"
