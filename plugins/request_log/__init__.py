"""Request log: one line for what happened, one that closes each turn with everything needed to judge it.

Settings: LOGGING_ENABLED (switch), LOG_CONTENT, LOG_CONTENT_MINUTES; how lines are written is the core's (LOG_FORMAT,
LOG_LEVEL). Hooks: rom_settings, rom_start, rom_stop, rom_event. A pure observer; it remembers only the account of each
turn, on the turn itself.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import structlog

from plugins.request_log.content import ContentLimit, content_is_an_exception
from rom_core.errors import ModelError, RomError
from rom_core.events import AttemptFinished, Event, RequestFinished, SettingsChanged, ToolFinished, TurnFinished
from rom_core.http.requests import UNMATCHED, status_of
from rom_core.markers import hookimpl
from rom_core.runtime import Runtime
from rom_core.settings import Rule, Setting
from rom_core.telemetry.accounts import ACCOUNTED, TurnAccount, turn_of
from rom_core.turn import Attempt, Iteration, ModelCall, ToolCall, Turn
from rom_core.turn_values import StopLoop

# Events that are not in the table, such as those of other plugins, are logged as INFO. The core itself logs, whether
# this plugin is on or not, that the server drains, that settings have changed and that their store is in trouble.
LEVELS: Mapping[str, int] = {
    "request.started": logging.DEBUG,
    "request.rejected": logging.DEBUG,
    "auth.failed": logging.DEBUG,
    "turn.started": logging.DEBUG,
    "iteration.started": logging.DEBUG,
    "iteration.finished": logging.DEBUG,
    "attempt.started": logging.DEBUG,
    "tool.started": logging.DEBUG,
    "tool.finished": logging.DEBUG,
    "server.draining": logging.DEBUG,
    "flags.changing": logging.DEBUG,
    "flags.store_troubled": logging.DEBUG,
    "alert.sent": logging.DEBUG,
    "queue.entered": logging.DEBUG,
    "queue.left": logging.DEBUG,
    "retry.scheduled": logging.INFO,
    "fallback.used": logging.WARNING,
    "loop.stopped": logging.WARNING,
    "retry.declined": logging.WARNING,
    "fallback.exhausted": logging.WARNING,
    "circuit.reported": logging.DEBUG,
    "circuit.opened": logging.ERROR,
    "circuit.half_opened": logging.WARNING,
    "circuit.closed": logging.WARNING,
    "guardrail.warned": logging.WARNING,
    "guardrail.tripped": logging.WARNING,
    "capacity.changed": logging.WARNING,
    "canary.changed": logging.WARNING,
    "canary.aborted": logging.ERROR,
}
FAILED_ATTEMPT = "attempt.failed"
# Asked for every few seconds by machines: answered well, they are worth a line at DEBUG only.
_PROBES = ("/health", "/ready", "/metrics")
_MAX_TEXT = 200
_MAX_ATTEMPTS = 20
_OWN = "request_log"
_LOGGER = "rom.events"
# What a line, or the call that writes it, names itself; the field of an event gets another name.
_TAKEN = frozenset(("event", "level", "timestamp", "logger", "exception", "exc_info", "stack_info"))
_NAMES: dict[type[Event], tuple[str, ...]] = {}


class RequestLog:
    """The plugin."""

    def __init__(self) -> None:
        self._logger = structlog.get_logger(_LOGGER)
        self._enabled = logging.getLogger(_LOGGER).isEnabledFor
        self._turn_routes: set[str] = set()
        self._limit: ContentLimit | None = None

    @hookimpl
    def rom_settings(self) -> Sequence[Setting | Rule]:
        """The switch, and whether content is logged."""
        return [
            Setting("LOGGING_ENABLED", bool, True, "Log what happens to requests and turns.", switch=True),
            Setting(
                "LOG_CONTENT",
                bool,
                False,
                "Log questions, answers, tools' input and output; never in production, in staging at run time only.",
            ),
            Setting(
                "LOG_CONTENT_MINUTES",
                int,
                15,
                "Minutes after which LOG_CONTENT ends by itself in staging.",
                minimum=1,
                maximum=60,
                scope="process",
            ),
            Rule(("LOG_CONTENT",), content_is_an_exception),
        ]

    @hookimpl
    def rom_start(self, runtime: Runtime) -> None:
        """In staging, see to it that LOG_CONTENT ends."""
        if runtime.current.settings.environment == "staging":
            self._limit = ContentLimit(runtime)
            self._limit.start()

    @hookimpl
    def rom_stop(self) -> None:
        """Look no more."""
        if self._limit is not None:
            self._limit.stop()

    @hookimpl
    def rom_event(self, event: Event) -> None:
        """Write the event's line, if its level is logged; a change of settings has the core's."""
        if isinstance(event, SettingsChanged):
            return
        kind = type(event)
        account = _account(event) if kind in ACCOUNTED else None
        name = event.name
        level = LEVELS.get(name) or self._level(event)
        if not self._enabled(level):
            return
        if isinstance(event, TurnFinished) and account is not None:
            self._logger.log(level, name, **_closing(event, account))
            return
        if kind is AttemptFinished and level >= logging.WARNING:
            name = FAILED_ATTEMPT
        self._logger.log(level, name, **describe(event))

    def _level(self, event: Event) -> int:
        if isinstance(event, TurnFinished):
            self._turn_routes.add(event.turn.route)
            return _level_of_error(event.error)
        if isinstance(event, RequestFinished):
            # A turn that went well has its own closing line.
            quiet = event.status == "ok" and (event.route in _PROBES or event.route in self._turn_routes)
            # Strangers ask for what is not there by the thousand: rom_requests_total counts them, the log need not.
            quiet = quiet or (event.code == "not_found" and event.route == UNMATCHED)
            return logging.DEBUG if quiet else logging.ERROR if event.code == "internal_error" else logging.INFO
        if isinstance(event, AttemptFinished):
            return logging.DEBUG if event.outcome in ("ok", "cancelled") else logging.WARNING
        return logging.INFO


def _account(event: Event) -> TurnAccount | None:
    """The account of the event's turn, brought up to date."""
    turn = turn_of(event)
    if turn is None:
        return None
    account: TurnAccount | None = turn.stash.get(_OWN)
    if account is None:
        account = turn.stash[_OWN] = TurnAccount()
    account.observe(event)
    return account


