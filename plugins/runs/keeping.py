"""The rows of runs: accepted, claimed, journalled, ended. What their owners see of them is in owning.py.

Every function is one transaction's action: it gets a connection, does nothing else, and may be carried out again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sqlalchemy import Connection, Row, and_, delete, func, insert, select, update

from plugins.runs.tables import EVENTS, FILES, KEPT
from rom_core.errors import ConversationBusy, QueueFull
from rom_core.store.content_owner import Owner
from rom_core.store.sharing import notify, time_of

TOPIC: Final = "runs"
"""Of what the instances of a fleet tell each other: a run may begin, or is to be cancelled."""
State = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]
UNFINISHED: Final = ("queued", "running")
MAX_LOST: Final = 3
"""A run whose instance has died so often is not begun again: it may be what kills them."""
INSTANCE_LOST: Final = "instance_lost"


@dataclass(frozen=True, slots=True)
class Accepted:
    """A run that is to be queued. `request`, `files` (by digest) and `batch`, its first `events`, are sealed."""

    id: str
    turn_id: str
    owner: Owner
    conversation_id: str
    exhaustive: bool
    trace_id: str
    request_id: str
    request: bytes
    files: Mapping[str, bytes]
    events: int
    batch: bytes


@dataclass(frozen=True, slots=True)
class Hold:
    """One instance's hold on a run: whoever has another `attempt` has taken it over."""

    run_id: str
    holder: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """A run that this instance is to run now; `request` and `files` are sealed, `last_event` is the newest there is.

    `restart` is the reason why it begins again, "" if it does not. `created_at` is by the store's clock, as `now`.
    """

    hold: Hold
    exhaustive: bool
    turn_id: str
    trace_id: str
    request_id: str
    request: bytes
    files: Mapping[str, bytes]
    last_event: int
    restart: str
    created_at: float
    now: float


@dataclass(frozen=True, slots=True)
class Standing:
    """How many runs are queued, whether one of them may begin now, and whether there are some whose hold has lapsed."""

    queued: int
    due: bool
    lost: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come: `tools` are names, `usage` tokens as in an answer."""

    iteration: int = 0
    tools: tuple[str, ...] = ()
    usage: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ends: `event` is the sealed batch with its last event, `body` the sealed answer or error."""

    state: State
    event: bytes
    body: bytes


def accept(connection: Connection, run: Accepted, most: int, at: float) -> None:
    """Queue a run. Raises QueueFull if `most` wait, ConversationBusy if one of its conversation has not ended.

    Conversations of other owners are others, whatever their ids: nobody learns of them, or is in their way.
    """
    unfinished = select(KEPT.c.id).where(
        KEPT.c.conversation_id == run.conversation_id,
        KEPT.c.key_name == run.owner.key_name,
        KEPT.c.user == run.owner.user,
        KEPT.c.state.in_(UNFINISHED),
    )
    if connection.execute(unfinished.limit(1)).first() is not None:
        raise ConversationBusy("a run of this conversation has not ended; wait for it, or cancel it")
    if waiting(connection) >= most:
        raise QueueFull("no place is free in the queue of runs", retry_after=30)
    now = time_of(connection, at)
    connection.execute(
        insert(KEPT).values(
            id=run.id,
            turn_id=run.turn_id,
            key_name=run.owner.key_name,
            user=run.owner.user,
            conversation_id=run.conversation_id,
            exhaustive=run.exhaustive,
            trace_id=run.trace_id,
            request_id=run.request_id,
            state="queued",
            created_at=now,
            started_at=0.0,
            ended_at=0.0,
            not_before=0.0,
            holder="",
            lease_until=0.0,
            attempt=0,
            lost=0,
            restart="",
            unrepeatable=False,
            cancel=False,
            last_event=run.events,
            iteration=0,
            tools="[]",
            usage="{}",
            request=run.request,
            ending=b"",
        )
    )
    for digest, file in run.files.items():
        connection.execute(insert(FILES).values(run_id=run.id, digest=digest, content=file))
    _add_batch(connection, run.id, run.events, run.batch)
    notify(connection, TOPIC)


def waiting(connection: Connection) -> int:
    """How many runs are queued."""
    return int(connection.execute(select(func.count()).where(KEPT.c.state == "queued")).scalar_one())


def standing(connection: Connection, at: float) -> Standing:
    """What there is to do."""
    now = time_of(connection, at)
    due = select(KEPT.c.id).where(KEPT.c.state == "queued", KEPT.c.not_before <= now).limit(1)
    lapsed = select(KEPT.c.id).where(KEPT.c.state == "running", KEPT.c.lease_until < now).limit(1)
    first_due, first_lost = (connection.execute(each).first() for each in (due, lapsed))
    return Standing(waiting(connection), first_due is not None, first_lost is not None)


def claim(
    connection: Connection, holder: str, exhaustive: Collection[bool], lease_seconds: float, at: float
) -> Claimed | None:
    """Take the run that has waited longest, of those that are `exhaustive` or not as given; None if none waits."""
    now = time_of(connection, at)
    due = select(KEPT).where(
        KEPT.c.state == "queued", KEPT.c.not_before <= now, KEPT.c.exhaustive.in_(list(exhaustive))
    )
    row = connection.execute(due.order_by(KEPT.c.created_at).limit(1).with_for_update(skip_locked=True)).first()
    if row is None:
        return None
    hold = Hold(row.id, holder, row.attempt + 1)
    connection.execute(
        update(KEPT)
        .where(KEPT.c.id == row.id)
        .values(
            state="running",
            holder=holder,
            lease_until=now + lease_seconds,
            attempt=hold.attempt,
            restart="",
            started_at=row.started_at or now,
        )
    )
    files = connection.execute(select(FILES.c.digest, FILES.c.content).where(FILES.c.run_id == row.id)).all()
    kept = {each.digest: each.content for each in files}
    return Claimed(
        hold,
        row.exhaustive,
        row.turn_id,
        row.trace_id,
        row.request_id,
        row.request,
        kept,
        row.last_event,
        row.restart,
        row.created_at,
        now,
    )


