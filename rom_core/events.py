"""Typed events: what happened, told to observers (`rom_event`) after the fact.

Each class has a stable dotted `name`. Times are in seconds. Events carry the objects of the turn for context; an
observer reads them and changes nothing. Fields of plain text and numbers go into the log as they are, so they never
hold what a person, a model or a tool said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rom_core.turn_values import Event as Event

if TYPE_CHECKING:
    from rom_core.errors import RomError
    from rom_core.turn import Attempt, Iteration, ModelCall, ToolCall, Turn
    from rom_core.turn_values import IterationResult, StopLoop, TurnResult


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
class FlagsStoreTroubled(Event):
    """The overrides may not be what administrators have set, or would not survive a restart.

    `state`: restored (it was damaged, the last good copy is in use), lost (there was no copy), unwritable.
    """

    name: ClassVar[str] = "flags.store_troubled"
    state: str
    reason: str


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
class CapacityChanged(Event):
    """The process came nearer to its limits, or got away from them: levels as in capacity.py.

    Ratios are from 0 to 1, None where nothing is known; `attempts` is how many requests to the model
    `throttled_ratio` is of.
    """

    name: ClassVar[str] = "capacity.changed"
    before: str
    after: str
    memory_ratio: float | None
    throttled_ratio: float | None
    attempts: int
    p95_seconds: float | None


@dataclass(frozen=True, slots=True)
class AlertSent(Event):
    """A message to the alert webhook came to an end.

    `about` is what it is about, `outcome`: delivered, failed (after its retries), dropped (too many waited).
    """

    name: ClassVar[str] = "alert.sent"
    about: str
    outcome: str


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


@dataclass(frozen=True, slots=True)
class CircuitOpened(Event):
    """A model (an alias) gets no requests. `reason`: failures, probe_failed, forced (then `by` an administrator).

    `failures` are those within the window; `seconds` until the first probe, None while it is forced open. `why` is
    the administrator's; `trace_id` that of the request, theirs or the one whose failure opened it.
    """

    name: ClassVar[str] = "circuit.opened"
    model: str
    reason: str
    failures: int
    seconds: float | None
    by: str = ""
    why: str = ""
    trace_id: str = ""


@dataclass(frozen=True, slots=True)
class CircuitHalfOpened(Event):
    """One request, the probe, goes to the model to see whether it is back. `trace_id` is its turn's."""

    name: ClassVar[str] = "circuit.half_opened"
    model: str
    trace_id: str = ""


@dataclass(frozen=True, slots=True)
class CircuitClosed(Event):
    """A model gets requests again.

    `reason`: probe_succeeded, forced, or reset (an administrator's `auto`, or the breaker was switched off). `by` and
    `why` are of whoever did that; `trace_id` is that of the request, theirs or the probe's.
    """

    name: ClassVar[str] = "circuit.closed"
    model: str
    reason: str
    by: str = ""
    why: str = ""
    trace_id: str = ""


@dataclass(frozen=True, slots=True)
class CircuitReported(Event):
    """What a model's circuit stands at, for observers that have missed its changes: after every change of settings.

    `state`: closed, open, half_open; `forced`: an administrator holds it there.
    """

    name: ClassVar[str] = "circuit.reported"
    model: str
    state: str
    forced: bool


@dataclass(frozen=True, slots=True)
class CanaryChanged(Event):
    """A canary rollout went on. `percent` is the share of its phase, `by` a person, or "gate".

    `action`: started, passed (the gate held for the whole window), inconclusive (too little traffic in it), approved,
    held, released, completed (its flags are everybody's).
    """

    name: ClassVar[str] = "canary.changed"
    action: str
    percent: int
    by: str
    why: str


@dataclass(frozen=True, slots=True)
class CanaryAborted(Event):
    """A canary rollout ended before its time and its flags are withdrawn; `by` a person, or "gate"."""

    name: ClassVar[str] = "canary.aborted"
    percent: int
    by: str
    why: str