def _level_of_error(error: RomError | None) -> int:
    if error is None or error.status < 500:
        return logging.INFO
    return logging.ERROR if error.code == "internal_error" else logging.WARNING


# -- what a line says ------------------------------------------------------------------------------------------------


def describe(event: Event) -> dict[str, Any]:
    """The fields of an event's line: its numbers and short texts, and of the objects it carries only what names them.

    What was said is left out, unless the turn's LOG_CONTENT is on.
    """
    turn = turn_of(event)
    content = turn is not None and bool(turn.settings.LOG_CONTENT)
    line: dict[str, Any] = {}
    for name in _names(type(event)):
        value = getattr(event, name)
        field = f"{name}_" if name in _TAKEN else name
        line.update(_error(value, content) if isinstance(value, RomError) else _part(field, value))
    if content and isinstance(event, ToolFinished):
        result = event.tool_call.result
        line["input"] = event.tool_call.input
        line["output"] = list(result.content) if result is not None else None
    return line


def _part(name: str, value: Any) -> dict[str, Any]:
    match value:
        case bool() | int() | None:
            return {name: value}
        case float():
            return {name: round(value, 6)}
        case str():
            return {name: _short(value)}
        case Turn():
            return _ids(value)
        case Iteration():
            return {**_ids(value.turn), "iteration": value.number}
        case ModelCall():
            return {**_ids(value.turn), "iteration": value.iteration, "attempt": len(value.attempts)}
        case Attempt():
            place = {"iteration": value.call.iteration, "attempt": value.number, "model": value.model.alias}
            if value.cache_plan is not None:
                place["cache_rule"] = value.cache_plan.rule
            if value.left_out:
                place["left_out"] = list(value.left_out)
            return {**_ids(value.turn), **place, "first_delta": _since_start(value), "tokens": _tokens(value.usage)}
        case ToolCall():
            result = value.result
            # The name of a tool that does not exist is the model's own words.
            place = {"iteration": value.iteration, "tool": value.tool.name if value.tool is not None else "unknown"}
            outcome = {"status": result.status, "reason": result.reason} if result is not None else {}
            return {**_ids(value.turn), **place, **outcome, "duration": round(value.duration, 6)}
        case StopLoop():
            return {"reason": value.reason}
        case tuple() | list():
            return {name: _plain(value)}
        case _:
            return {}


