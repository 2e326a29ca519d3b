"""What a server really exposes at /metrics, as documents, rules and dashboards have to know it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from support import Toolkit, make_runtime, tool

from plugins.metrics import Metrics
from plugins.telemetry.losses import Losses
from rom_core.concurrency.clock import FakeClock
from rom_core.http.app import create_app


def telemetry_metrics() -> set[str]:
    """Names of the metrics that the plugin telemetry adds, counters with their suffix."""
    registry = CollectorRegistry()
    Losses(FakeClock()).register(registry)
    return {f"{family.name}_total" for family in registry.collect()}


def exposed_metrics() -> dict[str, tuple[str, ...]]:
    """Names of our metrics, counters with their suffix, and the labels of each, but for a histogram's own."""
    runtime, _ = make_runtime(plugins={"metrics": Metrics(), "kit": Toolkit(tool())})
    runtime.start()
    try:
        create_app(runtime)
        found = {}
        for family in runtime.registry.collect():
            if family.name.startswith("rom_"):
                name = f"{family.name}_total" if family.type == "counter" else family.name
                assert family.samples, f"{name} is not there before something happens"
                found[name] = tuple(label for label in family.samples[0].labels if label != "le")
        return found
    finally:
        runtime.stop()
