"""What owners, readers and administrators see of runs, and what is erased.

Every function is one transaction's action, as in keeping.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, or_, select

from plugins.runs.keeping import UNFINISHED, State
from plugins.runs.tables import EVENTS, FILES, KEPT
from rom_core.errors import RunNotFound
from rom_core.store.content_owner import Owner


def found(connection: Connection, run_id: str, owner: Owner) -> Row[Any]:
    """One run. Raises RunNotFound unless it is the owner's."""
    return _found(connection, _of(run_id, owner), run_id)


def locked(connection: Connection, run_id: str, owner: Owner) -> Row[Any]:
    """One run, which nobody else changes in this transaction. Raises RunNotFound unless it is the owner's."""
    return _found(connection, _of(run_id, owner).with_for_update(), run_id)


def page(connection: Connection, owner: Owner, before: tuple[float, str] | None, limit: int) -> Sequence[Row[Any]]:
    """The owner's runs, newest first, after the one that `before` names by time and id."""
    listed = select(KEPT).where(_owned(owner)).order_by(KEPT.c.created_at.desc(), KEPT.c.id.desc()).limit(limit)
    if before is not None:
        at, run_id = before
        listed = listed.where(or_(KEPT.c.created_at < at, and_(KEPT.c.created_at == at, KEPT.c.id < run_id)))
    return connection.execute(listed).all()


def events(connection: Connection, run_id: str, after: int, limit: int) -> tuple[State | None, list[tuple[int, bytes]]]:
    """The state of a run, None if it was erased, and its first `limit` batches with events after number `after`."""
    # The state first: what has ended has all its events by then.
    state = connection.execute(select(KEPT.c.state).where(KEPT.c.id == run_id)).scalar()
    listed = select(EVENTS.c.last, EVENTS.c.body).where(EVENTS.c.run_id == run_id, EVENTS.c.last > after)
    rows = connection.execute(listed.order_by(EVENTS.c.last).limit(limit)).all()
    return state, [(row.last, row.body) for row in rows]


def anybodys(connection: Connection, run_id: str) -> Row[Any]:
    """One run, whoever owns it. Raises RunNotFound."""
    return _found(connection, select(KEPT).where(KEPT.c.id == run_id.replace("\0", "")), run_id)


def all_events(connection: Connection, run_id: str) -> list[bytes]:
    """All batches of a run."""
    listed = select(EVENTS.c.body).where(EVENTS.c.run_id == run_id).order_by(EVENTS.c.last)
    return list(connection.execute(listed).scalars())


def files(connection: Connection, run_id: str) -> dict[str, bytes]:
    """The files of a request, sealed, by digest."""
    rows = connection.execute(select(FILES.c.digest, FILES.c.content).where(FILES.c.run_id == run_id)).all()
    return {row.digest: row.content for row in rows}


def remove(connection: Connection, run_ids: Sequence[str]) -> None:
    """Erase these with everything of them, whoever owns them, also while they run."""
    for table, column in ((KEPT, KEPT.c.id), (EVENTS, EVENTS.c.run_id), (FILES, FILES.c.run_id)):
        connection.execute(delete(table).where(column.in_(run_ids)))


def owned_by(connection: Connection, user: str, key_name: str | None = None) -> list[str]:
    """The ids of all runs of a person, of one key or of all."""
    whose = KEPT.c.user == user if key_name is None else _owned(Owner(key_name, user))
    return list(connection.execute(select(KEPT.c.id).where(whose).order_by(KEPT.c.created_at)).scalars())


def of_conversations(connection: Connection, conversation_ids: Sequence[str]) -> list[str]:
    """The ids of all runs in these conversations."""
    return list(connection.execute(select(KEPT.c.id).where(KEPT.c.conversation_id.in_(conversation_ids))).scalars())


def ended_before(connection: Connection, before: float, limit: int) -> list[str]:
    """The ids of runs that ended before, at most `limit`."""
    old = select(KEPT.c.id).where(KEPT.c.state.not_in(UNFINISHED), KEPT.c.ended_at < before)
    return list(connection.execute(old.order_by(KEPT.c.ended_at).limit(limit).with_for_update()).scalars())


def _owned(owner: Owner) -> Any:
    return and_(KEPT.c.key_name == owner.key_name, KEPT.c.user == owner.user)


def _of(run_id: str, owner: Owner) -> Any:
    # PostgreSQL would refuse to look for a text with a NUL.
    return select(KEPT).where(KEPT.c.id == run_id.replace("\0", ""), _owned(owner))


def _found(connection: Connection, wanted: Any, run_id: str) -> Row[Any]:
    row = connection.execute(wanted).first()
    if row is None or "\0" in run_id:
        # The same for one that is not there and one that is somebody else's: nobody learns which.
        raise RunNotFound(f"there is no run {run_id[:64]!r} of this key and user")
    found: Row[Any] = row
    return found
