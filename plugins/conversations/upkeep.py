"""What is done about conversations while nobody asks: turns are held, old ones erased, old keys left behind."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog

from plugins.conversations.turns import RENEW_SECONDS, Turns
from rom_core.errors import RomError, StoreUnavailable

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from rom_core.runtime import Runtime

logger = structlog.get_logger("rom.conversations")
LOOK_SECONDS = 600.0
"""Between two looks for what is too old, and for what an old key encrypted."""
_BATCH = 50
_STOP_SECONDS = 10.0
_DAY = 86_400.0


class Upkeep:
    """A thread of the plugin. In a fleet the leader alone erases and encrypts anew."""

    def __init__(self, runtime: Runtime, turns: Turns) -> None:
        self._runtime = runtime
        self._turns = turns
        self._ended = threading.Event()
        self._next_look = self._next_tending = 0.0
        self._thread = threading.Thread(target=self._run, name="rom-conversations", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after what could not be kept before was tried once more."""
        self._ended.set()
        self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        clock = self._runtime.clock
        while not clock.wait(self._ended, RENEW_SECONDS):
            self._tend()
            if clock.monotonic() >= self._next_look and self._runtime.fleet.term is not None:
                self._next_look = clock.monotonic() + LOOK_SECONDS
                self.look()
        self._tend()

    def _tend(self) -> None:
        self._next_tending = self._runtime.clock.monotonic() + RENEW_SECONDS
        try:
            self._turns.tend()
        except Exception:
            logger.exception("conversations.tending_failed")

    def _goes_on(self) -> bool:
        """Whether a long piece of work goes on; in the middle of it what is claimed is held, too."""
        if self._runtime.clock.monotonic() >= self._next_tending:
            self._tend()
        return not self._ended.is_set()

    def look(self) -> None:
        """Erase what is too old, and encrypt anew what the first key of CONTENT_KEY has not encrypted."""
        try:
            erased = self._erase_old()
            if erased:
                logger.info("conversations.expired", erased=erased)
            resealed = self._reseal()
            if resealed:
                logger.info("conversations.encrypted_anew", entries=resealed)
        except StoreUnavailable as error:
            logger.warning("conversations.not_tended", error=error.detail)
        except RomError as error:
            logger.error("conversations.not_tended", error=error.detail)

    def _erase_old(self) -> int:
        from plugins.conversations import ageing
        from rom_core.store.sharing import time_of

        erased, now = 0, self._runtime.clock.time()
        while self._goes_on():
            days = self._runtime.current.settings.CONVERSATION_RETENTION_DAYS

            def erase(connection: Connection) -> int:
                before = time_of(connection, now) - days * _DAY  # noqa: B023 - called at once
                ids = ageing.unused_since(connection, before, _BATCH)
                self._turns.erase(connection, ids)
                return len(ids)

            count = self._turns.store.write(erase)
            erased += count
            if count < _BATCH:
                break
        return erased

    def _reseal(self) -> int:
        from plugins.conversations import ageing

        sealer, resealed = self._turns.sealer, 0
        stale = [mark for mark, _ in self._turns.store.read(ageing.marks) if not sealer.is_current(mark)]
        for mark in stale:
            count = _BATCH
            while count == _BATCH and self._goes_on():
                count = self._turns.store.write(
                    lambda connection: ageing.reseal(connection, mark, sealer.anew, _BATCH)  # noqa: B023
                )
                resealed += count
        return resealed
