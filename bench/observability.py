"""What observing costs: logging and metrics for one turn, and one answer of GET /metrics with a full label set."""

from __future__ import annotations

import gc
import os
import time
from itertools import product
from pathlib import Path
from typing import Any

from prometheus_client import generate_latest

from bench.harness import report
from plugins.metrics import Metrics
from plugins.metrics.figures import COHORTS, STATUSES
from plugins.request_log import RequestLog
from rom_core import hookspecs
from rom_core.concurrency.clock import SystemClock
from rom_core.events import RequestFinished, RequestStarted
from rom_core.http.app import create_app
from rom_core.http.routes.health import HealthResource
from rom_core.plugin.catalogue import Catalogue
from rom_core.runtime import Runtime
from rom_core.settings import load_settings
from rom_core.telemetry import log
from rom_core.turn import Attempt
from rom_core.turn_values import ChatRequest, ModelReply, Usage

TURNS = 50
ROUNDS = 200
TURN_BUDGET_US = 150
SCRAPE_BUDGET_MS = 30
_QUESTION = ({"role": "user", "content": [{"text": "?"}]},)


class _Instant:
    """A model that answers at once."""

    def converse(self, attempt: Attempt, _request: dict[str, Any]) -> ModelReply:
        attempt.usage = Usage(100, 20)
        attempt.text("ok")
        return ModelReply(({"text": "ok"},), "end_turn", attempt.model.alias, attempt.usage)


def _runtime(plugins: dict[str, Any]) -> Runtime:
    catalogue = Catalogue.of(hookspecs, **plugins)
    environ = {"BEDROCK_ENABLED": "true", "ROM_ENV": "testing"}
    environ |= {plugin.switch: "true" for plugin in catalogue.plugins.values()}
    settings = load_settings(catalogue.settings, catalogue.rules, root=Path("/nonexistent"), environ=environ)
    return Runtime(catalogue, settings, clock=SystemClock(), transport=_Instant())


def _turns(runtime: Runtime) -> float:
    """CPU microseconds for one turn and its request events."""
    began = time.thread_time()
    for _ in range(TURNS):
        turn = runtime.turn(ChatRequest(_QUESTION, "c"), route="/api/chat", trace_id="0" * 31 + "1", request_id="r")
        runtime.emit(RequestStarted("/api/chat", "POST"))
        runtime.run(turn)
        runtime.emit(RequestFinished("/api/chat", "POST", "ok", 200, "", "stable", turn.trace_id, "r", 1.0))
    return (time.thread_time() - began) / TURNS * 1e6


def _cost_per_turn() -> tuple[float, float]:
    """Microseconds of a turn without observers, and what logging and metrics add.

    The least of many short rounds, taken in turns: what other processes do to this one only ever adds.
    """
    bare, observed = _runtime({}), _runtime({"request_log": RequestLog(), "metrics": Metrics()})
    for runtime in (bare, observed):
        runtime.start()
    try:
        pairs = [(_turns(bare), _turns(observed)) for _ in range(ROUNDS)]
    finally:
        for runtime in (bare, observed):
            runtime.stop()
    bare_us, observed_us = (min(times) for times in zip(*pairs, strict=True))
    return bare_us, observed_us - bare_us


def _scrape() -> tuple[float, int]:
    """Milliseconds for GET /metrics, and its lines, when every label set that can occur has occurred."""
    runtime = _runtime({"metrics": Metrics(), "request_log": RequestLog()})
    runtime.start()
    app = create_app(runtime)
    # As many routes as the server has with all its plugins.
    for number in range(10):
        app.add_route(f"/admin/route-{number}", HealthResource())
    routes = tuple(sorted(app.resources))
    try:
        for route, status, cohort in product(routes, STATUSES, COHORTS):
            if cohort == "canary" and not route.startswith(("/api", "/v1")):
                continue
            runtime.emit(RequestFinished(route, "GET", status, 200, "", cohort, "t", "r", 0.5))
        text = generate_latest(runtime.registry)
        gc.collect()
        times = []
        for _ in range(50):
            began = time.perf_counter()
            generate_latest(runtime.registry)
            times.append((time.perf_counter() - began) * 1e3)
    finally:
        runtime.stop()
    return min(times), text.count(b"\n")


def measure() -> dict[str, float]:
    """All figures, by name with their unit."""
    with open(os.devnull, "w") as nowhere:
        log.configure("json", "INFO", stream=nowhere)
        bare, added = _cost_per_turn()
        scrape, lines = _scrape()
    return {
        "turn_without_observers_us": round(bare, 1),
        "logging_and_metrics_per_turn_us": round(added, 1),
        "metrics_scrape_ms": round(scrape, 2),
        "metrics_scrape_lines": lines,
    }


BUDGETS = {"logging_and_metrics_per_turn_us": TURN_BUDGET_US, "metrics_scrape_ms": SCRAPE_BUDGET_MS}


def main() -> None:
    """Print the figures, and the budgets of those that have one."""
    report("observability", measure(), BUDGETS)


if __name__ == "__main__":
    main()
