"""What tests of the metrics share."""

from __future__ import annotations

from typing import Any

from support import make_runtime

from plugins.metrics import Metrics
from rom_core.events import RequestFinished
from rom_core.markers import hookimpl
from rom_core.runtime import Runtime
from rom_core.turn import Attempt
from rom_core.turn_values import TryAgain

FIRST = "anthropic.first"


class Persistent:
    """Tries everything again, from the third time on with the second model."""

    @hookimpl
    def rom_model_failed(self, attempt: Attempt) -> TryAgain:
        return TryAgain(2.0) if attempt.number < 3 else TryAgain(0.0, "anthropic.second")


def measured(*steps: Any, plugins: dict[str, Any] | None = None, **options: Any) -> tuple[Runtime, Metrics]:
    """A started runtime with the plugin, and the plugin; whoever calls it stops the runtime."""
    metrics = Metrics()
    runtime, _ = make_runtime(*steps, plugins={"metrics": metrics} | (plugins or {}), **options)
    runtime.start()
    return runtime, metrics


def value(runtime: Runtime, name: str, /, **labels: str) -> float | None:
    """One sample; None if it is not exposed."""
    found: float | None = runtime.registry.get_sample_value(name, labels)
    return found


def total(runtime: Runtime, name: str, **labels: str) -> float:
    """The sum over all samples of a name that have these labels."""
    return sum(
        sample.value
        for family in runtime.registry.collect()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def finished(route: str = "/api/chat", status: str = "ok", code: str = "", cohort: str = "stable") -> RequestFinished:
    """An HTTP request that was answered after a quarter of a second."""
    return RequestFinished(route, "POST", status, 200, code, cohort, "trace", "req", 0.25)
