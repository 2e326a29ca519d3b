"""The rollout on disk: where it stands, and the audit trail of how it came there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog

from plugins.canary.rollout import Rollout
from rom_core.concurrency.clock import Clock
from rom_core.errors import StoreUnavailable
from rom_core.store.journal import Entry, Journal

logger = structlog.get_logger("rom.canary")


class Record:
    """The record in the file `path`. `durable` is whether the last write succeeded. Not for several threads at once."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._journal = Journal(path)
        self._clock = clock
        self._unsaved: list[Entry] = []
        self.durable = True

    def load(self) -> Rollout | None:
        """The rollout of the process before, if there was one.

        Raises StoreUnavailable, and KeyError, TypeError or ValueError if the record was damaged.
        """
        try:
            state = self._journal.load()
        except StoreUnavailable as error:
            self._fail(error)
            raise
        return None if state is None else Rollout.of(state, self._clock)

    def save(self, rollout: Rollout, entries: Sequence[Entry] = (), *, closed: bool = False) -> None:
        """Write the rollout, these entries, and those that could not be written before. Raises StoreUnavailable.

        `closed`: the process ends, and has had its last look.
        """
        self._unsaved += entries
        try:
            self._journal.save(rollout.as_dict(closed=closed), self._unsaved)
        except StoreUnavailable as error:
            self._fail(error)
            raise
        self.durable = True
        self._unsaved = []

    def postpone(self, entries: Sequence[Entry]) -> None:
        """Write nothing now; these entries come with the next `save`."""
        self._unsaved += entries
        self.durable = False

    def trail(self, limit: int) -> list[dict[str, Any]]:
        """The newest entries, newest first: who, when, what, why, on which figures. Raises StoreUnavailable."""
        return self._journal.entries(limit)

    def _fail(self, error: StoreUnavailable) -> None:
        self.durable = False
        logger.error("canary.store_failed", reason=error.detail)
