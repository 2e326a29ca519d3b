"""Typed events: what happened, told to observers (`rom_event`) after the fact.

Each class has a stable dotted `name`. Times are in seconds. Events carry the objects of the turn for context; an
observer reads them and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

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
