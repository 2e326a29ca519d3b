"""Typed events: what happened, told to observers (`rom_event`) after the fact.

Each class has a stable dotted `name`. Times are in seconds. Events carry the objects of the turn for context; an
observer reads them and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from rom_core.errors import RomError
    from rom_core.turn import (
        Attempt,
        Iteration,
        IterationResult,
        ModelCall,
        StopLoop,
        ToolCall,
        Turn,
        TurnResult,
    )


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events."""

    name: ClassVar[str] = "event"


@dataclass(frozen=True, slots=True)
class RequestStarted(Event):
    """An HTTP request reached the app. `route` is the template, "unmatched" where there is none."""

    name: ClassVar[str] = "request.started"
    route: str
    method: str


@dataclass(frozen=True, slots=True)
class RequestFinished(Event):
    """An HTTP request was answered, to the last byte of a stream, or its client left.

    `status`: ok, error, rejected, client_error, cancelled. `code` is that of the problem, "" if there was none.
    """

    name: ClassVar[str] = "request.finished"
    route: str
    method: str
    status: str
    http_status: int
    code: str
    cohort: str
    trace_id: str
    request_id: str
    duration: float


@dataclass(frozen=True, slots=True)
class SettingsChanged(Event):
    """A new snapshot is in force. `changes` maps names to (before, after), secrets masked."""

    name: ClassVar[str] = "flags.changed"
    version: int
    changes: Mapping[str, tuple[Any, Any]]
    by: str
    why: str
    trace_id: str


@dataclass(frozen=True, slots=True)
class ServerDraining(Event):
    """The process takes no new turns; whoever makes one wait lets it go."""

    name: ClassVar[str] = "server.draining"


@dataclass(frozen=True, slots=True)
class TurnStarted(Event):
    """A request was admitted and its turn begins."""

    name: ClassVar[str] = "turn.started"
    turn: Turn


@dataclass(frozen=True, slots=True)
class TurnFinished(Event):
    """A turn ended: exactly one of `result` and `error` is set. A client that left is a TurnCancelled error."""

    name: ClassVar[str] = "turn.finished"
    turn: Turn
    result: TurnResult | None
    error: RomError | None
    duration: float


@dataclass(frozen=True, slots=True)
class IterationStarted(Event):
    """One round of the tool loop begins."""

    name: ClassVar[str] = "iteration.started"
    iteration: Iteration


@dataclass(frozen=True, slots=True)
class IterationFinished(Event):
    """One round of the tool loop ended; `result` is None if it raised."""

    name: ClassVar[str] = "iteration.finished"
    iteration: Iteration
    result: IterationResult | None
    duration: float


@dataclass(frozen=True, slots=True)
class AttemptStarted(Event):
    """A request goes on the wire."""

    name: ClassVar[str] = "attempt.started"
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class AttemptFinished(Event):
    """A request on the wire came to an end.

    `outcome`: ok, throttled, server_error, timeout, connection, truncated, refused, cancelled. `attempt.usage` is None
    where Bedrock did not report it.
    """

    name: ClassVar[str] = "attempt.finished"
    attempt: Attempt
    outcome: str
    error: RomError | None
    duration: float


@dataclass(frozen=True, slots=True)
class RetryScheduled(Event):
    """Another attempt follows after `after_seconds`, on the model `model` (an alias)."""

    name: ClassVar[str] = "retry.scheduled"
    call: ModelCall
    error: RomError
    after_seconds: float
    model: str


@dataclass(frozen=True, slots=True)
class FallbackUsed(Event):
    """The turn goes on with another model."""

    name: ClassVar[str] = "fallback.used"
    call: ModelCall
    from_model: str
    to_model: str


@dataclass(frozen=True, slots=True)
class ToolStarted(Event):
    """A tool was handed to the pool."""

    name: ClassVar[str] = "tool.started"
    tool_call: ToolCall


@dataclass(frozen=True, slots=True)
class ToolFinished(Event):
    """A tool's result is known; `tool_call.result.reason` says why it is an error."""

    name: ClassVar[str] = "tool.finished"
    tool_call: ToolCall


@dataclass(frozen=True, slots=True)
class LoopStopped(Event):
    """The tool loop was stopped before the model had finished."""

    name: ClassVar[str] = "loop.stopped"
    iteration: Iteration
    stop: StopLoop


@dataclass(frozen=True, slots=True)
class RequestRejected(Event):
    """A request was refused before it became a turn: `code` as in the HTTP answer."""

    name: ClassVar[str] = "request.rejected"
    route: str
    code: str
