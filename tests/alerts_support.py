"""What tests of the alerts share: a running plugin whose webhook is a fake."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import responses
import waiting
from support import make_runtime, says

from plugins.alerts import Alerts
from rom_core.events import (
    AlertSent,
    CapacityChanged,
    Event,
)
from rom_core.markers import hookimpl
from rom_core.runtime import Runtime

HOOK = "https://hooks.test/services/T0/B0"


MODEL = "anthropic.first"


class Ends:
    """An observer that keeps how messages ended."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    @hookimpl
    def rom_event(self, event: Event) -> None:
        if isinstance(event, AlertSent):
            self.seen.append((event.about, event.outcome))


def until(condition: Callable[[], Any]) -> None:
    """Wait for the courier's thread."""
    assert waiting.until(condition), "the courier did nothing"


def started(**options: Any) -> tuple[Runtime, Alerts, Ends]:
    """A running plugin on a fake clock; whoever calls it stops the runtime."""
    alerts, ends = Alerts(), Ends()
    steps = options.pop("steps", (says("ok"),))
    options.setdefault("ALERT_WEBHOOK_URL", HOOK)
    runtime, _ = make_runtime(*steps, plugins={"alerts": alerts, "ends": ends}, **options)
    runtime.start()
    return runtime, alerts, ends


def posted() -> list[str]:
    """The texts that reached the webhook."""
    return [json.loads(call.request.body or "")["text"] for call in responses.calls]


def critical(memory: float = 0.93) -> CapacityChanged:
    """Memory is nearly used up."""
    return CapacityChanged("normal", "critical", memory, 0.02, 50, 12.3)