def _plain(values: Sequence[Any]) -> list[Any]:
    return [_plain(value) if isinstance(value, tuple | list) else _short(value) for value in values]


def _short(value: Any) -> Any:
    if isinstance(value, bool | int | float) or value is None:
        return value
    text = str(value)
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…"


def _ids(turn: Turn) -> dict[str, Any]:
    return {"trace_id": turn.trace_id, "request_id": turn.request_id, "turn_id": turn.id, "cohort": turn.cohort}


def _error(error: RomError, content: bool) -> dict[str, Any]:
    if not isinstance(error, ModelError):
        return {"code": error.code}
    # What the service says may quote the request.
    aws: dict[str, Any] = {"upstream_message": _short(error.upstream_message)} if content else {}
    aws |= {"aws_status": error.http_status, "aws_code": error.aws_code, "aws_request_id": error.aws_request_id}
    known = {key: value for key, value in aws.items() if value is not None}
    return {"code": error.code, "kind": error.kind, **known}


def _tokens(usage: Any) -> dict[str, int] | None:
    return usage.as_dict() if usage is not None else None


def _since_start(attempt: Attempt) -> float | None:
    if attempt.first_delta_at is None or attempt.started_at is None:
        return None
    return round(attempt.first_delta_at - attempt.started_at, 6)


def _closing(event: TurnFinished, account: TurnAccount) -> dict[str, Any]:
    """The fields of the line that closes a turn. Times in seconds, cost in USD."""
    turn, result, error = event.turn, event.result, event.error
    request, usage = turn.request, turn.usage
    first_delta = account.first_delta
    line: dict[str, Any] = {
        **_ids(turn),
        "conversation_id": request.conversation_id,
        "route": turn.route,
        "api_key": request.key_name,
        "mode": request.mode,
        "stream": request.stream,
        "flags_version": turn.snapshot.version,
        "status": status_of(200, error),
        "http_status": 200 if error is None else error.status,
        "stop_reason": None if result is None else result.stop_reason,
        "model": turn.model,
        "degraded": turn.degraded,
        "iterations": turn.iterations,
        "tool_calls": len(turn.tool_calls),
        "tool_errors": sum(call.result is None or call.result.status == "error" for call in turn.tool_calls),
        "model_requests": turn.model_requests,
        "retries": account.retries,
        "fallbacks": account.fallbacks,
        "attempts": [f"{model}: {outcome}" for model, outcome in account.attempts[-_MAX_ATTEMPTS:]],
        "duration": round(event.duration, 6),
        "queue_wait": round(turn.queue_wait, 6),
        "retry_wait": round(account.retry_wait, 6),
        "model_time": round(account.model_time, 6),
        "tool_time": round(account.tool_time, 6),
        "overhead": round(account.overhead(event), 6),
        "first_delta": None if first_delta is None else round(first_delta, 6),
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "usage_unknown": account.usage_unknown,
        "cost_usd": round(account.cost, 8),
        "cost_uncached_usd": round(account.cost_uncached, 8),
    }
    content = bool(turn.settings.LOG_CONTENT)
    if account.cache_rules:
        line["cache_rules"] = account.cache_rules[-_MAX_ATTEMPTS:]
    if account.left_out:
        line["left_out"] = account.left_out
    if error is not None:
        line |= _error(error, content)
    if content:
        line |= {"question": request.messages[-1]["content"], "answer": turn.text}
    return line


def _names(kind: type[Event]) -> tuple[str, ...]:
    names = _NAMES.get(kind)
    if names is None:
        names = _NAMES[kind] = tuple(field.name for field in fields(kind))
    return names
