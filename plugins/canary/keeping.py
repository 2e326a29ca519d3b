"""What an instance knows of the rollout, and how that is kept: for the keeper, which decides."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any

import structlog

from plugins.canary.kept import DecidedMeanwhile, KeptRollout
from plugins.canary.rollout import GATE, Entry, Rollout
from plugins.canary.shapes import shown
from rom_core.concurrency.locks import timed_lock
from rom_core.errors import CanaryConflict, NotFound, RomError, StoreUnavailable
from rom_core.events import CanaryAborted, CanaryChanged
from rom_core.flags import Author, Flags
from rom_core.runtime import Runtime
from rom_core.store.sharing import NotLeader

# A decision changes settings, which takes at most about as long.
_TURN_SECONDS = 15.0
# How often a decision is tried beside a leader that keeps what it has counted.
_TRIES = 3
_NO_FLAGS = "this runtime was given its settings, not where to change them"
MEANWHILE = "another instance has just decided something; look where the rollout stands and decide again"
DAMAGE = (KeyError, TypeError, ValueError)
"""What reading something that is no rollout raises."""
_NOTHING: Mapping[str, Any] = {"rollout": None, "durable": True}
logger = structlog.get_logger("rom.canary")


class _Overtaken(CanaryConflict):
    """Another instance has written the rollout meanwhile, which has been read again."""


class Keeping:
    """The rollout as of its last revision."""

    def __init__(self) -> None:
        self._published: Mapping[str, Any] = _NOTHING
        self._runtime: Runtime | None = None
        self._kept: KeptRollout | None = None
        self._rollout: Rollout | None = None
        self._lock = threading.Lock()

    @property
    def view(self) -> Mapping[str, Any]:
        """The JSON of where it stands; while its turns fail here it cannot be approved, whatever the last look saw."""
        published, failing = self._published, self._failing()
        rollout = published["rollout"]
        if not failing or rollout is None or rollout["status"] != "running" or rollout["approvable"] == "no":
            return published
        return {**published, "rollout": {**rollout, "approvable": "no", "why_not": f"{failing}: no reason is enough"}}

    def _failing(self) -> str:
        """How many of the canary's turns failed at this instance within the last minute; "" if few did.

        Else how many of all: while the service fails nobody can say how the canary does.
        """
        health = None if self._runtime is None else self._runtime.health
        return "" if health is None else health.failing("canary") or health.failing()

    def _reload(self) -> None:
        """What another instance has decided since; while the store is away, what is known here."""
        with suppress(StoreUnavailable):
            if self._known().durable and self._known().is_newer():
                self._load()

    def _load(self) -> None:
        """Read what is kept; where that is no rollout any more, no canary stays in force. Raises StoreUnavailable."""
        try:
            self._rollout = self._known().load()
        except DAMAGE as error:
            self._lose(error)
        self._publish()

    def _lose(self, error: Exception) -> None:
        """What was kept is no rollout any more."""
        logger.error("canary.record_lost", reason=str(error))
        self._rollout = None
        self._withdraw_unwatched("the record of the rollout was damaged")

    def _decide(self, decision: Callable[[Rollout], Sequence[Entry]]) -> None:
        """Keep what a person has decided of the rollout as it stands; counting meanwhile changes nothing of that.

        Raises CanaryConflict if another instance has decided something meanwhile, and what `decision` raises.
        """
        stood = _stand(self._current())
        for left in reversed(range(_TRIES)):
            entries = decision(self._current())
            try:
                self._done(*entries)
            except _Overtaken:
                if not left or _stand(self._current()) != stood:
                    raise
            else:
                return

    def _done(self, *entries: Entry, lead: bool = False) -> None:
        """Something happened: keep it, show it, tell it."""
        try:
            self._keep(self._current(), entries, lead=lead)
        except (DecidedMeanwhile, NotLeader) as error:
            with suppress(StoreUnavailable):
                self._load()
            if lead:
                raise
            raise _Overtaken(MEANWHILE) from error
        self._publish()
        runtime, _ = self._ready()
        for entry in entries:
            percent = entry.details["percent"]
            if entry.action == "aborted":
                runtime.emit(CanaryAborted(percent, entry.by, entry.why))
            else:
                runtime.emit(CanaryChanged(entry.action, percent, entry.by, entry.why))

    def _keep(self, rollout: Rollout, entries: Sequence[Entry] = (), *, lead: bool = False) -> None:
        """In the store; what one instance cannot keep in a store of its own it tries again at the next look.

        An end waits until the withdrawal of the flags is kept: a process that dies in between leaves a canary in force,
        and the next one has to find the rollout that judges it. In a fleet nothing that is not kept counts, and flags
        that were withdrawn end the rollout once they are. Raises StoreUnavailable then, but not for an end.
        """
        _, flags = self._ready()
        kept = self._known()
        if not rollout.running and not flags.durable:
            kept.postpone(entries)
            return
        try:
            kept.save(rollout, entries, lead=lead)
        except StoreUnavailable:
            if kept.shared and rollout.running:
                raise

    def _keep_end(self, rollout: Rollout) -> None:
        """Once more, for what could not be kept when it ended: first that the flags are withdrawn, then the record."""
        runtime, flags = self._ready()
        if not flags.durable and runtime.current.canary is None:
            # Nothing is left to withdraw; what has been is kept with it.
            flags.withdraw_canary(Author(GATE, "the end of the rollout is kept"))
        self._keep(rollout)
        self._publish()

    def _publish(self) -> None:
        rollout = self._rollout
        self._published = {"rollout": None if rollout is None else shown(rollout), "durable": self._known().durable}

    def _withdraw_unwatched(self, reason: str) -> None:
        """Withdraw the canary in force, if there is one: without its record no gate can judge it."""
        runtime, flags = self._ready()
        if runtime.current.canary is None:
            return
        try:
            flags.withdraw_canary(Author(GATE, reason))
        except RomError:
            logger.exception("canary.withdraw_failed")

    def _ready(self) -> tuple[Runtime, Flags]:
        if self._runtime is None or self._runtime.flags is None:
            raise NotFound(_NO_FLAGS)
        return self._runtime, self._runtime.flags

    def _known(self) -> KeptRollout:
        if self._kept is None:
            raise NotFound(_NO_FLAGS)
        return self._kept

    def _current(self) -> Rollout:
        if self._rollout is None:
            raise CanaryConflict("there is no rollout")
        return self._rollout

    def _in_turn(self) -> AbstractContextManager[None]:
        return timed_lock(self._lock, _TURN_SECONDS, "decision on the rollout")


def _stand(rollout: Rollout) -> tuple[str, str, int, bool]:
    """What decisions go by; not what has been counted."""
    return rollout.id, rollout.status, rollout.index, rollout.held
