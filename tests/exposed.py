"""What a server really exposes at /metrics, as documents, rules and dashboards have to know it."""

from __future__ import annotations

from support import Toolkit, make_runtime, tool

from plugins.metrics import Metrics
from rom_core.http.app import create_app


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
