"""What turns cost: GET /admin/cost, over the last 10,000 turns of this process.

Setting: COST_REPORT_ENABLED (switch). Hooks: rom_settings, rom_routes, rom_event. A pure observer.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import falcon

from rom_core.errors import InvalidRequest
from rom_core.events import AttemptFinished, Event, TurnFinished
from rom_core.http.json_answer import answer_json
from rom_core.http.openapi import Operation
from rom_core.markers import hookimpl
from rom_core.plugin.protocols import PluginRoutes
from rom_core.runtime import Runtime
from rom_core.settings import Setting
from rom_core.telemetry.accounts import usage_is_missing
from rom_core.telemetry.cost_report import TurnCost, edges_of, parts_of, report
from rom_core.turn import Turn

MAX_TURNS = 10_000
_OWN = "cost"
_FIGURES = ("usd", "saved_usd", "saved_percent", "change_percent")
_VIEW: Mapping[str, Any] = {
    "type": "object",
    "required": list(_FIGURES),
    "properties": {name: {"type": ["number", "null"]} for name in _FIGURES},
}
ANSWER: Mapping[str, Any] = {
    "type": "object",
    "required": ["turns", "total", "without_caching", "without_fallback", "with_model", "claude_api", "notes"],
    "properties": {
        "since": {"type": ["string", "null"]},
        "turns": {"type": "integer", "minimum": 0},
        "forgotten_turns": {"type": "integer", "minimum": 0, "description": "older ones, in no figure"},
        "usage_unknown": {"type": "integer", "minimum": 0},
        "total": {"type": "object", "description": "requests, tokens of each kind, usd"},
        "by_model": {"type": "object"},
        "prices": {"type": "object", "description": "date and source of the prices of each alias of MODELS"},
        "cache_rules": {"type": "object", "description": "how often each rule decided about cache points"},
        "without_caching": _VIEW,
        "without_fallback": {**_VIEW, "description": "the same tokens at the price of the model that was asked for"},
        "with_model": {"type": "object", "additionalProperties": _VIEW},
        "claude_api": {**_VIEW, "description": "list price of the same model, with date and source"},
        "checked": {"type": "string"},
        "notes": {"type": "array", "items": {"type": "string"}, "description": "what the figures do not show"},
    },
}


class Cost:
    """The plugin; it keeps the usage of the last MAX_TURNS turns, and nothing that was said."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: deque[TurnCost] = deque(maxlen=MAX_TURNS)
        self._forgotten = 0

    @hookimpl
    def rom_settings(self) -> Sequence[Setting]:
        """The switch."""
        return [Setting("COST_REPORT_ENABLED", bool, True, "Keep what turns cost, for GET /admin/cost.", switch=True)]

    @hookimpl
    def rom_routes(self, app: PluginRoutes, runtime: Runtime) -> None:
        """GET /admin/cost."""
        app.add_route("/admin/cost", CostResource(runtime, self))

    @hookimpl
    def rom_event(self, event: Event) -> None:
        """Gather the turn's attempts; keep them when it ends."""
        if isinstance(event, AttemptFinished):
            event.attempt.turn.stash.setdefault(_OWN, []).append(event)
        elif isinstance(event, TurnFinished) and (attempts := event.turn.stash.pop(_OWN, None)):
            kept = _turn_cost(event.turn, attempts)
            with self._lock:
                self._forgotten += len(self._turns) == MAX_TURNS
                self._turns.append(kept)

    def turns(self, since: float) -> tuple[list[TurnCost], int]:
        """Those that ended at or after `since` (seconds since 1970), and how many older ones were forgotten."""
        with self._lock:
            return [turn for turn in self._turns if turn.at >= since], self._forgotten


class CostResource:
    """The report."""

    auth = "admin"
    operations: Mapping[str, Operation] = {
        "GET": Operation("What turns cost, `since` a time in ISO 8601.", ANSWER, errors=(InvalidRequest,))
    }

    def __init__(self, runtime: Runtime, plugin: Cost) -> None:
        self._runtime = runtime
        self._plugin = plugin

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Over the turns in memory. Raises InvalidRequest for a `since` that is no time."""
        since = req.get_param("since")
        turns, forgotten = self._plugin.turns(_time(since) if since else float("-inf"))
        body = {"since": since, **report(turns, self._runtime.current.settings.models, forgotten)}
        answer_json(resp, body)


def _turn_cost(turn: Turn, attempts: Sequence[AttemptFinished]) -> TurnCost:
    models = turn.settings.models
    edges = edges_of(models.values())
    used = [(one.attempt.model, one.attempt.usage) for one in attempts]
    asked = models.get(turn.request.model or turn.settings.MODEL_PRIMARY, attempts[0].attempt.model)
    unknown = sum(usage_is_missing(event) for event in attempts)
    rules = tuple(plan.rule for event in attempts if (plan := event.attempt.cache_plan) is not None)
    parts = parts_of([(model, usage) for model, usage in used if usage is not None], edges)
    return TurnCost(turn.clock.time(), asked, parts, unknown, rules, edges)


def _time(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest("since: a time such as 2026-11-28T10:00:00Z is needed", param="since") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
