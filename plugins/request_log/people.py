"""Lines for people (LOG_FORMAT console): a turn, or a request that failed before it became one, in a short line."""

from __future__ import annotations

import threading
from collections import Counter

from rom_core.events import RequestFinished, TurnFinished
from rom_core.telemetry.accounts import TurnAccount
from rom_core.telemetry.console import Piece, Short
from rom_core.telemetry.outcome import status_of
from rom_core.turn import ToolCall, Turn

# Of so many turns that failed it is remembered whose requests have had their line.
_MAX_FAILED = 256
_MAX_NAME = 40
_MAX_TOOLS = 5
# Stop reasons of a whole answer; any other is worth a word.
_WHOLE = ("end_turn", "stop_sequence", "tool_use")
_COLOURS = {"ok": "green", "cancelled": "yellow", "client_error": "yellow", "rejected": "yellow", "error": "red"}


def turn_line(event: TurnFinished, account: TurnAccount) -> Short:
    """Who, model, iterations, tools, seconds, cost; what was not as usual; of a failure its code and the trace id."""
    turn, result, error = event.turn, event.result, event.error
    status = status_of(200, error)
    pieces = [
        Piece("turn", _COLOURS[status]),
        Piece(_who(turn), "cyan"),
        Piece(turn.model, "yellow" if turn.degraded else None),
        Piece(_count(turn.iterations, "iteration")),
        Piece(_tools(turn.tool_calls)),
        Piece(_seconds(event.duration)),
        Piece(_cost(account)),
    ]
    if account.retries:
        pieces.append(Piece(_count(account.retries, "retry", "retries"), "yellow"))
    if account.fallbacks:
        pieces.append(Piece("fallback", "yellow"))
    if result is not None and result.stop_reason not in _WHOLE:
        pieces.append(Piece(str(result.stop_reason), "yellow"))
    if error is not None:
        pieces += [_failure(status, error.code), Piece(f"trace_id={turn.trace_id}")]
    return Short(pieces)


def request_line(event: RequestFinished) -> Short:
    """What was asked for and why it was refused."""
    return Short(
        [
            Piece("request", _COLOURS[event.status]),
            Piece(f"{event.method} {event.route}"),
            _failure(event.status, event.code or str(event.http_status)),
            Piece(_seconds(event.duration)),
            Piece(f"trace_id={event.trace_id}"),
        ]
    )


class FailedTurns:
    """The request ids of the newest turns that failed, so that one failure has one line."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids: dict[str, None] = {}

    def add(self, request_id: str) -> None:
        """The turn of this request has its line."""
        with self._lock:
            self._ids[request_id] = None
            if len(self._ids) > _MAX_FAILED:
                del self._ids[next(iter(self._ids))]

    def take(self, request_id: str) -> bool:
        """Whether it has; it is forgotten."""
        with self._lock:
            return self._ids.pop(request_id, self) is None


def _failure(status: str, code: str) -> Piece:
    return Piece(code if code == status else f"{status} {code}", _COLOURS[status])


def _who(turn: Turn) -> str:
    """The name of the key and, on the machine of whoever develops, the user that the client states; "-" for nobody."""
    request = turn.request
    user = request.user if turn.settings.environment == "development" else None
    return "/".join(_cut(name) for name in (request.key_name, user) if name) or "-"


def _tools(calls: list[ToolCall]) -> str:
    if not calls:
        return "no tools"
    # The name of a tool that does not exist is the model's own words.
    counts = Counter(call.tool.name if call.tool is not None else "unknown" for call in calls)
    names = [name if count == 1 else f"{name} x{count}" for name, count in counts.items()]
    more = [f"{len(names) - _MAX_TOOLS} more"] if len(names) > _MAX_TOOLS else []
    failed = sum(call.result is None or call.result.status == "error" for call in calls)
    return ", ".join(names[:_MAX_TOOLS] + more) + (f" ({failed} failed)" if failed else "")


def _cost(account: TurnAccount) -> str:
    if account.usage_unknown and not account.cost:
        return "cost unknown"
    cost = f"${account.cost:.4f}"
    return f"at least {cost}" if account.usage_unknown else cost


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_NAME else f"{text[: _MAX_NAME - 1]}…"
