"""The judgement on health as GET /admin/status shows it, and its schema."""

from __future__ import annotations

from typing import Any

from rom_core.concurrency.clock import iso
from rom_core.telemetry.capacity import LEVELS
from rom_core.telemetry.health import REASONS, STATES, Span
from rom_core.telemetry.health_watch import HealthWatch


def health_of(watch: HealthWatch) -> dict[str, Any]:
    """The judgement and the figures behind it, measured now."""
    signs = watch.look()
    return {
        "state": watch.state,
        "since": iso(watch.since),
        "why": [
            {"reason": each.name, "state": each.state, "text": each.text, "act": each.act, "page": each.page}
            for each in watch.reasons()
        ],
        "capacity": LEVELS[watch.capacity_level],
        "last_minute": _span_of(signs.minute),
        "last_5_minutes": _span_of(signs.five),
        "p95_seconds": signs.p95_seconds,
        "memory_ratio": signs.memory_ratio,
        "circuits_open": sorted(signs.circuits),
        "waiting": signs.waiting,
    }


def _span_of(span: Span) -> dict[str, Any]:
    return {
        "turns": span.turns,
        "failed": span.failures,
        "failed_by_code": dict(span.failed),
        "refused": span.refusals,
        "refused_by_code": dict(span.refused),
        "requests": span.attempts,
        "failed_requests": span.failed_attempts,
        "throttled": span.throttled,
    }


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
    }


def _said(type_: Any, description: str) -> dict[str, Any]:
    return {"type": type_, "description": description}


_BY_CODE = {"type": "object", "additionalProperties": {"type": "integer"}}
_SPAN = _object(
    {
        "turns": _said("integer", "that ended well or failed"),
        "failed": {"type": "integer"},
        "failed_by_code": _BY_CODE,
        "refused": _said("integer", "by ourselves: every place taken, too little memory"),
        "refused_by_code": _BY_CODE,
        "requests": _said("integer", "to models"),
        "failed_requests": {"type": "integer"},
        "throttled": _said("integer", "requests that were answered 429"),
    }
)
HEALTH = _object(
    {
        "state": {"enum": list(STATES)},
        "since": {"type": "string"},
        "why": {
            "type": "array",
            "description": "the gravest first; empty when it is well",
            "items": _object(
                {
                    "reason": {"enum": list(REASONS)},
                    "state": {"enum": list(STATES)},
                    "text": {"type": "string"},
                    "act": _said("boolean", "whether a person has to do something"),
                    "page": _said("string", "file and heading that say what to do"),
                }
            ),
        },
        "capacity": {"enum": list(LEVELS)},
        "last_minute": _SPAN,
        "last_5_minutes": _SPAN,
        "p95_seconds": _said(["number", "null"], "of the good turns of five minutes that are not exhaustive"),
        "memory_ratio": _said(["number", "null"], "of the limit; 1 = all of it"),
        "circuits_open": {"type": "array", "items": {"type": "string"}},
        "waiting": _said("integer", "turns that wait for a slot"),
    }
)
