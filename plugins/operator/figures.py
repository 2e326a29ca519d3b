"""What the console shows at a glance, as one object: the judgement on health and the figures behind it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from plugins.operator.hour import Hour
from rom_core import __version__
from rom_core.gate.verdict import P95_SHARE, quantile
from rom_core.http.process_shapes import canary_of, drained_of, instances_of, pending_of, store_of
from rom_core.runtime import Runtime
from rom_core.settings import Settings
from rom_core.telemetry.capacity import (
    ALERT_ONE_IN,
    CRITICAL_ONE_IN,
    LEVELS,
    MEMORY_LEVELS,
    THROTTLED_LEVELS,
    TURN_SECONDS,
    Level,
)
from rom_core.telemetry.health import REFUSED_ONE_IN, SLOW_SECONDS, Reason, Signs, levels
from rom_core.telemetry.health_shape import health_of


def percentiles(signs: Signs) -> tuple[float | None, float | None]:
    """p50 and p95 of the good turns of five minutes, in seconds; the last edge stands for all beyond it."""
    found = (quantile(signs.buckets, share) for share in (0.5, 1 - P95_SHARE))
    middle, slowest = (TURN_SECONDS[-1] if value == math.inf else value for value in found)
    return middle, slowest


def figures_of(runtime: Runtime, hour: Hour, drains: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """All figures, measured now. `drains` tells of instances (by id) who drained them, as far as the store knows."""
    snapshot, flags = runtime.current, runtime.flags
    settings, pipeline = snapshot.settings, snapshot.pipeline
    signs, health = runtime.health.look(), health_of(runtime.health)
    minute, middle = signs.minute, percentiles(signs)[0]
    asked = minute.turns + minute.refusals
    limiter = pipeline.status("limiter").get("limiter")
    circuits = pipeline.status("breaker").get("breaker", {}).get("models", {})
    rollout = pipeline.status("canary").get("canary")
    canary = canary_of(snapshot)
    queue = None
    if limiter is not None and "error" not in limiter:
        queue = {name: limiter[name] for name in ("waiting", "max_waiting", "running", "max_running", "turn_seconds")}
    return {
        "at": round(runtime.clock.time(), 3),
        "instance": runtime.fleet.id,
        "environment": settings.environment,
        "release": __version__,
        "version": snapshot.version,
        "bedrock_enabled": runtime.bedrock_enabled(),
        "draining": not runtime.intake.open,
        "drained": drained_of(runtime),
        "health": health,
        "turns_per_minute": minute.turns,
        "error_share": _share(minute.failures, minute.turns),
        "refused_share": _share(minute.refusals, asked),
        "p50_seconds": middle,
        "p95_seconds": signs.p95_seconds,
        "throttled_share": signs.reading.throttled_ratio,
        "memory_ratio": signs.memory_ratio,
        "cost": hour.cost(),
        "turns": {
            "active": runtime.active_turns,
            "admitted": runtime.admitted,
            "max_admitted": runtime.max_turns,
        },
        "queue": queue,
        "circuits": [{"model": model, **state} for model, state in circuits.items() if isinstance(state, dict)],
        "canary": None
        if canary is None and (rollout is None or rollout.get("status") in ("none", None))
        else {"percent": 0, "flags": {}, **(canary or {}), "rollout": rollout},
        "pending": [] if flags is None else pending_of(flags),
        "instances": [{**each, "drain": drains.get(each["id"])} for each in instances_of(runtime.fleet)],
        "fleet_away": runtime.fleet.away,
        "store": None if flags is None else store_of(flags.trouble, durable=flags.durable),
        "limits": limits_of(settings, queue),
        "levels": _levels(signs, runtime.health.reasons()),
    }


def limits_of(settings: Settings, queue: Mapping[str, Any] | None) -> dict[str, dict[str, float | None]]:
    """Where a figure is no longer good: `gate` where a canary fails, `alert` and `critical` where health says so.

    None where there is no such limit.
    """

    def limit(gate: str, alert: float | None = None, critical: float | None = None) -> dict[str, float | None]:
        return {"gate": getattr(settings, gate, None), "alert": alert, "critical": critical}

    places = queue["max_waiting"] if queue is not None else None
    return {
        "error_share": limit("CANARY_MAX_ERROR_RATIO", 1 / ALERT_ONE_IN, 1 / CRITICAL_ONE_IN),
        "p95_seconds": limit("CANARY_MAX_P95_SECONDS", SLOW_SECONDS),
        "memory_ratio": limit("CANARY_MAX_MEMORY_RATIO", MEMORY_LEVELS["alert"], MEMORY_LEVELS["critical"]),
        "throttled_share": limit("CANARY_MAX_THROTTLED_RATIO", THROTTLED_LEVELS["alert"], THROTTLED_LEVELS["critical"]),
        "refused_share": limit("CANARY_MAX_REFUSED_RATIO", 1 / REFUSED_ONE_IN),
        "waiting": {"gate": None, "alert": places or None, "critical": None},
    }


def _levels(signs: Signs, reasons: list[Reason]) -> dict[str, Level]:
    """By the reasons that health has, and by what capacity says at this moment."""
    found = levels((reason.name, reason.state) for reason in reasons)
    reading = signs.reading
    for name, level in (("memory", reading.memory), ("throttling", reading.throttling), ("errors", reading.failures)):
        found[name] = max(found[name], level, key=LEVELS.index)
    return found


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
