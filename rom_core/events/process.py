"""What happens to the process: requests, settings, circuits, canaries, capacity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from rom_core.span import Span
from rom_core.turn_values import Event


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
    `span` is the request's in its trace, None where nobody traces it. `background`: its turn was taken and goes on by
    itself, so how that ends is told by RunFinished.
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
    span: Span | None = None
    background: bool = False


@dataclass(frozen=True, slots=True)
class _SettingsChange(Event):
    """From one snapshot to the next. `changes` maps names to (before, after), secrets masked.

    `adopted`: another instance has made the change, and has told of it there.
    """

    version: int
    changes: Mapping[str, tuple[Any, Any]]
    by: str
    why: str
    trace_id: str
    adopted: bool = False


@dataclass(frozen=True, slots=True)
class SettingsChanging(_SettingsChange):
    """A new snapshot is checked and about to be in force; the one before still is, and its plugins are told."""

    name: ClassVar[str] = "flags.changing"


@dataclass(frozen=True, slots=True)
class SettingsChanged(_SettingsChange):
    """A new snapshot is in force. `changes` maps names to (before, after), secrets masked."""

    name: ClassVar[str] = "flags.changed"


@dataclass(frozen=True, slots=True)
class FlagsStoreTroubled(Event):
    """The overrides may not be what administrators have set, or would not survive a restart.

    `state`: restored (it was damaged, the last good copy is in use), lost (there was no copy), unwritable.
    """

    name: ClassVar[str] = "flags.store_troubled"
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class StoreUsed(Event):
    """A transaction in the store ended. `kind`: sqlite, postgresql; `operation`: read, write; `code` is its failure's.

    `trace_id` and `span` are of the request or turn that it was done for, "" and None of the process's own work.
    """

    name: ClassVar[str] = "store.used"
    kind: str
    operation: str
    duration: float
    code: str = ""
    trace_id: str = ""
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class ServerDraining(Event):
    """The process takes no new turns; whoever makes one wait lets it go."""

    name: ClassVar[str] = "server.draining"


@dataclass(frozen=True, slots=True)
class RunAccepted(Event):
    """A turn that goes on by itself was queued. `run_id` is what its client knows it by."""

    name: ClassVar[str] = "run.accepted"
    run_id: str
    trace_id: str = ""


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    """A run begins on this instance; `attempt` counts its beginnings, on other instances too."""

    name: ClassVar[str] = "run.started"
    run_id: str
    attempt: int
    trace_id: str = ""


@dataclass(frozen=True, slots=True)
class RunFinished(Event):
    """A run has ended. `state`: done, failed, cancelled, interrupted; `code` is that of its problem, "" if it has none.

    `status` is that of its turn, as of a request. `duration` is how long it took from its acceptance, in seconds; 0 for
    one that ended while nobody ran it.
    """

    name: ClassVar[str] = "run.finished"
    run_id: str
    state: str
    status: str
    route: str
    cohort: str
    exhaustive: bool
    code: str = ""
    duration: float = 0.0
    trace_id: str = ""


@dataclass(frozen=True, slots=True)
class RunsChanged(Event):
    """So many runs run on this instance, and so many are queued in all instances together."""

    name: ClassVar[str] = "runs.changed"
    running: int
    queued: int


@dataclass(frozen=True, slots=True)
class RunTakenOver(Event):
    """A run whose instance died goes on: `state` is queued, to begin again, or the one that it ends in."""

    name: ClassVar[str] = "run.taken_over"
    run_id: str
    state: str


@dataclass(frozen=True, slots=True)
class CredentialRefused(Event):
    """A request for a route that asks for a key or token had none that counts.

    `credential`: key, admin, token (as `auth` of the route). `reason`: missing, wrong, throttled (not compared).
    """

    name: ClassVar[str] = "auth.failed"
    credential: str
    reason: str


@dataclass(frozen=True, slots=True)
class RequestRejected(Event):
    """A request was refused before it became a turn: `code` as in the HTTP answer."""

    name: ClassVar[str] = "request.rejected"
    route: str
    code: str


@dataclass(frozen=True, slots=True)
class CapacityChanged(Event):
    """The process came nearer to its limits, or got away from them: levels as in capacity.py.

    Ratios are from 0 to 1, None where nothing is known; `attempts` is how many requests to the model
    `throttled_ratio` is of. `failed` of `turns` failed: those of the last minute (see `Reading`).
    """

    name: ClassVar[str] = "capacity.changed"
    before: str
    after: str
    memory_ratio: float | None
    throttled_ratio: float | None
    attempts: int
    p95_seconds: float | None
    failed: int = 0
    turns: int = 0


@dataclass(frozen=True, slots=True)
class HealthChanged(Event):
    """The service became well, degraded or down, or a reason for that came or went.

    `before` and `after` are states, which may be the same. `reasons` are names (`rom_core.telemetry.health.REASONS`),
    the gravest first, `why` their sentences, and `pages` where it is written what a person has to do.
    """

    name: ClassVar[str] = "health.changed"
    before: str
    after: str
    reasons: tuple[str, ...]
    why: tuple[str, ...]
    pages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AlertSent(Event):
    """A message to the alert webhook came to an end.

    `about` is what it is about, `outcome`: delivered, failed (after its retries), dropped (too many waited).
    """

    name: ClassVar[str] = "alert.sent"
    about: str
    outcome: str


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
