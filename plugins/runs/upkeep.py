"""Runs that have grown old, and what an earlier key has sealed: looked for by the leader alone, from time to time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from rom_core.errors import StoreRefused

if TYPE_CHECKING:
    from plugins.runs.work import Work
    from rom_core.runtime import Runtime

logger = structlog.get_logger("rom.runs")
LOOK_SECONDS: Final = 600.0
"""Between two looks."""
_BATCH: Final = 50
_DAY: Final = 86_400.0


class Upkeep:
    """Erases what is too old, and seals anew what the first key of CONTENT_KEY has not sealed."""

    def __init__(self, runtime: Runtime, work: Work) -> None:
        self._runtime = runtime
        self._work = work
        self._next_look = 0.0

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
        """If it is time and this instance leads. Raises StoreUnavailable."""
        clock = self._runtime.clock
        if clock.monotonic() < self._next_look or self._runtime.fleet.term is None:
            return
        self._next_look = clock.monotonic() + LOOK_SECONDS
        erased = self.erase_old()
        if erased:
            logger.info("runs.expired", erased=erased)
        resealed = self.reseal()
        if resealed:
            logger.info("runs.encrypted_anew", entries=resealed)

    def erase_old(self) -> int:
        """Erase what ended more than RUN_RETENTION_DAYS ago; how many runs that were."""
        from plugins.runs import ageing

        now, days = self._runtime.clock.time(), self._runtime.current.settings.RUN_RETENTION_DAYS
        erased, count = 0, _BATCH
        while count == _BATCH:
            count = self._work.store.write(lambda connection: ageing.erase_ended(connection, now, days * _DAY, _BATCH))
            erased += count
        return erased

    def reseal(self) -> int:
        """Seal anew what an earlier key has sealed; how many entries that were."""
        from plugins.runs import ageing

        sealer, resealed = self._work.sealer, 0
        for mark in [mark for mark, _ in self._work.store.read(ageing.marks) if not sealer.is_current(mark)]:
            count = _BATCH
            while count == _BATCH:
                count = self._work.store.write(
                    lambda connection: ageing.reseal(connection, mark, sealer.anew, _BATCH)  # noqa: B023
                )
                resealed += count
        return resealed
