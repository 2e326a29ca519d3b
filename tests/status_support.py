"""What GET /admin/status answers, for tests of the commands that show it."""

from __future__ import annotations

from typing import Any

SPAN: dict[str, Any] = {
    "turns": 24,
    "failed": 0,
    "failed_by_code": {},
    "refused": 0,
    "refused_by_code": {},
    "requests": 30,
    "failed_requests": 0,
    "throttled": 0,
}
HEALTHY: dict[str, Any] = {
    "state": "well",
    "since": "2026-11-28T12:00:00+00:00",
    "why": [],
    "capacity": "normal",
    "last_minute": SPAN,
    "last_5_minutes": SPAN | {"turns": 120, "requests": 150},
    "p95_seconds": 8.14159,
    "memory_ratio": 0.06,
    "circuits_open": [],
    "waiting": 0,
}
STATUS: dict[str, Any] = {
    "health": HEALTHY,
    "version": 12,
    "environment": "production",
    "release": "1.2.3",
    "bedrock_enabled": True,
    "draining": False,
    "drained": None,
    "admitted": 4,
    "max_admitted": 20,
    "active_turns": 3,
    "plugins": [
        {"name": "limiter", "status": {"running": 3, "max_running": 6, "waiting": 0, "max_waiting": 10}},
        {"name": "breaker", "status": {"models": {"m-1": {"state": "closed", "forced": False}}}},
        {"name": "retry"},
    ],
    "canary": None,
    "pending": [],
    "instances": [
        {
            "id": "a-1",
            "release": "1.2.3",
            "version": 12,
            "since": "2026-11-24T23:56:42.000+00:00",
            "seen": "2026-11-25T10:00:01.000+00:00",
            "draining": False,
            "self": True,
        }
    ],
    "fleet_away": "",
    "store": {"state": "ok", "detail": "", "durable": True},
}


def why(reason: str, text: str, *, act: bool = True) -> dict[str, Any]:
    """A reason as the server gives it."""
    page = f"docs/operate.md#{reason.replace('_', '-')}"
    return {"reason": reason, "state": "down", "text": text, "act": act, "page": page}
