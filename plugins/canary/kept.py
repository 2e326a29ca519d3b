"""The rollout in the store: where it stands, the audit trail of how it came there, and the reports of instances.

It is one row with a revision. Whoever decides has read a revision and replaces that one; if it is not there any more,
somebody else was first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import structlog

from plugins.canary.rollout import Entry, Rollout
from plugins.canary.watcher import Report
from rom_core.concurrency.clock import Clock, iso
from rom_core.errors import StoreUnavailable
from rom_core.fleet import Fleet
from rom_core.gate import Figures
from rom_core.store.base import Store
from rom_core.store.sharing import NotLeader, as_leader, lock, notify

if TYPE_CHECKING:
    from sqlalchemy import Connection

TOPIC = "canary"
# No revision has this number: what is in the store has to be read again.
_UNKNOWN = -1
logger = structlog.get_logger("rom.canary")


class DecidedMeanwhile(Exception):
    """Another instance has written the rollout since it was read here."""


class KeptRollout:
    """The rollout in `store`. `durable` is whether the last write succeeded. Not for several threads at once."""

    def __init__(self, store: Store, fleet: Fleet, clock: Clock) -> None:
        self._store = store
        self._fleet = fleet
        self._clock = clock
        self._unsaved: list[Entry] = []
        self._revision = 0
        self._reports: dict[str, Report] = {}
        self.durable = True

    @property
    def shared(self) -> bool:
        """Whether other instances write it too."""
        return self._store.kind == "postgresql"

    def load(self) -> Rollout | None:
        """The rollout as it is now, None if there has never been one.

        Raises StoreUnavailable, and KeyError, TypeError or ValueError if what is kept is not what was written.
        """
        try:
            row = self._store.read(_rollout)
        except StoreUnavailable as error:
            self._fail(error)
            raise
        if row is None:
            return None
        value, checksum, self._revision = row
        if checksum != _checksum(value):
            raise ValueError("the rollout is not what was written")
        return Rollout.of(json.loads(value), self._clock)

    def is_newer(self) -> bool:
        """Whether another instance has written since this one has read or written. Raises StoreUnavailable."""
        row = self._store.read(_rollout)
        return row is not None and row[2] != self._revision

    def save(self, rollout: Rollout, entries: Sequence[Entry] = (), *, lead: bool = False) -> None:
        """Replace the revision that was read here, with these entries and those that could not be written before.

        `lead`: it is what the leader has found, in the term in which this instance leads. Raises DecidedMeanwhile,
        NotLeader and StoreUnavailable. After the last one the entries come with the next `save`, unless the store is
        shared: then nothing was decided.
        """
        pending = [*self._unsaved, *entries]
        try:
            self.write(rollout.as_dict(), [_row(entry) for entry in pending], lead=lead)
        except StoreUnavailable as error:
            self.postpone(entries)
            self._fail(error)
            raise
        except (DecidedMeanwhile, NotLeader):
            self._revision = _UNKNOWN
            raise
        self.durable = True
        self._unsaved = []

    def write(self, state: Mapping[str, Any], entries: Sequence[Mapping[str, str]], *, lead: bool = False) -> None:
        """Replace the state and append rows of entries, both or neither. Raises as `save`."""
        from sqlalchemy import delete, insert, or_

        from plugins.canary.tables import ENTRIES, REPORTS, ROLLOUT

        value, following = _text(state), self._revision + 1

        def write(connection: Connection) -> None:
            if lead:
                as_leader(connection, self._fleet.id, self._fleet.term)
            lock(connection, ROLLOUT)
            row = _rollout(connection)
            # A database of one instance that was restored from its copy is older than what this one has read.
            if row is not None and row[2] != self._revision and self.shared:
                raise DecidedMeanwhile
            connection.execute(delete(ROLLOUT))
            connection.execute(
                insert(ROLLOUT).values(one=1, value=value, checksum=_checksum(value), revision=following)
            )
            if entries:
                connection.execute(insert(ENTRIES), list(entries))
                old = or_(REPORTS.c.rollout != state.get("id"), REPORTS.c.number < state.get("window", 1))
                connection.execute(delete(REPORTS).where(old))
                notify(connection, TOPIC)

        self._store.write(write, copied=bool(entries))
        self._revision = following

    def postpone(self, entries: Sequence[Entry]) -> None:
        """Write nothing now; these entries come with the next `save`, if the store is this instance's own."""
        if self.shared:
            self._revision = _UNKNOWN
        else:
            self._unsaved += entries
            self.durable = False

    def save_report(self, report: Report) -> None:
        """Write this instance's report for the others. Raises StoreUnavailable."""
        from sqlalchemy import delete, insert

        from plugins.canary.tables import REPORTS

        row = {
            "instance": report.instance,
            "rollout": report.rollout,
            "number": report.window,
            "closed": report.closed,
            "figures": _text(report.as_dict()),
        }

        def write(connection: Connection) -> None:
            connection.execute(delete(REPORTS).where(REPORTS.c.instance == report.instance))
            connection.execute(insert(REPORTS).values(row))

        self._reports[report.instance] = report
        self._store.write(write)

    def reports(self) -> Sequence[Report]:
        """The latest reports of all instances; while the store is away, those read before."""
        from sqlalchemy import select

        from plugins.canary.tables import REPORTS

        try:
            rows = self._store.read(lambda connection: connection.execute(select(REPORTS)).all())
        except StoreUnavailable:
            return list(self._reports.values())
        self._reports = {row.instance: _report(row) for row in rows}
        return list(self._reports.values())

    def trail(self, limit: int) -> list[dict[str, Any]]:
        """The newest entries, newest first: who, when, what, why, on which figures. Raises StoreUnavailable."""
        from sqlalchemy import select

        from plugins.canary.tables import ENTRIES

        newest = select(ENTRIES).order_by(ENTRIES.c.number.desc()).limit(limit)
        rows = self._store.read(lambda connection: connection.execute(newest).all())
        names = ("at", "by", "action", "why", "details")
        return [dict(zip(names, (*row[1:5], json.loads(row[5])), strict=True)) for row in rows]

    def _fail(self, error: StoreUnavailable) -> None:
        self.durable = self.shared
        logger.error("canary.store_failed", reason=error.detail)


def _rollout(connection: Connection) -> tuple[str, str, int] | None:
    from sqlalchemy import select

    from plugins.canary.tables import ROLLOUT

    row = connection.execute(select(ROLLOUT.c.value, ROLLOUT.c.checksum, ROLLOUT.c.revision)).first()
    return None if row is None else (row[0], row[1], row[2])


def _report(row: Any) -> Report:
    cohorts = {cohort: Figures.of(values) for cohort, values in json.loads(row.figures).items()}
    return Report(row.instance, row.rollout, row.number, cohorts, row.closed)


def _row(entry: Entry) -> dict[str, str]:
    return {
        "at": iso(entry.at),
        "by": entry.by,
        "action": entry.action,
        "why": entry.why,
        "details": _text(entry.details),
    }


def _checksum(value: str) -> str:
    return hashlib.sha256(value.encode(errors="surrogateescape")).hexdigest()


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