def journal(connection: Connection, hold: Hold, last: int, batch: bytes, progress: Progress) -> bool:
    """Keep a sealed batch of events whose last one has the number `last`; whether the run is still held."""
    if not _advance(connection, hold, last, progress):
        return _has(connection, hold, last)
    _add_batch(connection, hold.run_id, last, batch)
    return True


def guard(connection: Connection, hold: Hold) -> bool:
    """Note that a tool is about to run that must not run twice; whether the run is still held."""
    return _update(connection, hold, unrepeatable=True)


def finish(connection: Connection, hold: Hold, last: int, progress: Progress, ending: Ending, at: float) -> bool:
    """End a run; whether it was still held."""
    if not _advance(connection, hold, last, progress):
        return _has(connection, hold, last)
    _end(connection, hold.run_id, last, ending, at)
    return True


def give_back(connection: Connection, hold: Hold, restart: str, after: float, at: float) -> bool:
    """Queue a run again, to begin no sooner than in `after` seconds; whether it was still held.

    `restart` is the reason that its readers are given, "" if nothing was said.
    """
    until = time_of(connection, at) + after
    given = _update(connection, hold, state="queued", holder="", lease_until=0.0, not_before=until, restart=restart)
    if given:
        notify(connection, TOPIC)
    return given


def renew(
    connection: Connection, holder: str, run_ids: Sequence[str], lease_seconds: float, at: float
) -> dict[str, bool]:
    """Hold what this instance runs: those that it still holds, and whether each is to be cancelled."""
    ours = and_(KEPT.c.id.in_(run_ids), KEPT.c.holder == holder)
    until = time_of(connection, at) + lease_seconds
    connection.execute(update(KEPT).where(ours).values(lease_until=until))
    return {row.id: row.cancel for row in connection.execute(select(KEPT.c.id, KEPT.c.cancel).where(ours))}


def lost(connection: Connection, at: float) -> Sequence[Row[Any]]:
    """The runs whose instance has not renewed its hold in time; nobody else takes them in this transaction."""
    now = time_of(connection, at)
    expired = select(KEPT).where(KEPT.c.state == "running", KEPT.c.lease_until < now)
    return connection.execute(expired.with_for_update(skip_locked=True)).all()


def queue_again(connection: Connection, run_id: str) -> None:
    """Begin a lost run again, as soon as somebody has room."""
    values = {"state": "queued", "holder": "", "lease_until": 0.0, "restart": INSTANCE_LOST, "lost": KEPT.c.lost + 1}
    connection.execute(update(KEPT).where(KEPT.c.id == run_id).values(values))
    notify(connection, TOPIC)


def end(connection: Connection, row: Row[Any], ending: Ending, at: float) -> None:
    """End a run that nobody holds, whose row is locked in this transaction."""
    _end(connection, row.id, row.last_event + 1, ending, at)


def ask_to_cancel(connection: Connection, run_id: str) -> None:
    """Have whoever holds a run cancel it."""
    connection.execute(update(KEPT).where(KEPT.c.id == run_id).values(cancel=True))
    notify(connection, TOPIC)


def _advance(connection: Connection, hold: Hold, last: int, progress: Progress) -> bool:
    return _update(
        connection,
        hold,
        KEPT.c.last_event < last,
        last_event=last,
        iteration=progress.iteration,
        tools=json.dumps(progress.tools),
        usage=json.dumps(dict(progress.usage)),
    )


def _has(connection: Connection, hold: Hold, last: int) -> bool:
    """Whether that was kept before, by a transaction whose end nobody was told."""
    same = and_(KEPT.c.id == hold.run_id, KEPT.c.attempt == hold.attempt, KEPT.c.last_event >= last)
    return connection.execute(select(KEPT.c.id).where(same)).first() is not None


def _update(connection: Connection, hold: Hold, *conditions: Any, **values: Any) -> bool:
    held = and_(KEPT.c.id == hold.run_id, KEPT.c.holder == hold.holder, KEPT.c.attempt == hold.attempt)
    running = update(KEPT).where(held, KEPT.c.state == "running", *conditions)
    return connection.execute(running.values(values)).rowcount > 0


def _end(connection: Connection, run_id: str, last: int, ending: Ending, at: float) -> None:
    _add_batch(connection, run_id, last, ending.event)
    now = time_of(connection, at)
    connection.execute(
        update(KEPT)
        .where(KEPT.c.id == run_id)
        .values(state=ending.state, ended_at=now, last_event=last, ending=ending.body, holder="", request=b"")
    )
    # What was asked is in nobody's way any more, and not needed.
    connection.execute(delete(FILES).where(FILES.c.run_id == run_id))


def _add_batch(connection: Connection, run_id: str, last: int, body: bytes) -> None:
    connection.execute(insert(EVENTS).values(run_id=run_id, last=last, body=body))
