"""What a line of the log says of an event: numbers and short texts, ids, and nothing that was said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from rom_core.errors import ModelError, RomError
from rom_core.events import Event, ToolFinished, TurnFinished
from rom_core.files import without_files
from rom_core.telemetry.accounts import TurnAccount, turn_of
from rom_core.telemetry.outcome import status_of
from rom_core.turn import Attempt, Iteration, ModelCall, ToolCall, Turn
from rom_core.turn_values import StopLoop

_MAX_TEXT = 200
_MAX_ATTEMPTS = 20
# What a line, or the call that writes it, names itself; the field of an event gets another name.
_TAKEN = frozenset(("event", "level", "timestamp", "logger", "exception", "exc_info", "stack_info"))
_NAMES: dict[type[Event], tuple[str, ...]] = {}


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
        line["output"] = without_files(result.content) if result is not None else None
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


def closing(event: TurnFinished, account: TurnAccount) -> dict[str, Any]:
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
        line |= {"question": without_files(request.messages[-1]["content"]), "answer": turn.text}
    return line


def _names(kind: type[Event]) -> tuple[str, ...]:
    names = _NAMES.get(kind)
    if names is None:
        names = _NAMES[kind] = tuple(field.name for field in fields(kind))
    return names
