"""What happens to a turn: from its place in the queue to its answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rom_core.turn_values import Event

if TYPE_CHECKING:
    from rom_core.errors import RomError
    from rom_core.turn import Attempt, Iteration, ModelCall, ToolCall, Turn
    from rom_core.turn_values import IterationResult, ModelReply, StopLoop, TurnResult


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
class ModelCallStarted(Event):
    """A model is about to be asked, with as many attempts as that takes."""

    name: ClassVar[str] = "model_call.started"
    call: ModelCall


@dataclass(frozen=True, slots=True)
class ModelCallFinished(Event):
    """A model call came to an end; `reply` is None if it raised, then `error` says what, None for no RomError."""

    name: ClassVar[str] = "model_call.finished"
    call: ModelCall
    reply: ModelReply | None
    error: RomError | None
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
    where Bedrock did not report it; `attempt.request` is what was sent, `attempt.reply` what came of it, None if
    nothing did.
    """

    name: ClassVar[str] = "attempt.finished"
    attempt: Attempt
    outcome: str
    error: RomError | None
    duration: float


@dataclass(frozen=True, slots=True)
class AttemptAnswered(Event):
    """A plugin answered an attempt in the place of the wire: `attempt.reply`. No tokens, no cost, no request.

    `attempt.on_wire` tells whether a request went out before and failed, as its own AttemptFinished says.
    """

    name: ClassVar[str] = "attempt.answered"
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class RetryScheduled(Event):
    """Another attempt follows after `after_seconds`, on the model `model` (an alias)."""

    name: ClassVar[str] = "retry.scheduled"
    call: ModelCall
    error: RomError
    after_seconds: float
    model: str


@dataclass(frozen=True, slots=True)
class AnswerRestarted(Event):
    """What the client had seen of this model call was taken back, for another attempt; it had agreed to that."""

    name: ClassVar[str] = "answer.restarted"
    call: ModelCall
    error: RomError


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
class GuardrailWarned(Event):
    """A turn reached MAX_LOOPS_SOFT iterations: once per turn. `limit` is where its loop will be stopped."""

    name: ClassVar[str] = "guardrail.warned"
    turn: Turn
    iterations: int
    limit: int


@dataclass(frozen=True, slots=True)
class GuardrailTripped(Event):
    """A guardrail stopped a tool loop. `reason` becomes the stop_reason, `iterations` counts the stopped one too.

    `tools` are the names asked for, by iteration, never their inputs; those of the last iteration did not run.
    """

    name: ClassVar[str] = "guardrail.tripped"
    turn: Turn
    reason: str
    iterations: int
    tools: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class QueueEntered(Event):
    """A turn waits for a slot. `depth` turns wait now, this one included; `running` turns hold a slot."""

    name: ClassVar[str] = "queue.entered"
    turn: Turn
    depth: int
    running: int


@dataclass(frozen=True, slots=True)
class QueueLeft(Event):
    """A turn waits no longer, after `waited` seconds; `depth` turns still do.

    `outcome`: started, timeout, full (the queue was made shorter), draining, client_gone, deadline, released (the
    limiter was switched off).
    """

    name: ClassVar[str] = "queue.left"
    turn: Turn
    waited: float
    outcome: str
    depth: int
    running: int


@dataclass(frozen=True, slots=True)
class RetryDeclined(Event):
    """A failure worth a retry gets none. `model` is the alias that failed.

    `reason`: retries_spent, read_timeout (it was retried once), probe, deadline, fallback_time and fallback_requests
    (what is left is kept for the models that may take over), budget.
    """

    name: ClassVar[str] = "retry.declined"
    call: ModelCall
    error: RomError
    model: str
    reason: str


@dataclass(frozen=True, slots=True)
class FallbackExhausted(Event):
    """A call failed although other models were asked, or might have been and none is left.

    `attempts` tells its whole story: (model, outcome, kind of failure), the turn's own end as ("cancelled", its code).
    """

    name: ClassVar[str] = "fallback.exhausted"
    call: ModelCall
    error: RomError
    attempts: tuple[tuple[str, str, str], ...]
