"""What `rom top` shows, kept from what the server sends: the newest figures, and the last hour."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rom_core.telemetry.health import levels

POINTS = 360
POINT_SECONDS = 10


@dataclass(slots=True)
class Glance:
    """`figures` as GET /admin/events has them, None before the first; `note` says how they come, or why none do."""

    figures: Mapping[str, Any] | None = None
    points: deque[Mapping[str, Any]] = field(default_factory=lambda: deque(maxlen=POINTS))
    note: str = "connecting"
    lost: bool = False

    def take(self, name: str, data: Any) -> None:
        """An event of the stream."""
        if name == "hour":
            names = [name for name in data if name != "seconds"]
            self.points.clear()
            self.points += (dict(zip(names, row, strict=True)) for row in zip(*(data[n] for n in names), strict=True))
        elif name == "point":
            self.points.append(data)
        elif name == "figures":
            self.figures = data
            self.note, self.lost = "live", False

    def cells(
        self, width: int, value: Callable[[list[Mapping[str, Any]]], float | None], now: float
    ) -> list[float | None]:
        """The hour that ends `now` (seconds since the epoch) in `width` parts: the value of each part's points."""
        parts: list[list[Mapping[str, Any]]] = [[] for _ in range(width)]
        span = POINTS * POINT_SECONDS
        for point in self.points:
            place = int((point["at"] - (now - span)) * width / span)
            if 0 <= place < width:
                parts[place].append(point)
        return [value(part) if part else None for part in parts]


def figures_of_status(answer: Mapping[str, Any], at: float) -> dict[str, Any]:
    """The figures, as far as GET /admin/status has them: for a server without GET /admin/events."""
    health = answer["health"]
    minute, five = health["last_minute"], health["last_5_minutes"]
    parts = {plugin["name"]: plugin.get("status") or {} for plugin in answer["plugins"]}
    limiter, breaker, rollout = (parts.get(name, {}) for name in ("limiter", "breaker", "canary"))
    canary = answer["canary"]
    asked = minute["turns"] + minute["refused"]
    return {
        "at": at,
        "instance": next((each["id"] for each in answer.get("instances", ()) if each["self"]), ""),
        "environment": answer["environment"],
        "release": answer["release"],
        "version": answer["version"],
        "bedrock_enabled": answer["bedrock_enabled"],
        "draining": answer["draining"],
        "drained": answer.get("drained"),
        "health": health,
        "turns_per_minute": minute["turns"],
        "error_share": _share(minute["failed"], minute["turns"]),
        "refused_share": _share(minute["refused"], asked),
        "p50_seconds": None,
        "p95_seconds": health["p95_seconds"],
        "throttled_share": _share(five["throttled"], five["requests"]),
        "memory_ratio": health["memory_ratio"],
        "cost": None,
        "turns": {
            "active": answer["active_turns"],
            "admitted": answer["admitted"],
            "max_admitted": answer["max_admitted"],
        },
        "queue": limiter if "max_running" in limiter else None,
        "circuits": [{"model": model, **state} for model, state in breaker.get("models", {}).items()],
        "canary": None
        if canary is None and rollout.get("status", "none") == "none"
        else {"percent": 0, "flags": {}, **(canary or {}), "rollout": rollout or None},
        "pending": answer.get("pending", ()),
        "instances": answer.get("instances", ()),
        "fleet_away": answer.get("fleet_away", ""),
        "store": answer["store"],
        "limits": {},
        "levels": levels((why["reason"], why["state"]) for why in health["why"]),
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
