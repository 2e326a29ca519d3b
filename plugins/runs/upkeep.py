"""Runs that have grown old, and what an earlier key has sealed: looked for by the leader alone, from time to time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import structlog

from rom_core.errors import StoreRefused

if TYPE_CHECKING:
    from plugins.runs.work import Work
    from rom_core.runtime import Runtime

logger = structlog.get_logger("rom.runs")
LOOK_SECONDS: Final = 600.0
"""Between two looks."""
AT_ONCE_SECONDS: Final = 1.0
"""Of one look: far less than RUN_LEASE_SECONDS, since whoever looks also holds what runs here."""
_BATCH: Final = 50
_DAY: Final = 86_400.0


class Upkeep:
    """Erases what is too old, and seals anew what the first key of CONTENT_KEY has not sealed."""

    def __init__(self, runtime: Runtime, work: Work) -> None:
        self._runtime = runtime
        self._work = work
        self._next_look = 0.0
        self._rest: Iterator[None] | None = None

    def check_keys(self) -> None:
        """Raise StoreRefused if the store holds runs that no key opens."""
        from plugins.runs import ageing

        marks = self._work.store.read(ageing.marks)
        unopened = sum(count for mark, count in marks if not self._work.sealer.opens(mark))
        if unopened:
            raise StoreRefused(
                f"{unopened} entries of runs were encrypted with a key that CONTENT_KEY does not hold: add that key "
                "behind the others, or switch RUNS_ENABLED off until they have expired"
            )

    def look(self) -> None:
        """If it is time and this instance leads: for a moment, and on from there next time. Raises StoreUnavailable.

        Whoever calls holds the runs of this instance between two calls.
        """
        clock = self._runtime.clock
        if self._rest is None:
            if clock.monotonic() < self._next_look or self._runtime.fleet.term is None:
                return
            self._next_look = clock.monotonic() + LOOK_SECONDS
            self._rest = self._batches()
        until, rest = clock.monotonic() + AT_ONCE_SECONDS, self._rest
        # Should it fail, it begins anew after LOOK_SECONDS.
        self._rest = None
        for _ in rest:
            if clock.monotonic() >= until:
                self._rest = rest
                return

    def _batches(self) -> Iterator[None]:
        """What there is to do, a transaction at each step."""
        entries = 0
        for count in self._erase_old():
            entries += count
            yield
        if entries:
            logger.info("runs.expired", entries=entries)
        entries = 0
        for count in self._reseal():
            entries += count
            yield
        if entries:
            logger.info("runs.encrypted_anew", entries=entries)

    def _erase_old(self) -> Iterator[int]:
        """Erase what ended more than RUN_RETENTION_DAYS ago; how many runs each step erased."""
        from plugins.runs import ageing

        now, days = self._runtime.clock.time(), self._runtime.current.settings.RUN_RETENTION_DAYS
        count = _BATCH
        while count == _BATCH:
            count = self._work.store.write(lambda connection: ageing.erase_ended(connection, now, days * _DAY, _BATCH))
            yield count

    def _reseal(self) -> Iterator[int]:
        """Seal anew what an earlier key has sealed; how many entries each step did."""
        from plugins.runs import ageing

        sealer = self._work.sealer
        for mark in [mark for mark, _ in self._work.store.read(ageing.marks) if not sealer.is_current(mark)]:
            count = _BATCH
            while count == _BATCH:
                count = self._work.store.write(
                    lambda connection: ageing.reseal(connection, mark, sealer.anew, _BATCH)  # noqa: B023
                )
                yield count
