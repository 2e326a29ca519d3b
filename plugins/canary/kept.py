"""The rollout in the store: where it stands, and the audit trail of how it came there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import structlog

from plugins.canary.rollout import Entry, Rollout
from rom_core.concurrency.clock import Clock, iso
from rom_core.errors import StoreUnavailable
from rom_core.plugin.protocols import PluginStore

if TYPE_CHECKING:
    from sqlalchemy import Connection

logger = structlog.get_logger("rom.canary")


class KeptRollout:
    """The rollout in `store`. `durable` is whether the last write succeeded. Not for several threads at once."""

    def __init__(self, store: PluginStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._unsaved: list[Entry] = []
        self.durable = True

    def load(self) -> Rollout | None:
        """The rollout of the process before, if there was one.

        Raises StoreUnavailable, and KeyError, TypeError or ValueError if what is kept is not what was written.
        """
        try:
            row = self._store.read(_rollout)
        except StoreUnavailable as error:
            self._fail(error)
            raise
        if row is None:
            return None
        value, checksum = row
        if checksum != _checksum(value):
            raise ValueError("the rollout is not what was written")
        return Rollout.of(json.loads(value), self._clock)

    def save(self, rollout: Rollout, entries: Sequence[Entry] = (), *, closed: bool = False) -> None:
        """Write the rollout, these entries, and those that could not be written before. Raises StoreUnavailable.

        `closed`: the process ends, and has had its last look.
        """
        self._unsaved += entries
        try:
            self.write(rollout.as_dict(closed=closed), [_row(entry) for entry in self._unsaved])
        except StoreUnavailable as error:
            self._fail(error)
            raise
        self.durable = True
        self._unsaved = []

    def write(self, state: Mapping[str, Any], entries: Sequence[Mapping[str, str]]) -> None:
        """Replace the state and append rows of entries, both or neither. Raises StoreUnavailable."""
        from sqlalchemy import delete, insert

        from plugins.canary.tables import ENTRIES, ROLLOUT

        value = _text(state)

        def write(connection: Connection) -> None:
            connection.execute(delete(ROLLOUT))
            connection.execute(insert(ROLLOUT).values(one=1, value=value, checksum=_checksum(value)))
            if entries:
                connection.execute(insert(ENTRIES), list(entries))

        self._store.write(write, copied=True)

    def postpone(self, entries: Sequence[Entry]) -> None:
        """Write nothing now; these entries come with the next `save`."""
        self._unsaved += entries
        self.durable = False

    def trail(self, limit: int) -> list[dict[str, Any]]:
        """The newest entries, newest first: who, when, what, why, on which figures. Raises StoreUnavailable."""
        from sqlalchemy import select

        from plugins.canary.tables import ENTRIES

        newest = select(ENTRIES).order_by(ENTRIES.c.number.desc()).limit(limit)
        rows = self._store.read(lambda connection: connection.execute(newest).all())
        names = ("at", "by", "action", "why", "details")
        return [dict(zip(names, (*row[1:5], json.loads(row[5])), strict=True)) for row in rows]

    def _fail(self, error: StoreUnavailable) -> None:
        self.durable = False
        logger.error("canary.store_failed", reason=error.detail)


def _rollout(connection: Connection) -> tuple[str, str] | None:
    from sqlalchemy import select

    from plugins.canary.tables import ROLLOUT

    row = connection.execute(select(ROLLOUT.c.value, ROLLOUT.c.checksum)).first()
    return None if row is None else (row[0], row[1])


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
